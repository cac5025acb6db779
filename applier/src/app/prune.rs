//! What left the manifests: what of it may go now, and what a person has to agree to first.

use api::annotations;

use super::App;
use super::release::Request;
use super::target::Target;
use crate::plan::{self, Bounds, Defaults, Leaving, Limit, Presences, Pruning, Withheld};
use crate::store::Asked;

impl App {
    /// What a release would delete now, and why the rest stays.
    pub(super) fn leaving(
        &self,
        target: &Target,
        live: &Presences,
    ) -> (Vec<Leaving>, Option<Withheld>) {
        let Some(record) = &self.record else {
            return (Vec::new(), None);
        };
        let defaults = Defaults::of(&target.present.spec);
        let mut leaving = plan::leaving(&record.inventory, &target.manifests, live, defaults);
        // What is on its way out, or makes no difference, is no reason for a release.
        leaving.retain(|leaving| leaving.counts && !leaving.object.deleting);
        let bounds = Bounds::of(
            self.pruning(target, None),
            self.limit(),
            &record.inventory,
            &target.manifests,
        );
        plan::judge(leaving, bounds)
    }

    /// Writes down since when a person is asked about the deletions that these manifests bring: an earlier word doesn't count.
    pub(super) async fn ask_about_deletions(&mut self, target: &Target, live: &Presences) {
        let (_, withheld) = self.leaving(target, live);
        if self.ctx.observe || !withheld.is_some_and(|withheld| withheld.can_be_approved()) {
            return;
        }
        let Some(record) = &mut self.record else {
            return;
        };
        let asked = record.asked.as_ref();
        if asked.is_some_and(|asked| asked.manifests == target.digest) {
            return;
        }
        record.asked = Some(Asked {
            manifests: target.digest.clone(),
            since: Self::now(),
        });
        self.save(None).await;
    }

    pub(super) fn pruning(&self, target: &Target, request: Option<&Request>) -> Pruning {
        let spec = &target.present.spec;
        if self.approves_deletions(target) {
            Pruning::Approved
        } else if request.is_some_and(|request| request.prune) {
            Pruning::Asked
        } else if spec.prune() {
            Pruning::Automated {
                allow_empty: spec.allow_empty(),
            }
        } else {
            Pruning::No
        }
    }

    /// Whether a person agreed to the deletions that the last release of these manifests left.
    pub(super) fn approves_deletions(&self, target: &Target) -> bool {
        let asked = self
            .record
            .as_ref()
            .and_then(|record| record.asked.as_ref());
        asked.is_some_and(|asked| {
            asked.manifests == target.digest
                && plan::approval::approves(
                    self.note(annotations::DELETION_APPROVED).as_deref(),
                    asked.since,
                )
        })
    }

    /// What may be pruned without a confirmation; where the annotation says nothing that can be used, the default.
    pub(super) fn limit(&self) -> Limit {
        self.note(annotations::MAX_DELETIONS)
            .and_then(|text| Limit::read(&text))
            .unwrap_or_default()
    }

    /// An annotation of the Application as it is now, whatever is being released.
    fn note(&self, key: &str) -> Option<String> {
        self.present()?.annotations.get(key).cloned()
    }
}
