//! One application as people and programs see it: what all services say of it, in one value.

use std::sync::Arc;

use api::application::{ApplicationDestination, operation};
use bus::message::condition::{Condition, ConditionType};
use bus::message::desired::Commit;
use bus::message::manifests::SourceType;
use bus::message::state::{
    Health, HistoryEntry, Operation, OperationPhase, Pin, ResourceState, SyncStatus, Timeline,
};
use bus::{AppId, ClusterId, Generation};
use serde::{Deserialize, Serialize};

use crate::progress::completed;

/// One application in full. The large parts are shared with what the applier said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    pub app: AppId,
    /// UID of the `Application` object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    pub project: String,
    /// None while the destination matches no cluster.
    pub cluster: Option<ClusterId>,
    pub destination: ApplicationDestination,
    /// The column of the matrix: label `towline.dev/environment`, else `<cluster>/<namespace>`.
    pub environment: String,
    /// The row of the matrix: label `towline.dev/service`, else the name without the environment.
    pub service: String,
    /// Whether a new revision is released without being asked.
    pub automated: bool,
    pub sync: SyncStatus,
    /// What sync status and resources are about, one per source.
    pub revisions: Vec<String>,
    pub sources: Vec<SourceView>,
    pub source_types: Vec<SourceType>,
    pub health: Health,
    pub conditions: Vec<Condition>,
    pub resources: Arc<Vec<ResourceState>>,
    /// The running or last release.
    pub operation: Option<Arc<Operation>>,
    /// An operation that was asked for through the object, until its release shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<Arc<Requested>>,
    /// Newest last.
    pub history: Arc<Vec<HistoryEntry>>,
    pub pin: Option<Pin>,
    pub images: Arc<Vec<String>>,
    /// The newest desired state.
    pub generation: Option<Generation>,
    /// The desired state that sync status, health and resources are about.
    pub live_generation: Option<Generation>,
    pub deleting: bool,
    /// Compared and shown only.
    pub observe: bool,
    /// UID of the object whose deletion was carried out.
    #[serde(skip)]
    pub(crate) deleted: Option<String>,
}

/// One source of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceView {
    pub repo_url: String,
    /// The chart, or the folder; a source that only lends its files has its `$ref`.
    #[serde(default)]
    pub part: String,
    pub target_revision: String,
    /// Of the newest desired state.
    pub revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
    /// The key of the branch in bucket `verified`.
    #[serde(skip)]
    pub(crate) branch: String,
}

impl SourceView {
    /// The target revision as a person reads it: an absent one has a name.
    pub fn target(&self) -> &str {
        if self.target_revision.is_empty() {
            "HEAD"
        } else {
            &self.target_revision
        }
    }
}

/// An operation that stood in the `Application` object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requested {
    /// Id of the command that it became.
    pub id: String,
    pub operation: operation::Operation,
    /// Unix milliseconds.
    pub at: u64,
    /// Why it won't be carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// One application in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub app: AppId,
    pub project: String,
    pub cluster: Option<ClusterId>,
    pub environment: String,
    pub service: String,
    pub automated: bool,
    pub sync: SyncStatus,
    pub revisions: Vec<String>,
    pub health: Health,
    pub conditions: Vec<Condition>,
    /// Of the running or last release.
    pub phase: Option<OperationPhase>,
    pub pin: Option<Pin>,
    pub deleting: bool,
    pub observe: bool,
}

/// One stage of a commit's way, with the time it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    pub name: StageName,
    /// Unix milliseconds.
    pub ended: u64,
    /// Milliseconds.
    pub took: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StageName {
    Fetch,
    Desired,
    Render,
    Plan,
    Apply,
    Healthy,
}

impl StageName {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Desired => "desired",
            Self::Render => "render",
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::Healthy => "healthy",
        }
    }
}

/// The stages that a release has behind it, in order. Services' clocks may differ a little: no stage takes less than nothing.
pub fn stages(timeline: &Timeline) -> Vec<Stage> {
    let Some(trigger) = &timeline.trigger else {
        return Vec::new();
    };
    let ends = [
        (StageName::Fetch, Some(trigger.fetched)),
        (StageName::Desired, Some(trigger.published)),
        (StageName::Render, timeline.rendered),
        (StageName::Plan, timeline.planned),
        (StageName::Apply, timeline.applied),
        (StageName::Healthy, timeline.healthy),
    ];
    let mut before = trigger.noticed;
    let mut stages = Vec::with_capacity(ends.len());
    for (name, ended) in ends {
        if let Some(ended) = ended {
            let ended = ended.max(before);
            stages.push(Stage {
                name,
                ended,
                took: ended - before,
            });
            before = ended;
        }
    }
    stages
}

impl View {
    /// Whether live was compared to the newest desired state, so that a later commit which changed nothing of it counts.
    pub fn is_current(&self) -> bool {
        let blocked = |condition: &Condition| prevents_comparison(condition.kind);
        self.generation.is_some()
            && self.live_generation >= self.generation
            && !self.conditions.iter().any(blocked)
    }

    /// Whether it will be another soon by itself: a newer desired state is on its way, or a release runs.
    pub fn is_under_way(&self) -> bool {
        let runs = |operation: &Arc<Operation>| !completed(operation.phase);
        self.live_generation < self.generation || self.operation.as_ref().is_some_and(runs)
    }

    pub fn summary(&self) -> Summary {
        Summary {
            app: self.app.clone(),
            project: self.project.clone(),
            cluster: self.cluster.clone(),
            environment: self.environment.clone(),
            service: self.service.clone(),
            automated: self.automated,
            sync: self.sync,
            revisions: self.revisions.clone(),
            health: self.health.clone(),
            conditions: self.conditions.clone(),
            phase: self.operation.as_ref().map(|operation| operation.phase),
            pin: self.pin.clone(),
            deleting: self.deleting,
            observe: self.observe,
        }
    }
}

/// Whether a condition of this type means that the newest desired state can't even be compared.
pub const fn prevents_comparison(kind: ConditionType) -> bool {
    matches!(
        kind,
        ConditionType::ComparisonError | ConditionType::InvalidSpecError
    )
}

/// Whether a condition says that something is wrong, and not merely worth knowing.
pub fn is_error(kind: ConditionType) -> bool {
    api::application::condition::is_error(kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bus::message::desired::{Cause, Trigger};

    fn timeline() -> Timeline {
        Timeline {
            trigger: Some(Trigger {
                cause: Cause::Webhook,
                hard: false,
                noticed: 1_000,
                fetched: 1_050,
                published: 1_060,
            }),
            render_started: Some(1_062),
            rendered: Some(1_100),
            planned: Some(1_105),
            applied: Some(1_200),
            healthy: None,
        }
    }

    #[test]
    fn a_release_shows_the_stages_behind_it() {
        let took: Vec<_> = stages(&timeline())
            .iter()
            .map(|stage| (stage.name.as_str(), stage.took))
            .collect();
        assert_eq!(
            took,
            [
                ("fetch", 50),
                ("desired", 10),
                ("render", 40),
                ("plan", 5),
                ("apply", 95)
            ]
        );
    }

    #[test]
    fn a_clock_that_lags_makes_no_negative_stage() {
        let mut skewed = timeline();
        skewed.planned = Some(900);
        let stages = stages(&skewed);
        assert_eq!(stages[3].took, 0);
        assert_eq!(stages[4].took, 100);
    }
}
