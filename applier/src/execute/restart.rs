//! Restarting a workload's pods, as `kubectl rollout restart` does. The annotations are a field manager's of their own: neither the next
//! apply nor healing touches them, and a restart by hand is no drift.

use api::Timestamp;
use serde_json::json;
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
