//! Applying objects of one kind, all at once.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::Value;

use super::adopt::{self, Adoption};
use super::{client_side, replace, respect};
use crate::account::Account;
use crate::cluster::{ApiKind, ApplyParameters, Cluster, ClusterError, Content, MANAGER};
use crate::context::Context;
use crate::drift::{Mask, Reference};
use crate::live::ATTEMPT;
use crate::object::{Key, Manifest};
use crate::secrets::{BodyError, Resolved, body};

/// One object to apply.
pub(crate) struct Job<'a> {
    pub(crate) manifest: &'a Manifest,
    /// For hooks and what each release makes anew: the attempt that makes it, and a hook's phase.
    pub(crate) mark: &'a str,
    /// How it is taken over, if it is there and we never applied it.
    pub(crate) adopt: Option<&'a Adoption>,
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
    #[error("{key}: its kind is {}namespaced in this cluster, which wasn't known when the release was planned", if *namespaced { "" } else { "not " })]
    Scope { key: Key, namespaced: bool },
    #[error("applying {key}")]
    Request {
        key: Key,
        sensitive: bool,
        account: Option<Account>,
        source: Box<ClusterError>,
    },
}

impl ApplyError {
    /// What, where, why; nothing of a sensitive object's content.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::UnknownKind { .. } | Self::Scope { .. } => self.to_string(),
            Self::Body { source, .. } => format!("{self}: {source}"),
            Self::Request {
                source,
                sensitive,
                account,
                key,
            } => {
                let why = source.describe(*sensitive);
                if let Some(account) = account.as_ref().filter(|_| source.code() == Some(403)) {
                    return format!(
                        "{key}: service account {account} may not apply it (it needs get, create, patch and, with Replace or Force, \
                         update and delete): {why}"
                    );
                }
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

/// `cluster` is written to: in whose name, the application says.
pub(crate) async fn apply_all<'a>(
    ctx: &Context,
    cluster: &Cluster,
    jobs: Vec<Job<'a>>,
    resolved: &Resolved,
) -> Vec<(&'a Manifest, Result<Outcome, ApplyError>)> {
    // Bounded by the client's requests in flight.
    join_all(jobs.into_iter().map(|job| async move {
        let manifest = job.manifest;
        ctx.live.begin_apply(&manifest.key);
        let applied = apply(ctx, cluster, &job, resolved).await;
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
    cluster: &Cluster,
    job: &Job<'_>,
    resolved: &Resolved,
) -> Result<(Value, Outcome), ApplyError> {
    let manifest = job.manifest;
    let key = &manifest.key;
    let sensitive = manifest.is_sensitive();
    let failed = |source| ApplyError::Request {
        key: key.clone(),
        sensitive,
        account: cluster.writer().cloned(),
        source: Box::new(source),
    };
    let kind = resolve_kind(ctx, key, Some(&manifest.version)).ok_or_else(|| {
        ctx.kinds.refresh();
        ApplyError::UnknownKind { key: key.clone() }
    })?;
    if kind.namespaced == key.namespace.is_empty() {
        return Err(ApplyError::Scope {
            key: key.clone(),
            namespaced: kind.namespaced,
        });
    }
    let mut before = None;
    let mut moved = Vec::new();
    if let Some(adoption) = job.adopt {
        before = cluster.get(&kind, key).await.map_err(failed)?;
        let options = manifest.options;
        if let Some(live) = &before
            && !(options.replace || options.client_side)
        {
            moved = adopt::take_over(cluster, &kind, manifest, live, adoption)
                .await
                .map_err(failed)?;
        }
    }
    let body = content(job, resolved)?;
    let mask = ctx.live.mask(key);
    let respected =
        (manifest.options.respects_ignored && manifest.hook.is_none()).then_some(&*mask);
    let written = write(cluster, &kind, manifest, body, respected)
        .await
        .map_err(failed)?;
    let Written {
        object,
        created,
        client_side,
    } = written;
    let options = manifest.options;
    let whole = options.replace || options.client_side || client_side.is_some();
    let reference = Arc::new(if whole {
        Reference::of_content(&object, &manifest.body.value(), MANAGER, &mask, !sensitive)
    } else if sensitive {
        Reference::metadata_only(&object, MANAGER, &mask)
    } else {
        Reference::of(&object, MANAGER, &mask)
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
    // What is made anew by each release is known by its attempt, as hooks are.
    let rendered = if manifest.hook.is_some() || manifest.recreates() {
        let mut marked = manifest.body.value();
        marked["metadata"]["annotations"][ATTEMPT] = job.mark.into();
        body::render(&marked, manifest.filled.as_deref(), resolved)
    } else {
        manifest.content(resolved)
    };
    rendered.map_err(|source| ApplyError::Body {
        key: manifest.key.clone(),
        source: Box::new(source),
    })
}

/// What a write came to.
struct Written {
    object: Value,
    created: bool,
    /// Why server-side apply refused it, and it was applied client-side.
    client_side: Option<String>,
}

impl Written {
    fn new((object, created): (Value, bool)) -> Self {
        Self {
            object,
            created,
            client_side: None,
        }
    }
}

async fn write(
    cluster: &Cluster,
    kind: &ApiKind,
    manifest: &Manifest,
    body: Content,
    respected: Option<&Mask>,
) -> Result<Written, ClusterError> {
    if manifest.options.replace {
        let replaced = replace::replace(cluster, kind, manifest, body, respected).await?;
        return Ok(Written::new(replaced));
    }
    let key = &manifest.key;
    match patch(cluster, kind, manifest, &body, respected).await {
        Err(error) if manifest.is_forced() && matches!(error.code(), Some(409 | 422)) => {
            let Some(live) = cluster.get(kind, key).await? else {
                return Err(error);
            };
            replace::make_way(cluster, kind, manifest, &live, &body).await?;
            let written = patch(cluster, kind, manifest, &body, None).await?;
            Ok(Written {
                created: true,
                ..written
            })
        }
        written => written,
    }
}

/// By server-side apply, or client-side where that is asked for or server-side apply refuses the object's form.
async fn patch(
    cluster: &Cluster,
    kind: &ApiKind,
    manifest: &Manifest,
    body: &Content,
    respected: Option<&Mask>,
) -> Result<Written, ClusterError> {
    let (key, options) = (&manifest.key, manifest.options);
    let sensitive = manifest.is_sensitive();
    let client_side = || client_side::apply(cluster, kind, key, body, sensitive, respected);
    if options.client_side {
        let applied = client_side().await?;
        return Ok(Written::new(applied));
    }
    let parameters = ApplyParameters {
        dry_run: false,
        lenient: options.lenient,
    };
    let applied = match respected {
        Some(mask) => respect::apply(cluster, kind, key, body, mask, parameters).await,
        None => cluster.apply(kind, key, body.clone(), parameters).await,
    };
    match applied {
        Ok(applied) => Ok(Written::new((applied.object, applied.created))),
        Err(error) if error.is_apply_schema() => {
            let why = error.describe(sensitive);
            match client_side().await {
                Ok(applied) => Ok(Written {
                    // With Validate=false that is what was asked for.
                    client_side: (!options.lenient).then_some(why),
                    ..Written::new(applied)
                }),
                // Wrong both ways: the first names the field, the second quotes the whole object.
                Err(again) if matches!(again.code(), Some(400 | 422)) => Err(error),
                Err(again) => Err(again),
            }
        }
        Err(error) => Err(error),
    }
}
