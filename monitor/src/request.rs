//! `Application.operation` (as `argocd app sync` and `kubectl patch` set it) → a command. Pure.

use api::application::Operation;
use api::application::operation::SyncOperation;
use bus::message::command::Action;
use serde_json::Value;

use crate::view::View;

/// What an operation in the object becomes.
#[derive(Debug, PartialEq)]
pub struct Request {
    pub operation: Operation,
    /// The action, or why there is none.
    pub action: Result<Action, String>,
    /// Who asked, as far as the object says: its writer may have put any name here.
    pub user: String,
    /// Parts of the operation that have no effect.
    pub ignored: Vec<&'static str>,
}

/// Names and paths of objects longer than this are nobody's.
const MAX_RESOURCES: usize = 1_000;
const MAX_USER: usize = 256;

pub fn read(operation: &Value, view: &View) -> Request {
    let operation: Operation = match serde_json::from_value(operation.clone()) {
        Ok(operation) => operation,
        Err(error) => {
            return Request {
                operation: Operation::default(),
                action: Err(format!("the operation can't be read: {error}")),
                user: user(None),
                ignored: Vec::new(),
            };
        }
    };
    let user = user(
        operation
            .initiated_by
            .as_ref()
            .and_then(|initiator| initiator.username.as_deref()),
    );
    let ignored = operation.sync.as_ref().map(ignored).unwrap_or_default();
    let action = match &operation.sync {
        Some(sync) => action(sync, view),
        None => Err("the operation asks for nothing: only `sync` can be asked for".to_owned()),
    };
    Request {
        operation,
        action,
        user,
        ignored,
    }
}

fn user(name: Option<&str>) -> String {
    let name: String = name.unwrap_or("unknown").chars().take(MAX_USER).collect();
    format!("{name} (by Application.operation)")
}

fn action(sync: &SyncOperation, view: &View) -> Result<Action, String> {
    if sync
        .manifests
        .as_ref()
        .is_some_and(|manifests| !manifests.is_empty())
    {
        return Err("manifests of one's own can't be synced: commit them".to_owned());
    }
    let asked = (sync.revision.iter()).chain(sync.revisions.iter().flatten());
    for revision in asked.filter(|revision| !revision.is_empty()) {
        let follows = view.sources.iter().any(|source| {
            *revision == source.target_revision || source.revision.as_ref() == Some(revision)
        });
        if !follows && !view.revisions.contains(revision) {
            return Err(format!(
                "revision `{}` is not what the application follows: set spec.source.targetRevision, or roll back to a release",
                revision.chars().take(80).collect::<String>()
            ));
        }
    }
    let resources = sync.resources.as_deref().unwrap_or_default();
    if resources.len() > MAX_RESOURCES {
        return Err(format!(
            "over {MAX_RESOURCES} objects: leave `resources` out to sync all"
        ));
    }
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    Ok(Action::Sync {
        prune: sync.prune == Some(true),
        dry_run: sync.dry_run == Some(true),
        force: false,
        resources: (resources.iter())
            .map(|one| {
                let (group, namespace) = (part(&one.group), part(&one.namespace));
                format!("{group}/{}/{namespace}/{}", one.kind, one.name)
            })
            .collect(),
    })
}

fn ignored(sync: &SyncOperation) -> Vec<&'static str> {
    let options = sync
        .sync_options
        .as_ref()
        .is_some_and(|options| !options.is_empty());
    let given = [
        ("syncOptions", options),
        ("syncStrategy", sync.sync_strategy.is_some()),
        ("source", sync.source.is_some() || sync.sources.is_some()),
    ];
    given
        .into_iter()
        .filter(|(_, given)| *given)
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use serde_json::json;

    #[test]
    fn a_sync_becomes_a_command_in_the_name_of_whoever_the_object_says() {
        let operation = json!({
            "initiatedBy": {"username": "vera"},
            "sync": {"prune": true, "revision": "main", "resources": [{"kind": "Service", "name": "dome"}]}
        });
        let request = read(&operation, &sample::view("dome"));
        assert_eq!(request.user, "vera (by Application.operation)");
        let resources = vec!["/Service//dome".to_owned()];
        let action = Action::Sync {
            prune: true,
            dry_run: false,
            force: false,
            resources,
        };
        assert_eq!(request.action, Ok(action));
    }

    #[test]
    fn a_revision_that_is_not_followed_is_refused_with_a_way_out() {
        let operation = json!({"sync": {"revision": "another-branch"}});
        let refusal = read(&operation, &sample::view("dome")).action.unwrap_err();
        assert!(
            refusal.contains("another-branch") && refusal.contains("targetRevision"),
            "{refusal}"
        );
    }

    #[test]
    fn what_is_not_an_operation_is_refused() {
        for operation in [
            json!({}),
            json!({"sync": 1}),
            json!("sync"),
            json!({"sync": {"manifests": ["{}"]}}),
        ] {
            assert!(
                read(&operation, &sample::view("dome")).action.is_err(),
                "{operation}"
            );
        }
    }

    #[test]
    fn options_without_effect_are_named() {
        let operation =
            json!({"sync": {"syncOptions": ["Replace=true"], "syncStrategy": {"apply": {}}}});
        assert_eq!(
            read(&operation, &sample::view("dome")).ignored,
            ["syncOptions", "syncStrategy"]
        );
    }
}
