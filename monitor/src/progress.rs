//! What the step from one state of a release to the next means for the metrics. Pure.

use bus::message::state::{Operation, OperationPhase, ReleaseCause};

use crate::view::{Stage, stages};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The release ended just now.
    pub finished: Option<OperationPhase>,
    /// A commit became healthy just now.
    pub live: Option<CommitToLive>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitToLive {
    pub stages: Vec<Stage>,
    /// Milliseconds from the first notice to healthy.
    pub total: u64,
}

pub fn progress(before: Option<&Operation>, after: Option<&Operation>) -> Progress {
    let Some(after) = after.filter(|after| !after.dry_run) else {
        return Progress::default();
    };
    let before = before.filter(|before| before.release == after.release);
    let ended = |operation: &Operation| completed(operation.phase);
    let healthy = |operation: &Operation| operation.timeline.healthy.is_some();
    let newly = |test: &dyn Fn(&Operation) -> bool| test(after) && !before.is_some_and(test);
    // Only a new desired state comes from a commit; what heals or repeats has the trigger of long ago.
    let of_commit = after.cause == ReleaseCause::Automated;
    Progress {
        finished: newly(&ended).then_some(after.phase),
        live: (of_commit && newly(&healthy))
            .then(|| {
                let stages = stages(&after.timeline);
                let noticed = after.timeline.trigger.as_ref()?.noticed;
                let total = stages.last()?.ended - noticed;
                Some(CommitToLive { stages, total })
            })
            .flatten(),
    }
}

pub const fn completed(phase: OperationPhase) -> bool {
    match phase {
        OperationPhase::Succeeded | OperationPhase::Failed | OperationPhase::Error => true,
        OperationPhase::Running | OperationPhase::Terminating => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_release_that_ends_counts_once() {
        let mut before = sample::operation(3);
        before.phase = OperationPhase::Running;
        before.timeline.healthy = None;
        let after = sample::operation(3);
        let step = progress(Some(&before), Some(&after));
        assert_eq!(step.finished, Some(OperationPhase::Succeeded));
        assert!(step.live.is_some());
        assert_eq!(progress(Some(&after), Some(&after)), Progress::default());
    }

    #[test]
    fn the_total_is_from_notice_to_healthy() {
        let live = progress(None, Some(&sample::operation(1))).live.unwrap();
        assert_eq!(
            live.total,
            live.stages.iter().map(|stage| stage.took).sum::<u64>()
        );
    }

    #[test]
    fn what_heals_is_no_commit() {
        let mut healed = sample::operation(4);
        healed.cause = ReleaseCause::SelfHeal;
        let step = progress(Some(&sample::operation(3)), Some(&healed));
        assert_eq!(step.live, None);
        assert_eq!(step.finished, Some(OperationPhase::Succeeded));
    }
}
