//! Why Vault does not serve, in words that say what to do: asked of Vault when it fails, once for all that fail at that moment.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use vaultrs::sys::ServerStatus;

use super::SetupError;
use super::connection::{Connection, Reply};
use super::session::Session;
use crate::backend::BackendError;
use crate::metrics::{Metrics, VaultRequest};

/// How long an answer explains other failures.
const HOLDS: Duration = Duration::from_secs(1);

pub(super) struct Health {
    session: Session,
    last: Mutex<Option<(Instant, Option<BackendError>)>>,
    metrics: Metrics,
}

impl Health {
    pub(super) fn new(connection: &Connection, metrics: Metrics) -> Result<Self, SetupError> {
        // Vault Enterprise answers about its health outside of namespaces only.
        let connection = connection.outside_namespaces();
        Ok(Self {
            session: Session::new(&connection, "")?,
            last: Mutex::default(),
            metrics,
        })
    }

    /// The reason behind a failure of Vault's, if Vault knows it.
    pub(super) async fn explain(&self, error: BackendError) -> BackendError {
        if matches!(error, BackendError::Failing { .. }) {
            self.reason().await.unwrap_or(error)
        } else {
            error
        }
    }

    async fn reason(&self) -> Option<BackendError> {
        let mut last = self.last.lock().await;
        if let Some((asked, reason)) = &*last
            && asked.elapsed() < HOLDS
        {
            return reason.clone();
        }
        let status = self.session.status();
        let reason = match self.metrics.timed(VaultRequest::Health, status).await {
            Ok(Reply::Found(status)) => reason(&status),
            _ => None,
        };
        *last = Some((Instant::now(), reason.clone()));
        reason
    }
}

fn reason(status: &ServerStatus) -> Option<BackendError> {
    let why = match status {
        ServerStatus::SEALED => return Some(BackendError::Sealed),
        ServerStatus::UNINITIALIZED => "it is not initialized",
        ServerStatus::STANDBY => "the node at its address is a standby that finds no active one",
        ServerStatus::RECOVERY => "the cluster at its address is a secondary for disaster recovery",
        ServerStatus::OK | ServerStatus::PERFSTANDBY | ServerStatus::UNKNOWN => return None,
    };
    Some(BackendError::NotServing { why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_serves_explains_nothing() {
        assert_eq!(reason(&ServerStatus::OK), None);
        assert_eq!(reason(&ServerStatus::SEALED), Some(BackendError::Sealed));
        let standby = reason(&ServerStatus::STANDBY).unwrap();
        assert!(standby.to_string().contains("standby"), "{standby}");
    }
}
