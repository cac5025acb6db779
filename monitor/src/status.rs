//! A [`View`] in the shape of Argo CD's `Application.status`, field by field. Pure.

use std::collections::BTreeMap;

use api::Timestamp;
use api::application::operation::{
    self, OperationInitiator, OperationState, SyncOperation, SyncOperationResult,
};
use api::application::status::{
    ApplicationCondition, ApplicationSummary, ComparedTo, HealthStatus, HealthStatusCode,
    ResourceStatus, RevisionHistory, SyncStatus, SyncStatusCode,
};
use api::application::{ApplicationSource, Operation};
use bus::message::manifests::SourceType;
use bus::message::state;
use serde::Serialize;
use serde_json::Value;

use crate::declared::Declared;
use crate::view::{Requested, View};

/// A command that nobody took in this time is gone from the bus, in milliseconds.
const REQUEST_KEPT: u64 = 3_600_000;

/// The fields that a status should have: a value, or None for a field that should be absent. A field that isn't named stays
/// as it is.
pub type Fields = BTreeMap<&'static str, Option<Value>>;

/// Builds the fields. What is not known yet (no applier spoke since the broker was wiped) leaves alone what the object shows.
pub fn fields(view: &View, declared: &Declared, now_ms: u64) -> Result<Fields, serde_json::Error> {
    let mut fields = Fields::new();
    fields.insert("conditions", some(&conditions(view))?);
    let known = view.live_generation.is_some();
    let unknown_yet = |field: &str| !known && declared.shown.fields.contains_key(field);
    if !unknown_yet("sync") {
        fields.insert("sync", Some(serde_json::to_value(sync(view, declared))?));
    }
    if !unknown_yet("health") {
        let health = health(&view.health.message, view.health.status, view.health.since);
        fields.insert("health", Some(serde_json::to_value(health)?));
    }
    if known {
        fields.insert("resources", some(&resources(view))?);
        fields.insert("history", some(&history(view, declared))?);
        let summary = ApplicationSummary {
            images: (!view.images.is_empty()).then(|| view.images.to_vec()),
            ..ApplicationSummary::default()
        };
        fields.insert("summary", Some(serde_json::to_value(summary)?));
        // Argo CD 3 may have left word that health is not in the resources; here it is.
        fields.insert("resourceHealthSource", None);
    }
    if let Some(state) = operation_state(view, declared, now_ms) {
        fields.insert("operationState", Some(serde_json::to_value(state)?));
    }
    if let Some(first) = view.source_types.first() {
        let one = (!declared.plural).then(|| Value::from(source_type(*first)));
        fields.insert("sourceType", one);
        let all = declared.plural.then(|| source_types(view, declared));
        fields.insert("sourceTypes", all.map(Value::from));
    }
    Ok(fields)
}

/// An empty list is left out, as Argo CD does.
fn some<T: Serialize>(items: &[T]) -> Result<Option<Value>, serde_json::Error> {
    if items.is_empty() {
        Ok(None)
    } else {
        serde_json::to_value(items).map(Some)
    }
}

/// Unix milliseconds in Kubernetes' form; none for a time that isn't known.
pub fn time(ms: u64) -> Option<Timestamp> {
    let instant = jiff::Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
    (ms > 0).then(|| instant.into())
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// One revision, or all where the specification has its sources in the plural.
fn revisions(of: &[String], declared: &Declared) -> (Option<String>, Option<Vec<String>>) {
    if declared.plural {
        (None, (!of.is_empty()).then(|| of.to_vec()))
    } else {
        (of.first().cloned(), None)
    }
}

fn sources(
    of: &[ApplicationSource],
    declared: &Declared,
) -> (Option<ApplicationSource>, Option<Vec<ApplicationSource>>) {
    if declared.plural {
        (None, (!of.is_empty()).then(|| of.to_vec()))
    } else {
        (of.first().cloned(), None)
    }
}

/// One for each source. A source that only lends its files has no tool: Argo CD shows an empty name.
fn source_types(view: &View, declared: &Declared) -> Vec<&'static str> {
    let mut known = view.source_types.iter().map(|one| source_type(*one));
    let sources = declared.sources.iter();
    sources
        .filter_map(|source| {
            if source.is_reference_only() {
                Some("")
            } else {
                known.next()
            }
        })
        .collect()
}

fn sync(view: &View, declared: &Declared) -> SyncStatus {
    let (revision, revisions) = revisions(&view.revisions, declared);
    let (source, sources) = sources(&declared.sources, declared);
    SyncStatus {
        status: sync_code(view.sync),
        compared_to: Some(ComparedTo {
            destination: declared.destination.clone(),
            source,
            sources,
            ..ComparedTo::default()
        }),
        revision,
        revisions,
        ..SyncStatus::default()
    }
}

fn sync_code(status: state::SyncStatus) -> SyncStatusCode {
    match status {
        state::SyncStatus::Synced => SyncStatusCode::Synced,
        state::SyncStatus::OutOfSync => SyncStatusCode::OutOfSync,
        state::SyncStatus::Unknown => SyncStatusCode::Unknown,
    }
}

fn health(message: &str, status: state::HealthStatus, since: u64) -> HealthStatus {
    HealthStatus {
        status: Some(match status {
            state::HealthStatus::Healthy => HealthStatusCode::Healthy,
            state::HealthStatus::Progressing => HealthStatusCode::Progressing,
            state::HealthStatus::Degraded => HealthStatusCode::Degraded,
            state::HealthStatus::Suspended => HealthStatusCode::Suspended,
            state::HealthStatus::Missing => HealthStatusCode::Missing,
            state::HealthStatus::Unknown => HealthStatusCode::Unknown,
        }),
        message: text(message),
        last_transition_time: time(since),
        ..HealthStatus::default()
    }
}

fn conditions(view: &View) -> Vec<ApplicationCondition> {
    let one = |condition: &bus::message::condition::Condition| ApplicationCondition {
        kind: condition.kind.as_str().to_owned(),
        message: condition.message.clone(),
        last_transition_time: time(condition.since),
        ..ApplicationCondition::default()
    };
    view.conditions.iter().map(one).collect()
}

fn resources(view: &View) -> Vec<ResourceStatus> {
    let one = |resource: &state::ResourceState| ResourceStatus {
        group: text(&resource.group),
        version: text(&resource.version),
        kind: text(&resource.kind),
        namespace: text(&resource.namespace),
        name: text(&resource.name),
        status: resource.sync.map(sync_code),
        health: resource
            .health
            .map(|status| health(&resource.message, status, 0)),
        hook: resource.hook.then_some(true),
        requires_pruning: resource.prune.then_some(true),
        sync_wave: (resource.wave != 0).then_some(resource.wave),
        ..ResourceStatus::default()
    };
    view.resources.iter().map(one).collect()
}

fn history(view: &View, declared: &Declared) -> Vec<RevisionHistory> {
    let one = |entry: &state::HistoryEntry| {
        let released: Vec<ApplicationSource> = (entry.sources.iter())
            .filter_map(|source| serde_json::from_value(source.clone()).ok())
            .collect();
        let (revision, revisions) = revisions(&entry.revisions, declared);
        let (source, sources) = sources(&released, declared);
        Some(RevisionHistory {
            id: i64::try_from(entry.release.0).ok()?,
            deployed_at: time(entry.finished)?,
            deploy_started_at: time(entry.started),
            revision,
            revisions,
            source,
            sources,
            initiated_by: Some(initiator(&entry.cause)),
            ..RevisionHistory::default()
        })
    };
    view.history.iter().filter_map(one).collect()
}

fn initiator(cause: &state::ReleaseCause) -> OperationInitiator {
    let username = cause.user().map(ToOwned::to_owned);
    OperationInitiator {
        automated: username.is_none().then_some(true),
        username,
        ..OperationInitiator::default()
    }
}

fn operation_state(view: &View, declared: &Declared, now_ms: u64) -> Option<OperationState> {
    if let Some(requested) = &view.requested {
        return requested_state(requested, now_ms);
    }
    let operation = view.operation.as_deref()?;
    let (revision, revisions) = revisions(&operation.revisions, declared);
    let (source, sources) = sources(&declared.sources, declared);
    Some(OperationState {
        operation: Operation {
            sync: Some(SyncOperation {
                revision: revision.clone(),
                revisions: revisions.clone(),
                dry_run: operation.dry_run.then_some(true),
                ..SyncOperation::default()
            }),
            initiated_by: Some(initiator(&operation.cause)),
            ..Operation::default()
        },
        phase: phase(operation.phase),
        message: text(&operation.message),
        started_at: time(operation.started)?,
        finished_at: operation.finished.and_then(time),
        retry_count: (operation.retries > 0).then_some(i64::from(operation.retries)),
        sync_result: Some(SyncOperationResult {
            revision: revision.unwrap_or_default(),
            revisions,
            source,
            sources,
            resources: Some(operation.results.iter().map(result).collect()),
            ..SyncOperationResult::default()
        }),
        ..OperationState::default()
    })
}

/// An operation that was asked for and has no release yet.
fn requested_state(requested: &Requested, now_ms: u64) -> Option<OperationState> {
    let expired = now_ms.saturating_sub(requested.at) > REQUEST_KEPT;
    let refused = requested.refused.as_deref().or(expired.then_some(
        "no applier carried it out within an hour: check that the cluster's applier runs",
    ));
    Some(OperationState {
        operation: requested.operation.clone(),
        phase: match refused {
            Some(_) => operation::OperationPhase::Failed,
            None => operation::OperationPhase::Running,
        },
        message: Some(
            refused
                .unwrap_or("waiting for the cluster's applier")
                .to_owned(),
        ),
        started_at: time(requested.at)?,
        finished_at: refused.and_then(|_| time(requested.at)),
        ..OperationState::default()
    })
}

fn phase(phase: state::OperationPhase) -> operation::OperationPhase {
    match phase {
        state::OperationPhase::Running => operation::OperationPhase::Running,
        state::OperationPhase::Succeeded => operation::OperationPhase::Succeeded,
        state::OperationPhase::Failed => operation::OperationPhase::Failed,
        state::OperationPhase::Error => operation::OperationPhase::Error,
        state::OperationPhase::Terminating => operation::OperationPhase::Terminating,
    }
}

fn result(result: &state::ResourceResult) -> operation::ResourceResult {
    operation::ResourceResult {
        group: result.group.clone(),
        version: result.version.clone(),
        kind: result.kind.clone(),
        namespace: result.namespace.clone(),
        name: result.name.clone(),
        status: Some(match result.status {
            state::ResultStatus::Synced => operation::ResultCode::Synced,
            state::ResultStatus::SyncFailed => operation::ResultCode::SyncFailed,
            state::ResultStatus::Pruned => operation::ResultCode::Pruned,
            state::ResultStatus::PruneSkipped => operation::ResultCode::PruneSkipped,
        }),
        message: text(&result.message),
        hook_type: result.hook_phase.and_then(|_| text(&result.phase)),
        hook_phase: result.hook_phase.map(phase),
        sync_phase: text(&result.phase),
        ..operation::ResourceResult::default()
    }
}

fn source_type(of: SourceType) -> &'static str {
    match of {
        SourceType::Directory => "Directory",
        SourceType::Helm | SourceType::HelmLastMile => "Helm",
        SourceType::Kustomize => "Kustomize",
    }
}

#[cfg(test)]
mod tests;
