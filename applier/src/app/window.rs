//! The project's sync windows hold back what would be done, until their time.

use bus::message::condition::{Condition, ConditionType};

use super::App;
use super::decide::Decision;
use super::target::Target;
use crate::plan::Step;
use crate::window::{Asked, Verdict, Who, verdict};

impl App {
    /// What may be done of a decision now.
    pub(super) fn through_window(&mut self, target: &Target, decision: Decision) -> Decision {
        let who = match decision {
            Decision::Release if !self.requests.is_empty() || self.pin().is_some() => Who::Person,
            Decision::Release | Decision::Rotate | Decision::Heal => Who::Automation,
            Decision::Rest | Decision::Recover => {
                self.held = None;
                return decision;
            }
            Decision::Wait(_) => return decision,
        };
        // The way back is part of the release that failed.
        let begun = self.refused().map(|refused| refused.began);
        match self.window(target, who, begun) {
            Verdict::Open => {
                self.held = None;
                decision
            }
            Verdict::Closed { why, again } => {
                self.hold(&why);
                again.map_or(Decision::Rest, Decision::Wait)
            }
        }
    }

    /// Whether the release at hand must wait for a window before it writes anything more.
    pub(super) fn held_by_window(&mut self) -> bool {
        let Some(running) = &self.running else {
            return false;
        };
        let writes = matches!(
            running.plan.steps.get(running.at),
            Some(
                Step::CreateNamespace(_)
                    | Step::Apply { .. }
                    | Step::Restart { .. }
                    | Step::Delete { .. }
            )
        );
        if !writes {
            return false;
        }
        let who = match running.cause.user() {
            Some(_) => Who::Person,
            None => Who::Automation,
        };
        let target = running.target.clone();
        match self.window(&target, who, Some(running.started)) {
            Verdict::Open => {
                self.held = None;
                false
            }
            Verdict::Closed { why, again } => {
                self.hold(&why);
                if let Some(running) = &mut self.running {
                    running.waits_for = why;
                }
                if let Some(at) = again {
                    self.look_again_at(at);
                }
                true
            }
        }
    }

    fn window(&self, target: &Target, who: Who, begun: Option<u64>) -> Verdict {
        let spec = &target.present.spec;
        let Some(project) = self.ctx.projects.get(spec.project()) else {
            return Verdict::Open;
        };
        let windows = project.spec.sync_windows.as_deref().unwrap_or_default();
        let asked = Asked {
            name: self.id.name(),
            spec,
            who,
            begun,
        };
        verdict(windows, asked, Self::now())
    }

    fn hold(&mut self, why: &str) {
        let fresh = Condition::new(ConditionType::HeldBySyncWindow, why, Self::now());
        if self.held.as_ref().is_none_or(|known| !known.says(&fresh)) {
            self.held = Some(fresh);
        }
    }
}
