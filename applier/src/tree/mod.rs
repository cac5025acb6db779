//! What an application's objects own in turn (`ReplicaSet`s, Pods, `EndpointSlice`s), for whoever asks: listed then, page by page, and not
//! kept. `kinds` says what is listed, `build` puts it beneath its owners.

mod build;
mod kinds;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bus::message::tree::{Answer, Question, Tree};
use bus::{AppId, clock, subject};
use futures::FutureExt;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::app::Note;
use crate::cluster::{ApiKind, ClusterError};
use crate::context::Context;
use crate::health::Health;
use crate::object::Key;
use crate::questions::{self, QuestionsError};
use crate::secrets::Words;

/// Pages of one kind in one namespace, of 500 objects each.
const PAGES: usize = 10;
/// Objects that are held at once.
const MOST: usize = 10_000;

/// One of the application's own objects, as it is.
pub(crate) struct Root {
    pub(crate) key: Key,
    pub(crate) uid: Box<str>,
    pub(crate) health: Option<Health>,
    /// Counts for all that it owns in turn, too: a secret in a Deployment is in its Pods.
    pub(crate) words: Words,
}

/// An application's answer: its objects, or why they aren't known.
pub(crate) type Rooted = Result<Vec<Root>, String>;

pub(crate) async fn run(
    ctx: Arc<Context>,
    to: mpsc::Sender<(AppId, Note)>,
    token: CancellationToken,
) -> Result<(), QuestionsError> {
    let subject = subject::tree(&ctx.id);
    let bus = ctx.bus.clone();
    let answer = move |question: Question| {
        let (ctx, to) = (ctx.clone(), to.clone());
        async move {
            let (cluster, app) = (&question.cluster, &question.app);
            let note = |_, done| Note::Tree(done);
            let roots = questions::of_app(&ctx, &to, cluster, app, None, note).await?;
            Ok(Answer::Found(grown(&ctx, &roots).await))
        }
        .boxed()
    };
    let refused = |message| Answer::Refused { message };
    questions::answer(bus, subject, token, answer, refused).await
}

async fn grown(ctx: &Context, roots: &[Root]) -> Tree {
    let mut of_each: BTreeMap<&str, BTreeSet<(&str, &str)>> = BTreeMap::new();
    // What a cluster-scoped object owns could be in any namespace.
    for root in roots.iter().filter(|root| !root.key.namespace.is_empty()) {
        let kinds = of_each.entry(&root.key.namespace).or_default();
        kinds.insert((&root.key.group, &root.key.kind));
    }
    let served = ctx.kinds.get();
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for (namespace, wanted) in of_each {
        for (group, name) in kinds::beneath(wanted.into_iter()) {
            let Some(kind) = served.preferred(group, name) else {
                continue;
            };
            let room = MOST.saturating_sub(found.len());
            match list(ctx, kind, namespace, room).await {
                Ok(objects) => found.extend(objects),
                Err(error) => problems.push(format!(
                    "{} in {namespace}: {}",
                    kind.plural,
                    error.describe(false)
                )),
            }
        }
    }
    let customizations = ctx.settings.get().customizations.clone();
    let now = i64::try_from(clock::now_ms() / 1_000).unwrap_or(i64::MAX);
    let health = |object: &Value| customizations.assess(object, now).health;
    build::build(roots, &found, health, problems)
}

/// Those that have an owner.
async fn list(
    ctx: &Context,
    kind: &ApiKind,
    namespace: &str,
    room: usize,
) -> Result<Vec<Value>, ClusterError> {
    let mut found = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..PAGES {
        let token_before = token.as_deref();
        let (objects, next) = if kinds::is_seen_as_metadata(&kind.group, &kind.kind) {
            ctx.cluster
                .metadata_page(kind, namespace, token_before)
                .await?
        } else {
            ctx.cluster
                .whole_page(kind, namespace, token_before)
                .await?
        };
        let owned = objects
            .into_iter()
            .filter(|object| object["metadata"]["ownerReferences"].is_array());
        found.extend(owned.map(|mut object| {
            // Items of a list don't say what they are.
            object["apiVersion"] = kind.api_version().into();
            object["kind"] = (*kind.kind).into();
            object
        }));
        found.truncate(room);
        if next.is_none() || found.len() == room {
            break;
        }
        token = next;
    }
    Ok(found)
}
