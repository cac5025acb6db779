//! `ServerSideApply=false`, and what server-side apply refuses: a three-way merge, made here and sent as a merge patch.

use serde_json::Value;

use super::{respect, three_way};
use crate::cluster::{ApiKind, Cluster, ClusterError, Content, MANAGER, PatchForm};
use crate::drift::Mask;
use crate::object::Key;
use crate::secrets::Cleared;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// How often an object that changes meanwhile is looked at anew.
const ATTEMPTS: usize = 5;

/// Creates the object, or patches it; what the last apply had and this one lacks goes. Whether it was created. With `sensitive`, the
/// last apply isn't remembered in the object's annotation but read from the fields that we own.
pub(super) async fn apply(
    cluster: &Cluster,
    kind: &ApiKind,
    key: &Key,
    body: &Content,
    sensitive: bool,
    respected: Option<&Mask>,
) -> Result<(Value, bool), ClusterError> {
    let mut wanted = Cleared::read(body)?;
    if !sensitive {
        let text = wanted.to_string();
        wanted["metadata"]["annotations"][LAST_APPLIED] = text.into();
    }
    let mut attempt = 1;
    loop {
        let Some(mut live) = cluster.get(kind, key).await? else {
            match cluster.create(kind, key, wanted.write()?).await {
                Err(error) if error.is_conflict() && attempt < ATTEMPTS => attempt += 1,
                created => return created.map(|object| (object, true)),
            }
            continue;
        };
        if key.is_secret() {
            // Its values aren't asked for.
            live["data"] = Value::Null;
        }
        let Some(patch) = patch(&wanted, &live, kind, sensitive, respected) else {
            return Ok((live, false));
        };
        match cluster
            .patch(kind, key, PatchForm::Merge, patch.write()?)
            .await
        {
            // It changed, or went, since it was looked at.
            Err(error) if (error.is_conflict() || error.is_not_found()) && attempt < ATTEMPTS => {
                attempt += 1;
            }
            patched => return patched.map(|object| (object, false)),
        }
    }
}

/// What makes `live` as it is wanted, if it is still of this version; none where it is.
pub(super) fn patch(
    wanted: &Value,
    live: &Value,
    kind: &ApiKind,
    sensitive: bool,
    respected: Option<&Mask>,
) -> Option<Cleared> {
    let mut last = last(live, sensitive);
    if let Some(mask) = respected {
        // What doesn't count and isn't written must not be taken for dropped.
        last = mask.without(&last);
    }
    let wanted = respect::whole(wanted, live, respected);
    let patch = three_way::patch(&last, &wanted, live, is_built_in(kind))?;
    let mut patch = Cleared::new(patch);
    patch["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
    Some(patch)
}

/// What the last apply had, as far as it is known.
fn last(live: &Value, sensitive: bool) -> Value {
    if sensitive {
        return three_way::owned(live, MANAGER);
    }
    live["metadata"]["annotations"][LAST_APPLIED]
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// Whether the kind is one of Kubernetes' own, whose lists are merged by item.
fn is_built_in(kind: &ApiKind) -> bool {
    !kind.group.contains('.') || kind.group.ends_with(".k8s.io")
}
