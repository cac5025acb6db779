//! What an application should be, ready to be planned: desired state and manifests of one generation, joined and prepared.

use std::sync::Arc;

use api::project::VaultSecrets;
use bus::message::condition::{Condition, ConditionType};
use bus::message::desired::{Commit, Present, Trigger};
use bus::message::manifests::{Manifests, Payload};
use bus::message::state::HistoryEntry;
use bus::{Digest, Generation};
use serde_json::Value;

use super::{App, annotation};
use crate::account::{Account, AccountError, account};
use crate::cluster::{Cluster, Kinds};
use crate::object::{Finding, Manifest, Stamp, option_warning, prepare};
use crate::project::{self, Place};

/// The largest manifests that are read from the object store, in bytes.
const MAX_PAYLOAD: usize = 64 * 1024 * 1024;

pub(crate) struct Target {
    pub(crate) generation: Generation,
    pub(crate) present: Arc<Present>,
    pub(crate) digest: Digest,
    pub(crate) manifests: Vec<Manifest>,
    /// Of the manifests themselves; the project's come on top.
    pub(crate) findings: Vec<Finding>,
    /// The render's warnings.
    pub(crate) warnings: Vec<Condition>,
    pub(crate) revisions: Vec<String>,
    /// Index-aligned with the revisions.
    pub(crate) commits: Vec<Option<Commit>>,
    pub(crate) sources: Vec<Value>,
    pub(crate) trigger: Option<Trigger>,
    pub(crate) render_started: Option<u64>,
    pub(crate) rendered: Option<u64>,
    /// What the project said when the manifests were prepared.
    pub(crate) vault_secrets: VaultSecrets,
    /// What the cluster knew when the manifests were prepared.
    pub(crate) kinds: Arc<Kinds>,
    /// The manifests as they came, to be kept with their release.
    pub(crate) payload: Arc<[u8]>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// The renderer's object is gone; the watcher has to publish again.
    #[error("the rendered manifests {0} are no longer in the object store")]
    Missing(Digest),
    #[error("reading the rendered manifests")]
    Read(#[source] bus::BusError),
    #[error("the rendered manifests do not have the digest that their message says")]
    Corrupt,
    #[error("the rendered manifests are not a JSON array of objects")]
    Unreadable(#[source] serde_json::Error),
}

impl App {
    /// Desired state and manifests of the same generation, as a target.
    pub(super) async fn join(
        &self,
        present: &Arc<Present>,
        manifests: &Manifests,
    ) -> Result<Target, TargetError> {
        let payload: Arc<[u8]> = match &manifests.payload {
            Payload::Inline(text) => text.as_bytes().into(),
            Payload::Object { .. } => {
                let found = self
                    .ctx
                    .objects
                    .get(&manifests.digest, MAX_PAYLOAD)
                    .await
                    .map_err(TargetError::Read)?;
                (*found.ok_or_else(|| TargetError::Missing(manifests.digest.clone()))?).into()
            }
        };
        if Digest::of(&payload) != manifests.digest {
            return Err(TargetError::Corrupt);
        }
        let mut target = self.target(
            present,
            manifests.generation,
            manifests.digest.clone(),
            payload,
        )?;
        target.warnings.clone_from(&manifests.conditions);
        target.revisions = present
            .sources
            .iter()
            .map(|source| source.revision.clone())
            .collect();
        target.commits = present
            .sources
            .iter()
            .map(|source| source.commit.clone())
            .collect();
        target.sources = present
            .spec
            .sources()
            .iter()
            .map(|source| serde_json::to_value(source).unwrap_or_default())
            .collect();
        target.trigger = Some(present.trigger.clone());
        target.render_started = Some(manifests.started);
        target.rendered = Some(manifests.rendered);
        Ok(target)
    }

    /// A release of the history, from the manifests that the cluster keeps.
    pub(super) fn recall(
        &self,
        entry: &HistoryEntry,
        present: &Arc<Present>,
        bytes: Vec<u8>,
    ) -> Result<Target, TargetError> {
        let mut target = self.target(
            present,
            entry.generation,
            entry.digest.clone(),
            bytes.into(),
        )?;
        target.revisions.clone_from(&entry.revisions);
        target.commits.clone_from(&entry.commits);
        target.sources.clone_from(&entry.sources);
        Ok(target)
    }

    pub(super) fn target(
        &self,
        present: &Arc<Present>,
        generation: Generation,
        digest: Digest,
        payload: Arc<[u8]>,
    ) -> Result<Target, TargetError> {
        let objects: Vec<Value> =
            serde_json::from_slice(&payload).map_err(TargetError::Unreadable)?;
        let options = present
            .spec
            .sync_policy
            .as_ref()
            .and_then(|policy| policy.sync_options.as_deref());
        let stamp = Stamp {
            tracking: &present.tracking,
            hash: &self.hash,
            namespace: present.spec.destination.namespace(),
            options: options.unwrap_or_default(),
            generation,
            vault_secrets: self.vault_secrets(present),
        };
        let kinds = self.ctx.kinds.get();
        let prepared = prepare(objects, &stamp, |group, version, kind| {
            kinds
                .exact(group, version, kind)
                .map(|known| known.namespaced)
        });
        let mut findings = prepared.findings;
        if let Some(warning) = option_warning("spec.syncPolicy", options.unwrap_or_default()) {
            findings.push(Finding::warning(
                ConditionType::UnknownFieldWarning,
                warning,
            ));
        }
        findings.extend(
            annotation::warnings(&present.annotations)
                .into_iter()
                .map(|warning| Finding::warning(ConditionType::UnknownFieldWarning, warning)),
        );
        Ok(Target {
            generation,
            present: present.clone(),
            digest,
            manifests: prepared.manifests,
            findings,
            warnings: Vec::new(),
            revisions: Vec::new(),
            commits: Vec::new(),
            sources: Vec::new(),
            trigger: None,
            render_started: None,
            rendered: None,
            vault_secrets: stamp.vault_secrets,
            kinds,
            payload,
        })
    }

    /// Of a project that isn't known nothing is applied anyway.
    pub(super) fn vault_secrets(&self, present: &Present) -> VaultSecrets {
        let project = self.ctx.projects.get(present.spec.project());
        project.map_or_else(VaultSecrets::default, |project| project.vault_secrets)
    }

    /// What the project and this applier's bounds say of a target.
    pub(super) fn forbidden(&self, target: &Target) -> Vec<Finding> {
        let spec = &target.present.spec;
        let project = self.ctx.projects.get(spec.project());
        let mut findings = project::check(
            project.as_deref(),
            spec,
            Place::of(&target.present, &self.ctx.id),
            &self.ctx.bounds,
            &target.manifests,
        );
        if let Err(error) = self.account(&target.present) {
            findings.push(Finding::blocking(
                ConditionType::InvalidSpecError,
                error.to_string(),
            ));
        }
        findings
    }

    /// The account that the application's objects are written as; none is this applier's own.
    fn account(&self, present: &Present) -> Result<Option<Account>, AccountError> {
        let Some(project) = self.ctx.projects.get(present.spec.project()) else {
            // Nothing is applied then; what is deleted was applied before.
            return Ok(None);
        };
        account(
            &project,
            &present.spec,
            Place::of(present, &self.ctx.id).server,
            self.id.namespace(),
            &self.ctx.bounds.accounts,
        )
    }

    /// The cluster, to be written to in the application's name.
    pub(super) fn writer(&self, present: &Present) -> Result<Cluster, String> {
        let account = self.account(present).map_err(|error| error.to_string())?;
        Ok(self.ctx.cluster.writing_as(account.as_ref()))
    }
}
