//! The flags of whoever stands for a Lease.

use std::time::Duration;

/// Which of several processes leads.
#[derive(Clone, Debug, clap::Args)]
pub struct LeaseArgs {
    /// Namespace of the Lease that the leader holds [default: --namespace of a watcher, --store-namespace of an applier]
    #[arg(long, env = "TOWLINE_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// Seconds after which another one leads if the leader is gone without a word [default: 15 for watchers, 3 for appliers]
    #[arg(long, env = "TOWLINE_LEASE_DURATION", value_parser = clap::value_parser!(u32).range(2..=3600), value_name = "SECONDS")]
    pub lease_duration: Option<u32>,
    /// Its name among those that run at the same time; one started again under its name leads on at once [default: the pod's
    /// name; elsewhere one of its own for each process]
    #[arg(long, env = "TOWLINE_IDENTITY", value_name = "NAME")]
    pub identity: Option<String>,
}

impl LeaseArgs {
    /// `service` begins the name where nobody gave one.
    pub fn identity(&self, service: &str) -> String {
        let pod = || {
            std::env::var_os("KUBERNETES_SERVICE_HOST")?;
            std::env::var("HOSTNAME").ok()
        };
        let given = self.identity.clone().or_else(pod);
        given.unwrap_or_else(|| format!("{service}-{:016x}", rand::random::<u64>()))
    }

    pub fn duration(&self, default: Duration) -> Duration {
        self.lease_duration
            .map_or(default, |seconds| Duration::from_secs(seconds.into()))
    }
}
