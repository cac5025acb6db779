//! What an application should be, as people write it.

use super::{
    source::{ApplicationSource, SourceHydrator},
    sync_policy::SyncPolicy,
};

object! {
    /// What an application should be.
    pub struct ApplicationSpec {
        required {
            /// The cluster and namespace to deploy to.
            destination: ApplicationDestination,
        }
        optional {
            /// Where the files come from.
            source: ApplicationSource,
            /// The project; absent or empty means `default`.
            project: String,
            /// When and how to sync.
            sync_policy: SyncPolicy,
            /// Fields that don't count as differences.
            ignore_differences: Vec<ResourceIgnoreDifferences>,
            /// Links and notes for people.
            info: Vec<Info>,
            /// How many releases the history holds.
            revision_history_limit: i64,
            /// Several sources; takes precedence over `source`.
            sources: Vec<ApplicationSource>,
            /// Push rendered manifests to Git first.
            source_hydrator: SourceHydrator,
        }
    }
}

object! {
    /// A cluster (by server URL or by name) and a namespace.
    pub struct ApplicationDestination {
        optional {
            server: String,
            namespace: String,
            name: String,
        }
    }
}

object! {
    /// Fields of some objects that don't count as differences.
    pub struct ResourceIgnoreDifferences {
        required {
            kind: String,
        }
        optional {
            group: String,
            name: String,
            namespace: String,
            json_pointers: Vec<String>,
            jq_path_expressions: Vec<String>,
            managed_fields_managers: Vec<String>,
        }
    }
}

object! {
    /// A link or note.
    pub struct Info {
        required {
            name: String,
            value: String,
        }
    }
}
