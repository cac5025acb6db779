//! Waiting until one object is gone.

use std::time::Duration;

use futures::StreamExt;
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};

use super::{ApiKind, Cluster, ClusterError};
use crate::object::Key;

/// How long finalizers may take.
const PATIENCE: Duration = Duration::from_mins(1);

impl Cluster {
    /// Until this very object isn't there any more, by a watch of its metadata.
    pub(crate) async fn gone(
        &self,
        kind: &ApiKind,
        key: &Key,
        uid: &str,
    ) -> Result<(), ClusterError> {
        let resource = ApiResource {
            group: kind.group.to_string(),
            version: kind.version.to_string(),
            api_version: kind.api_version(),
            kind: kind.kind.to_string(),
            plural: kind.plural.to_string(),
        };
        let client = self.client().clone();
        let api: Api<PartialObjectMeta<DynamicObject>> = if kind.namespaced {
            Api::namespaced_with(client, &key.namespace, &resource)
        } else {
            Api::all_with(client, &resource)
        };
        let config = watcher::Config::default().fields(&format!("metadata.name={}", key.name));
        let mut events = watcher(api, config).default_backoff().boxed();
        let wait = async {
            let mut there = false;
            while let Some(event) = events.next().await {
                match event {
                    Ok(watcher::Event::Init) => there = false,
                    Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                        if object.metadata.uid.as_deref() != Some(uid) {
                            return;
                        }
                        there = true;
                    }
                    Ok(watcher::Event::InitDone) if there => {}
                    Ok(watcher::Event::InitDone | watcher::Event::Delete(_)) => return,
                    // The stream backs off and goes on by itself.
                    Err(error) => {
                        tracing::warn!(object = %key, %error, "watching a deletion; trying again");
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .map_err(|_| ClusterError::StillThere {
                seconds: PATIENCE.as_secs(),
            })
    }
}
