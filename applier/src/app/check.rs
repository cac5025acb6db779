//! Which secrets the application's manifests read, told to whoever asks. Nothing is asked of anybody here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bus::message::condition::ConditionType;

use super::App;
use crate::check::{Inquired, Inquiry};
use crate::object::Finding;
use crate::project;
use crate::secrets::body;

impl App {
    /// Of the newest desired state, or of `manifests` under its settings.
    pub(super) fn prepare_check(&self, manifests: Option<Arc<[u8]>>) -> Inquired {
        let (newest, target) = self.to_be_compared(manifests)?;
        let name = target.present.spec.project();
        let project = self.ctx.projects.get(name).ok_or_else(|| {
            format!("project {name} is not known (yet): nothing is applied until it is")
        })?;
        let of_secrets =
            |finding: &&Finding| finding.blocks && finding.kind == ConditionType::SecretError;
        let mut problems: Vec<String> = target
            .findings
            .iter()
            .filter(of_secrets)
            .map(|finding| finding.message.clone())
            .collect();
        let mut references: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for manifest in target.manifests.iter().filter(|one| one.has_references()) {
            let misplaced = project::misplaced(manifest, &project, &self.ctx.bounds);
            problems.extend(misplaced.map(|finding| finding.message));
            let mut wanted = BTreeSet::new();
            let read = body::references(
                &manifest.body.value(),
                manifest.filled.as_deref(),
                &mut wanted,
            );
            if let Err(error) = read {
                problems.push(format!("{}: {error}", manifest.key));
            }
            for reference in wanted {
                let objects = references.entry(reference).or_default();
                objects.insert(manifest.key.to_string());
            }
        }
        Ok(Box::new(Inquiry {
            app: self.id.clone(),
            asking_as: self.asking_as(&newest),
            generation: target.generation,
            references,
            problems,
        }))
    }
}
