//! The values of a target's secret references, asked for in one request.

use std::collections::BTreeSet;

use bus::message::condition::ConditionType;

use super::App;
use super::target::Target;
use crate::object::Manifest;
use crate::secrets::{Given, body};

impl App {
    /// Values of all references of the target, in one request; what went wrong in words, with its condition.
    pub(super) async fn resolve(&self, target: &Target) -> Result<Given, (String, ConditionType)> {
        self.resolve_some(target, target.manifests.iter()).await
    }

    pub(super) async fn resolve_some<'a>(
        &self,
        target: &Target,
        manifests: impl Iterator<Item = &'a Manifest>,
    ) -> Result<Given, (String, ConditionType)> {
        let mut wanted = BTreeSet::new();
        for manifest in manifests.filter(|manifest| manifest.has_references()) {
            body::references(
                &manifest.body.value(),
                manifest.filled.as_deref(),
                &mut wanted,
            )
            .map_err(|error| {
                (
                    format!("{}: {error}", manifest.key),
                    ConditionType::SecretError,
                )
            })?;
        }
        if wanted.is_empty() {
            return Ok(Given::default());
        }
        let resolved = self
            .ctx
            .secrets
            .resolve(&self.id, self.asking_as(target), &wanted)
            .await;
        resolved.map_err(|error| {
            (
                crate::live::Chain(&error).to_string(),
                ConditionType::SecretError,
            )
        })
    }

    /// The agent answers for the generation that it knows, which under a pin is the newest and not the release's own.
    pub(super) fn asking_as(&self, target: &Target) -> bus::Generation {
        self.desired
            .as_ref()
            .map_or(target.generation, |desired| desired.generation)
    }
}
