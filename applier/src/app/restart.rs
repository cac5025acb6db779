//! Workloads that restart when their Secrets changed. What their pods began with is remembered beside what was applied, and in the workload
//! itself what it was restarted for: between the two, a crash neither loses a restart nor makes another.

use std::collections::BTreeMap;

use api::{Timestamp, annotations};
use bus::message::state::{ResourceResult, ResultStatus};

use super::App;
use super::target::Target;
use super::unchanged;
use crate::cluster::Cluster;
use crate::execute;
use crate::object::{Key, Manifest, Phase};
use crate::plan::restart::{Contents, secrets, uses};
use crate::secrets::Given;

/// The workloads of a release whose pods follow their Secrets.
#[derive(Default)]
pub(super) struct Pods {
    /// By workload: keyed digest of the Secrets that its pods have when the release is done.
    pub(super) digests: BTreeMap<Key, Box<str>>,
    /// Those whose pods began with others.
    pub(super) due: Vec<Key>,
}

/// The workload's own word, or its application's.
fn wants(target: &Target, manifest: &Manifest) -> bool {
    let name = annotations::RESTART_ON_ROTATION;
    let body = manifest.body.value();
    let own = body["metadata"]["annotations"][name].as_str();
    let application = target.present.annotations.get(name).map(String::as_str);
    own.or(application) == Some("true")
}

impl App {
    pub(super) fn pods(&self, target: &Target, given: &Given) -> Pods {
        let contents: Contents = target
            .manifests
            .iter()
            .filter_map(|manifest| {
                let key = &self.ctx.digest_key;
                let digest = unchanged::contents_digest(manifest, &given.values, key)?;
                Some((manifest.key.clone(), digest))
            })
            .collect();
        self.compared_pods(target, &contents)
    }

    /// By what was applied, without asking for values: the workloads that a crash or a failure kept from restarting.
    pub(super) fn restarts_due(&self, target: &Target) -> Vec<Key> {
        let contents: Contents = self
            .applied
            .iter()
            .filter_map(|(key, applied)| Some((key.clone(), applied.contents.clone()?)))
            .collect();
        if contents.is_empty() {
            return Vec::new();
        }
        self.compared_pods(target, &contents).due
    }

    fn compared_pods(&self, target: &Target, contents: &Contents) -> Pods {
        let mut pods = Pods::default();
        for (key, held) in uses(&target.manifests, contents, |manifest| {
            wants(target, manifest)
        }) {
            let digest = self.ctx.digest_key.digest(held.as_bytes());
            let began_with = self
                .applied
                .get(&key)
                .and_then(|applied| applied.began_with.as_ref());
            if began_with.is_some_and(|before| *before != digest) {
                pods.due.push(key.clone());
            }
            pods.digests.insert(key, digest);
        }
        pods
    }

    /// The paths of the Secrets of what is due to restart.
    pub(super) fn paths_of_restarts(&self, target: &Target) -> Vec<String> {
        let due = self.restarts_due(target);
        let mut paths: Vec<String> = target
            .manifests
            .iter()
            .filter(|manifest| due.contains(&manifest.key))
            .flat_map(secrets)
            .filter_map(|secret| self.applied.get(&secret))
            .flat_map(|applied| applied.versions.keys().cloned())
            .collect();
        paths.sort();
        paths.dedup();
        paths
    }

    pub(super) async fn restart(
        &mut self,
        target: &Target,
        writer: &Cluster,
        batch: &[usize],
    ) -> Result<(), String> {
        let now = Timestamp::from(jiff::Timestamp::now());
        let mut failures = Vec::new();
        for workload in batch.iter().map(|&at| &target.manifests[at]) {
            let Some(running) = &mut self.running else {
                return Ok(());
            };
            let key = &workload.key;
            let Some(digest) = running.pods.digests.get(key) else {
                continue;
            };
            let restarted = execute::restart(&self.ctx, writer, workload, digest, &now).await;
            let (status, message) = match restarted {
                Ok(true) => (ResultStatus::Synced, "restarted for its secrets".to_owned()),
                Ok(false) => continue,
                Err(error) => {
                    failures.push(error.describe());
                    (ResultStatus::SyncFailed, error.describe())
                }
            };
            let result = ResourceResult {
                group: key.group.to_string(),
                version: workload.version.to_string(),
                kind: key.kind.to_string(),
                namespace: key.namespace.to_string(),
                name: key.name.to_string(),
                status,
                message,
                phase: Phase::Sync.as_str().to_owned(),
                hook_phase: None,
            };
            running.results.insert(key.clone(), result);
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures.join("; "))
        }
    }
}
