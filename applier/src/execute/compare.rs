//! What an apply would change of the fields that count, by the server's own dry run: for objects that we have never applied and
//! may not.

use serde_json::Value;

use super::resolve_kind;
use crate::cluster::{ApplyParameters, ClusterError};
use crate::context::Context;
use crate::object::Manifest;
use crate::secrets::Resolved;

/// Whether applying would change the object; an object with secrets is taken for changed, since its values aren't asked for.
pub(crate) async fn differs(ctx: &Context, manifest: &Manifest) -> Result<bool, ClusterError> {
    let Some(kind) = resolve_kind(ctx, &manifest.key, Some(&manifest.version)) else {
        return Ok(true);
    };
    let Ok(content) = manifest.content(&Resolved::new()) else {
        return Ok(true);
    };
    let Some(live) = ctx.cluster.get(&kind, &manifest.key).await? else {
        return Ok(true);
    };
    let parameters = ApplyParameters {
        dry_run: true,
        lenient: manifest.options.lenient,
    };
    let would_be = ctx
        .cluster
        .apply(&kind, &manifest.key, content, parameters)
        .await?;
    let mask = ctx.live.mask(&manifest.key);
    let counted = |object: &Value| essence(mask.without(object));
    let (live, mut would_be) = (counted(&live), counted(&would_be.object));
    mask.align(&live, &mut would_be);
    Ok(live != would_be)
}

/// Without what every write changes, and without the marks that are only ours.
fn essence(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["managedFields", "resourceVersion", "generation"] {
            metadata.remove(field);
        }
        if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
            labels.remove(api::annotations::APPLICATION);
            if labels.is_empty() {
                metadata.remove("labels");
            }
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn our_own_mark_is_no_difference() {
        let before = json!({"metadata": {"name": "a", "resourceVersion": "1"}, "data": {"x": "1"}});
        let after = json!({"metadata": {"name": "a", "resourceVersion": "2", "labels": {"towline.dev/application": "h"}}, "data": {"x": "1"}});
        assert_eq!(essence(before.clone()), essence(after));
        let other = json!({"metadata": {"name": "a"}, "data": {"x": "2"}});
        assert_ne!(essence(before), essence(other));
    }
}
