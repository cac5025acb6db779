//! An object as it is, and as applying its manifest would make it: asked of the server, which changes nothing.

use serde_json::Value;

use super::apply::ApplyError;
use super::{client_side, resolve_kind, respect};
use crate::cluster::{ApiKind, Cluster, ClusterError, Content, DryRun, MANAGER};
use crate::context::Context;
use crate::drift::{Keep, Mask};
use crate::object::Manifest;
use crate::secrets::{Cleared, Resolved, body};

/// None where it isn't there. Both hold the values of secrets.
pub(crate) async fn would_be(
    ctx: &Context,
    cluster: &Cluster,
    manifest: &Manifest,
    resolved: &Resolved,
    mask: &Mask,
) -> Result<(Option<Cleared>, Cleared), ApplyError> {
    let key = &manifest.key;
    let failed = |source| ApplyError::Request {
        key: key.clone(),
        sensitive: manifest.is_sensitive(),
        account: cluster.writer().cloned(),
        source: Box::new(source),
    };
    let content = body::render(&manifest.body.value(), manifest.filled.as_deref(), resolved)
        .map_err(|source| ApplyError::Body {
            key: key.clone(),
            source: Box::new(source),
        })?;
    // A kind that a release brings has no objects yet.
    let Some(kind) = resolve_kind(ctx, key, Some(&manifest.version)) else {
        return Ok((None, Cleared::read(&content).map_err(failed)?));
    };
    let live = cluster.get_whole(&kind, key).await.map_err(failed)?;
    let live = live.map(Cleared::new);
    let target = ask(cluster, &kind, manifest, &content, live.as_deref(), mask)
        .await
        .map_err(failed)?;
    Ok((live, target))
}

async fn ask(
    cluster: &Cluster,
    kind: &ApiKind,
    manifest: &Manifest,
    content: &Content,
    live: Option<&Value>,
    mask: &Mask,
) -> Result<Cleared, ClusterError> {
    let options = manifest.options;
    let respected = options.respects_ignored.then_some(mask);
    let wanted = Cleared::read(content)?;
    let write = DryRun::Apply {
        lenient: options.lenient,
    };
    let asked = match live {
        None => return created(cluster, kind, manifest, content, write, wanted).await,
        Some(live) if options.replace => {
            let mut whole = respect::whole(&wanted, live, respected);
            whole["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
            cluster
                .dry_run(kind, &manifest.key, DryRun::Replace, whole.write()?)
                .await
        }
        Some(live) if options.client_side => {
            return merged(cluster, kind, manifest, &wanted, live, respected).await;
        }
        Some(live) => {
            let body = match respected {
                Some(mask) => {
                    let respected = mask.respect(&wanted, live, Keep::AppliedBy(MANAGER));
                    Cleared::new(respected.object).write()?
                }
                None => content.clone(),
            };
            let asked = cluster.dry_run(kind, &manifest.key, write, body).await;
            if asked.as_ref().is_err_and(ClusterError::is_apply_schema) {
                return merged(cluster, kind, manifest, &wanted, live, respected).await;
            }
            asked
        }
    };
    asked.map(Cleared::new)
}

/// What isn't there. In a namespace that isn't there either nothing can be asked.
async fn created(
    cluster: &Cluster,
    kind: &ApiKind,
    manifest: &Manifest,
    content: &Content,
    write: DryRun,
    wanted: Cleared,
) -> Result<Cleared, ClusterError> {
    let asked = cluster
        .dry_run(kind, &manifest.key, write, content.clone())
        .await;
    match asked {
        Ok(object) => Ok(Cleared::new(object)),
        Err(error) if error.is_not_found() => Ok(wanted),
        // As the client-side apply that would follow.
        Err(error) if error.is_apply_schema() => cluster
            .could_create(kind, &manifest.key, content.clone())
            .await
            .map(|()| wanted)
            .map_err(|_| error),
        Err(error) => Err(error),
    }
}

async fn merged(
    cluster: &Cluster,
    kind: &ApiKind,
    manifest: &Manifest,
    wanted: &Value,
    live: &Value,
    respected: Option<&Mask>,
) -> Result<Cleared, ClusterError> {
    let sensitive = manifest.is_sensitive();
    let Some(patch) = client_side::patch(wanted, live, kind, sensitive, respected) else {
        return Ok(Cleared::new(live.clone()));
    };
    cluster
        .dry_run(kind, &manifest.key, DryRun::Merge, patch.write()?)
        .await
        .map(Cleared::new)
}
