//! `ServerSideApply=false`, and what server-side apply refuses: a three-way merge, made here and sent as a merge patch.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::three_way;
use crate::cluster::{ApiKind, Cluster, ClusterError, Content, MANAGER, PatchForm};
use crate::object::Key;

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
) -> Result<(Value, bool), ClusterError> {
    let mut wanted: Value = serde_json::from_slice(body).map_err(ClusterError::Unreadable)?;
    if key.is_secret() {
        encode(&mut wanted);
    }
    if !sensitive {
        let text = wanted.to_string();
        wanted["metadata"]["annotations"][LAST_APPLIED] = text.into();
    }
    let mut attempt = 1;
    loop {
        let Some(mut live) = cluster.get(kind, key).await? else {
            match cluster.create(kind, key, write(&wanted)?).await {
                Err(error) if error.is_conflict() && attempt < ATTEMPTS => attempt += 1,
                created => return created.map(|object| (object, true)),
            }
            continue;
        };
        if key.is_secret() {
            // Its values aren't asked for.
            live["data"] = Value::Null;
        }
        let last = last(&live, sensitive);
        let Some(mut patch) = three_way::patch(&last, &wanted, &live, is_built_in(kind)) else {
            return Ok((live, false));
        };
        patch["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        match cluster
            .patch(kind, key, PatchForm::Merge, write(&patch)?)
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

/// As the server keeps a Secret's `stringData`: among its data.
fn encode(secret: &mut Value) {
    let Some(Value::Object(texts)) = secret
        .as_object_mut()
        .and_then(|secret| secret.remove("stringData"))
    else {
        return;
    };
    if !secret["data"].is_object() {
        secret["data"] = Value::Object(Map::new());
    }
    for (name, text) in texts {
        if let Some(text) = text.as_str() {
            secret["data"][name] = BASE64.encode(text).into();
        }
    }
}

/// Whether the kind is one of Kubernetes' own, whose lists are merged by item.
fn is_built_in(kind: &ApiKind) -> bool {
    !kind.group.contains('.') || kind.group.ends_with(".k8s.io")
}

pub(super) fn write(value: &Value) -> Result<Content, ClusterError> {
    serde_json::to_vec(value)
        .map(Zeroizing::new)
        .map_err(ClusterError::Unreadable)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_of_a_secret_are_among_its_data() {
        let mut secret = json!({"data": {"a": "eA=="}, "stringData": {"b": "y"}});
        encode(&mut secret);
        assert_eq!(secret, json!({"data": {"a": "eA==", "b": "eQ=="}}));
    }
}
