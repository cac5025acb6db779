//! Restarting a workload's pods, as `kubectl rollout restart` does. The annotations are a field manager's of their own: neither the next
//! apply nor healing touches them, and a restart by hand is no drift.

use api::Timestamp;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::apply::ApplyError;
use super::resolve_kind;
use crate::cluster::{ApplyParameters, Cluster};
use crate::context::Context;
use crate::object::Manifest;

const MANAGER: &str = "towline-restart";
/// What the pods were last restarted for: read before each restart, so that none happens twice.
const RESTARTED_FOR: &str = "towline.dev/restarted-for";
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// What replaces a workload as a whole keeps what its pods were restarted for: they would restart once more without it.
pub(super) fn keep(wanted: &mut Value, live: &Value) {
    let places = [
        ("/metadata/annotations", RESTARTED_FOR),
        ("/spec/template/metadata/annotations", RESTARTED_AT),
    ];
    if live["metadata"]["annotations"][RESTARTED_FOR].is_null() {
        return;
    }
    for (place, name) in places {
        let Some(kept) = live.pointer(place).and_then(|notes| notes.get(name)) else {
            continue;
        };
        let mut notes = &mut *wanted;
        for field in place.split('/').skip(1) {
            // What isn't a map by now, the server will refuse.
            let Some(next) = notes.as_object_mut() else {
                return;
            };
            notes = next.entry(field).or_insert_with(|| json!({}));
            if notes.is_null() {
                *notes = json!({});
            }
        }
        if let Some(notes) = notes.as_object_mut() {
            notes.entry(name).or_insert_with(|| kept.clone());
        }
    }
}

/// Restarts what isn't restarted for `what` yet. Whether it was there.
pub(crate) async fn restart(
    ctx: &Context,
    cluster: &Cluster,
    workload: &Manifest,
    what: &str,
    now: &Timestamp,
) -> Result<bool, ApplyError> {
    let key = &workload.key;
    let failed = |source| ApplyError::Request {
        key: key.clone(),
        sensitive: workload.is_sensitive(),
        account: cluster.writer().cloned(),
        source: Box::new(source),
    };
    let kind = resolve_kind(ctx, key, Some(&workload.version)).ok_or_else(|| {
        ctx.kinds.refresh();
        ApplyError::UnknownKind { key: key.clone() }
    })?;
    let Some(live) = cluster.get(&kind, key).await.map_err(failed)? else {
        return Ok(false);
    };
    if live["metadata"]["annotations"][RESTARTED_FOR] == what {
        return Ok(true);
    }
    let body = json!({
        "apiVersion": kind.api_version(), "kind": &key.kind,
        "metadata": {
            "name": &key.name, "namespace": &key.namespace,
            // This very object, not one that took its name meanwhile.
            "uid": live["metadata"]["uid"],
            "annotations": {RESTARTED_FOR: what},
        },
        "spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now.as_str()}}}},
    });
    let parameters = ApplyParameters {
        dry_run: false,
        lenient: workload.options.lenient,
    };
    let content = Zeroizing::new(body.to_string().into_bytes());
    let applied = cluster
        .apply_as(MANAGER, &kind, key, content, parameters)
        .await
        .map_err(failed)?;
    ctx.live.found(key, applied.object);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_that_is_replaced_keeps_what_its_pods_were_restarted_for() {
        let live = json!({
            "metadata": {"annotations": {RESTARTED_FOR: "v2", "other": "x"}},
            "spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: "then", "by": "hand"}}}},
        });
        let mut wanted = json!({"metadata": {"name": "a"}, "spec": {"template": {"metadata": {"annotations": null}}}});
        keep(&mut wanted, &live);
        assert_eq!(
            wanted,
            json!({
                "metadata": {"name": "a", "annotations": {RESTARTED_FOR: "v2"}},
                "spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: "then"}}}},
            })
        );
    }

    #[test]
    fn a_restart_by_hand_is_replaced_and_what_git_says_itself_counts() {
        let by_hand =
            json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: "then"}}}}});
        let mut wanted = json!({"kind": "Deployment"});
        keep(&mut wanted, &by_hand);
        assert_eq!(wanted, json!({"kind": "Deployment"}));
        let live = json!({
            "metadata": {"annotations": {RESTARTED_FOR: "v2"}},
            "spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: "then"}}}},
        });
        let mut wanted =
            json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: "now"}}}}});
        keep(&mut wanted, &live);
        assert_eq!(
            wanted["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT],
            "now"
        );
    }
}
