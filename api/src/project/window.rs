//! When a project's applications may sync.

object! {
    /// A time in which syncs are allowed or denied.
    pub struct SyncWindow {
        optional {
            /// `allow` or `deny`.
            kind: String,
            /// Cron format.
            schedule: String,
            duration: String,
            applications: Vec<String>,
            namespaces: Vec<String>,
            clusters: Vec<String>,
            manual_sync: bool,
            time_zone: String,
            and_operator: bool,
            description: String,
            sync_overrun: bool,
        }
    }
}
