//! The reason of the worst pod of a workload that isn't well, looked for on demand, once per version of the workload.

use std::collections::HashSet;

use bus::message::state::HealthStatus;
use serde_json::Value;

use super::App;
use crate::cluster::{ApiKind, ClusterError};
use crate::execute::resolve_kind;
use crate::health::worst_pod_reason;
use crate::live::Look;
use crate::object::Key;
use crate::plan::{Presence, Presences};

const WORKLOADS: [&str; 4] = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"];

impl App {
    /// Whether a reason was found that wasn't known.
    pub(super) async fn explain(&mut self, live: &Presences) -> bool {
        let mut found = false;
        let unwell: Vec<Key> = live
            .iter()
            .filter(|(key, presence)| needs_reason(key, presence))
            .map(|(key, _)| key.clone())
            .collect();
        for key in unwell {
            let Look::Present(entry) = self.ctx.live.look(&key) else {
                continue;
            };
            if self.explained.get(&key) == Some(&entry.resource_version) {
                continue;
            }
            match self.pod_reason(&key).await {
                Ok(reason) => {
                    found |= reason.is_some();
                    self.ctx.live.explain(&key, entry.resource_version, reason);
                    self.explained.insert(key, entry.resource_version);
                }
                Err(error) => {
                    tracing::debug!(app = %self.id, object = %key, error = %error.describe(false), "pods can't be read");
                }
            }
        }
        self.explained.retain(|key, _| live.contains_key(key));
        found
    }

    async fn pod_reason(&self, key: &Key) -> Result<Option<String>, ClusterError> {
        let Some(kind) = resolve_kind(&self.ctx, key, None) else {
            return Ok(None);
        };
        let Some(workload) = self.ctx.cluster.get(&kind, key).await? else {
            return Ok(None);
        };
        let Some(selector) = selector(&workload) else {
            return Ok(None);
        };
        let Some(uid) = workload["metadata"]["uid"].as_str() else {
            return Ok(None);
        };
        let mut owners: HashSet<String> = [uid.to_owned()].into();
        if &*key.kind == "Deployment" {
            let sets = ApiKind {
                group: "apps".into(),
                plural: "replicasets".into(),
                ..ApiKind::core("ReplicaSet", "", true)
            };
            let path = format!(
                "{}?labelSelector={selector}",
                sets.collection(&key.namespace)
            );
            let sets = self.ctx.cluster.list(&path).await?;
            owners.extend(
                sets.iter()
                    .filter(|set| is_owned(set, &owners))
                    .filter_map(|set| set["metadata"]["uid"].as_str())
                    .map(str::to_owned)
                    .collect::<Vec<_>>(),
            );
        }
        let pods = ApiKind::core("Pod", "pods", true);
        let path = format!(
            "{}?labelSelector={selector}",
            pods.collection(&key.namespace)
        );
        let mut pods = self.ctx.cluster.list(&path).await?;
        pods.retain(|pod| is_owned(pod, &owners));
        Ok(worst_pod_reason(&pods))
    }
}

fn needs_reason(key: &Key, presence: &Presence) -> bool {
    let Presence::Present(facts) = presence else {
        return false;
    };
    let unwell = facts
        .health
        .as_ref()
        .is_some_and(|health| health.status == HealthStatus::Degraded);
    unwell && &*key.group == "apps" && WORKLOADS.contains(&&*key.kind)
}

/// `matchLabels` as a query; label keys and values need escaping for `/` alone.
fn selector(workload: &Value) -> Option<String> {
    let labels = workload["spec"]["selector"]["matchLabels"].as_object()?;
    let pairs: Vec<String> = labels
        .iter()
        .filter_map(|(key, value)| {
            Some(format!("{}%3D{}", key.replace('/', "%2F"), value.as_str()?))
        })
        .collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

fn is_owned(object: &Value, owners: &HashSet<String>) -> bool {
    object["metadata"]["ownerReferences"]
        .as_array()
        .is_some_and(|references| {
            references.iter().any(|owner| {
                owner["uid"]
                    .as_str()
                    .is_some_and(|uid| owners.contains(uid))
            })
        })
}
