//! Whether the project wants to hear of what nobody has in the destination's namespace.

use bus::message::condition::{Condition, ConditionType};

use super::App;
use super::target::Target;
use crate::orphan::orphaned;

impl App {
    pub(super) fn look_for_orphans(&mut self, target: &Target) {
        let spec = &target.present.spec;
        let namespace = spec.destination.namespace();
        let project = self.ctx.projects.get(spec.project());
        let asking = project.filter(|project| {
            let asked = project.spec.orphaned_resources.as_ref();
            !namespace.is_empty() && asked.is_some_and(|asked| asked.warn == Some(true))
        });
        let Some(project) = asking else {
            self.forget_orphans();
            return;
        };
        if self.orphans_of.as_deref() != Some(namespace) {
            self.forget_orphans();
            self.orphans_of = Some(namespace.into());
        }
        let released = self
            .record
            .as_ref()
            .and_then(|record| record.history.last())
            .map_or(0, |entry| entry.release.0);
        let found = self
            .ctx
            .orphans
            .ask(namespace, &self.hash, released, &self.waker);
        let said = found.and_then(|found| orphaned(&found, &project.spec));
        self.orphaned = said.map(|message| {
            Condition::new(
                ConditionType::OrphanedResourceWarning,
                &message,
                Self::now(),
            )
        });
    }

    /// Nothing is asked for any more.
    pub(super) fn forget_orphans(&mut self) {
        if let Some(namespace) = self.orphans_of.take() {
            self.ctx.orphans.forget(&namespace, &self.hash);
            self.orphaned = None;
        }
    }
}
