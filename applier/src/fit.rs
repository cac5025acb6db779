//! A state too large for one message is shown in part: what went well is left out first, then what is fine, then the rest.

use bus::message::condition::{Condition, ConditionType};
use bus::message::state::{
    ApplierState, HealthStatus, OperationPhase, ResourceResult, ResourceState, ResultStatus,
    SyncStatus,
};
use serde::Serialize;

/// The longest text of one object that is kept then.
const TEXT: usize = 256;
/// Room for the condition that is added.
const SPARE: usize = 1024;

/// What fits into `limit` bytes, with a condition that says what is left out. What is said of the whole stays.
pub(crate) fn to_fit(mut state: ApplierState, limit: usize) -> ApplierState {
    let limit = limit.saturating_sub(SPARE);
    let (objects, conditions) = (state.resources.len(), state.conditions.len());
    let releases = state.history.len();
    for resource in &mut state.resources {
        shorten(&mut resource.message);
    }
    if let Some(operation) = &mut state.operation {
        operation.results.retain(is_bad);
        for result in &mut operation.results {
            shorten(&mut result.message);
        }
        keep(&mut operation.results, limit / 8);
    }
    keep(&mut state.conditions, limit / 8);
    keep(&mut state.images, limit / 8);
    while size(&state.history) > limit / 8 && !state.history.is_empty() {
        state.history.remove(0);
    }
    // Stable: those that are alike stay in their order.
    state.resources.sort_by_key(is_fine);
    let rest = size(&state).saturating_sub(size(&state.resources));
    keep(&mut state.resources, limit.saturating_sub(rest));

    let left_out = [
        ("objects", objects, state.resources.len()),
        ("conditions", conditions, state.conditions.len()),
        ("releases", releases, state.history.len()),
    ]
    .into_iter()
    .filter(|(_, all, kept)| kept < all)
    .map(|(what, all, kept)| format!("{} of {all} {what}", all - kept))
    .collect::<Vec<_>>();
    let left_out = if left_out.is_empty() {
        "results of objects that went well".to_owned()
    } else {
        left_out.join(", ")
    };
    state.conditions.push(Condition::new(
        ConditionType::UnknownError,
        &format!(
            "too large to be shown whole: left out here are {left_out}. They are released and watched all the same"
        ),
        state.health.since,
    ));
    state
}

/// As much of the list as fits into so many bytes.
fn keep<T: Serialize>(list: &mut Vec<T>, room: usize) {
    let mut used = "[]".len();
    let fits = list
        .iter()
        .take_while(|item| {
            used += size(item) + ",".len();
            used <= room
        })
        .count();
    list.truncate(fits);
}

fn is_fine(resource: &ResourceState) -> bool {
    !resource.prune
        && matches!(resource.sync, None | Some(SyncStatus::Synced))
        && matches!(
            resource.health,
            None | Some(HealthStatus::Healthy | HealthStatus::Suspended)
        )
}

fn is_bad(result: &ResourceResult) -> bool {
    result.status == ResultStatus::SyncFailed
        || matches!(
            result.hook_phase,
            Some(OperationPhase::Failed | OperationPhase::Error)
        )
}

fn shorten(text: &mut String) {
    text.truncate(text.floor_char_boundary(TEXT));
}

fn size(value: &(impl Serialize + ?Sized)) -> usize {
    serde_json::to_vec(value).map_or(0, |json| json.len())
}

#[cfg(test)]
mod tests {
    use bus::message::state::Health;
    use bus::{AppId, ClusterId, Generation};

    use super::*;

    const LIMIT: usize = 20_000;

    fn resource(name: String, sync: SyncStatus) -> ResourceState {
        ResourceState {
            group: String::new(),
            version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: "shop".to_owned(),
            name,
            sync: Some(sync),
            health: None,
            message: "ü".repeat(500),
            wave: 0,
            hook: false,
            prune: false,
        }
    }

    fn state(objects: usize) -> ApplierState {
        ApplierState {
            app: AppId::new("argocd", "shop").unwrap(),
            cluster: ClusterId::new("in-cluster").unwrap(),
            uid: "u".to_owned(),
            generation: Generation(1),
            sync: SyncStatus::OutOfSync,
            revisions: vec![],
            health: Health {
                status: HealthStatus::Healthy,
                message: String::new(),
                since: 7,
            },
            resources: (0..objects)
                .map(|n| resource(format!("object-{n}"), SyncStatus::Synced))
                .chain([resource("wrong".to_owned(), SyncStatus::OutOfSync)])
                .collect(),
            conditions: (0..objects)
                .map(|n| Condition::new(ConditionType::ClientSideApplyWarning, &n.to_string(), 7))
                .collect(),
            operation: None,
            history: vec![],
            pin: None,
            images: vec![],
            observe: false,
            deleted: None,
        }
    }

    #[test]
    fn what_is_over_the_limit_is_left_out_and_said() {
        let fitted = to_fit(state(2_000), LIMIT);

        assert!(size(&fitted) <= LIMIT, "{}", size(&fitted));
        assert!(size(&fitted) > LIMIT / 2, "{}", size(&fitted));
        let said = &fitted.conditions.last().unwrap().message;
        let left_out = 2_001 - fitted.resources.len();
        assert!(
            said.contains(&format!("{left_out} of 2001 objects")),
            "{said}"
        );
    }

    #[test]
    fn what_is_wrong_is_shown_before_what_is_fine() {
        let fitted = to_fit(state(2_000), LIMIT);

        let names: Vec<_> = fitted
            .resources
            .iter()
            .map(|one| &one.name)
            .take(2)
            .collect();
        assert_eq!(names, ["wrong", "object-0"]);
    }

    #[test]
    fn the_same_state_is_shown_in_the_same_words() {
        assert_eq!(to_fit(state(2_000), LIMIT), to_fit(state(2_000), LIMIT));
    }
}
