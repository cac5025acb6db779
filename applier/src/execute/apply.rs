//! Applying objects of one kind, all at once.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{adopt, client_side};
use crate::cluster::{
    ApiKind, ApplyParameters, ClusterError, Content, Deletion, MANAGER, PatchForm,
};
use crate::context::Context;
use crate::drift::Reference;
use crate::live::ATTEMPT;
use crate::object::{Key, Manifest};
use crate::secrets::{BodyError, Resolved, body};

/// One object to apply.
pub(crate) struct Job<'a> {
    pub(crate) manifest: &'a Manifest,
    /// For hooks: the attempt that runs it.
    pub(crate) attempt: &'a str,
    /// It is there, and we never applied it.
    pub(crate) adopt: bool,
}

pub(crate) struct Outcome {
    pub(crate) reference: Arc<Reference>,
    pub(crate) created: bool,
    /// Managers that lost fields to us, on first contact.
    pub(crate) overridden: Option<Vec<String>>,
    /// Why it was applied client-side.
    pub(crate) client_side: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("{key}: the cluster doesn't know its kind")]
    UnknownKind { key: Key },
    #[error("{key}")]
    Body { key: Key, source: Box<BodyError> },
    #[error("applying {key}")]
    Request {
        key: Key,
        sensitive: bool,
        source: Box<ClusterError>,
    },
}

impl ApplyError {
    /// What, where, why; nothing of a sensitive object's content.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::UnknownKind { .. } => self.to_string(),
            Self::Body { source, .. } => format!("{self}: {source}"),
            Self::Request {
                source,
                sensitive,
                key,
            } => {
                let why = source.describe(*sensitive);
                let missing = source.is_not_found() && why.starts_with("namespaces ");
                let help = if missing {
                    " (syncOptions: CreateNamespace=true makes it)"
                } else {
                    ""
                };
                format!("{key}: {why}{help}")
            }
        }
    }
}

/// The kind of an object, at the version given if the server still has it.
pub(crate) fn resolve_kind(ctx: &Context, key: &Key, version: Option<&str>) -> Option<ApiKind> {
    let kinds = ctx.kinds.get();
    version
        .and_then(|version| kinds.exact(&key.group, version, &key.kind))
        .or_else(|| kinds.preferred(&key.group, &key.kind))
        .cloned()
}

pub(crate) async fn apply_all<'a>(
    ctx: &Context,
    jobs: Vec<Job<'a>>,
    resolved: &Resolved,
) -> Vec<(&'a Manifest, Result<Outcome, ApplyError>)> {
    // Bounded by the client's requests in flight.
    join_all(jobs.into_iter().map(|job| async move {
        let manifest = job.manifest;
        ctx.live.begin_apply(&manifest.key);
        let applied = apply(ctx, &job, resolved).await;
        let outcome = match applied {
            Ok((object, outcome)) => {
                ctx.live
                    .end_apply(&manifest.key, Some((object, outcome.reference.clone())));
                Ok(outcome)
            }
            Err(error) => {
                ctx.live.end_apply(&manifest.key, None);
                Err(error)
            }
        };
        (manifest, outcome)
    }))
    .await
}

async fn apply(
    ctx: &Context,
    job: &Job<'_>,
    resolved: &Resolved,
) -> Result<(Value, Outcome), ApplyError> {
    let manifest = job.manifest;
    let key = &manifest.key;
    let sensitive = manifest.is_sensitive();
    let failed = |source| ApplyError::Request {
        key: key.clone(),
        sensitive,
        source: Box::new(source),
    };
    let kind = resolve_kind(ctx, key, Some(&manifest.version)).ok_or_else(|| {
        ctx.kinds.refresh();
        ApplyError::UnknownKind { key: key.clone() }
    })?;
    let before = if job.adopt {
        ctx.cluster.get(&kind, key).await.map_err(failed)?
    } else {
        None
    };
    let mut moved = Vec::new();
    if let Some(before) = &before
        && let Some((patch, names)) = adopt::migration(before)
    {
        let body = Zeroizing::new(patch.to_string().into_bytes());
        match ctx.cluster.patch(&kind, key, PatchForm::Json, body).await {
            Ok(_) => moved = names,
            // It changed meanwhile, which the next attempt looks at anew; or it can't be patched, which force makes up for.
            Err(error) => {
                tracing::warn!(object = %key, error = %error.describe(sensitive), "fields of earlier managers were not moved");
            }
        }
    }
    let body = content(job, resolved)?;
    let (object, created, client_side) = write(ctx, &kind, manifest, body).await.map_err(failed)?;
    let reference = Arc::new(if sensitive {
        Reference::metadata_only(&object, MANAGER)
    } else {
        Reference::of(&object, MANAGER)
    });
    let overridden = before.map(|before| {
        moved.extend(adopt::overridden(&before, &object));
        moved.sort();
        moved.dedup();
        moved
    });
    Ok((
        object,
        Outcome {
            reference,
            created,
            overridden,
            client_side,
        },
    ))
}

fn content(job: &Job<'_>, resolved: &Resolved) -> Result<Content, ApplyError> {
    let manifest = job.manifest;
    let rendered = if manifest.hook.is_some() {
        let mut marked = manifest.body.clone();
        marked["metadata"]["annotations"][ATTEMPT] = job.attempt.into();
        body::render(&marked, resolved)
    } else {
        body::render(&manifest.body, resolved)
    };
    rendered.map_err(|source| ApplyError::Body {
        key: manifest.key.clone(),
        source: Box::new(source),
    })
}

async fn write(
    ctx: &Context,
    kind: &ApiKind,
    manifest: &Manifest,
    body: Content,
) -> Result<(Value, bool, Option<String>), ClusterError> {
    let (key, options) = (&manifest.key, manifest.options);
    let sensitive = manifest.is_sensitive();
    if options.replace {
        return replace(ctx, kind, manifest, body).await;
    }
    if options.client_side {
        let object = client_side::apply(&ctx.cluster, kind, key, &body, sensitive).await?;
        return Ok((object, false, None));
    }
    let parameters = ApplyParameters {
        dry_run: false,
        lenient: options.lenient,
    };
    match ctx.cluster.apply(kind, key, body.clone(), parameters).await {
        Ok(applied) => Ok((applied.object, applied.created, None)),
        Err(error) if error.is_apply_schema() => {
            let why = error.describe(sensitive);
            match client_side::apply(&ctx.cluster, kind, key, &body, sensitive).await {
                Ok(object) => Ok((object, false, Some(why))),
                // Wrong both ways: the first names the field, the second quotes the whole object.
                Err(again) if matches!(again.code(), Some(400 | 422)) => Err(error),
                Err(again) => Err(again),
            }
        }
        Err(error) if options.force && matches!(error.code(), Some(409 | 422)) => {
            ctx.cluster
                .delete(
                    kind,
                    key,
                    Deletion {
                        uid: None,
                        propagation: "Background",
                    },
                )
                .await?;
            let applied = ctx.cluster.apply(kind, key, body, parameters).await?;
            Ok((applied.object, true, None))
        }
        Err(error) => Err(error),
    }
}

async fn replace(
    ctx: &Context,
    kind: &ApiKind,
    manifest: &Manifest,
    body: Content,
) -> Result<(Value, bool, Option<String>), ClusterError> {
    let key = &manifest.key;
    if ctx.cluster.get(kind, key).await?.is_none() {
        return Ok((ctx.cluster.create(kind, key, body).await?, true, None));
    }
    match ctx.cluster.replace(kind, key, body.clone()).await {
        Ok(object) => Ok((object, false, None)),
        Err(error) if manifest.options.force && matches!(error.code(), Some(409 | 422)) => {
            ctx.cluster
                .delete(
                    kind,
                    key,
                    Deletion {
                        uid: None,
                        propagation: "Background",
                    },
                )
                .await?;
            Ok((ctx.cluster.create(kind, key, body).await?, true, None))
        }
        Err(error) => Err(error),
    }
}
