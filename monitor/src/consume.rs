//! What the bus and the control cluster say → the store.
//!
//! A branch's checked commit is read after the states that were written before it, so that an application which that commit
//! changed is not shown as unchanged in between.

use std::collections::BTreeSet;
use std::sync::Arc;

use bus::message::Message;
use bus::message::event::Event;
use bus::message::state::{AgentState, ApplierState, RendererState, WatcherState};
use bus::message::verified::Verified;
use bus::service::Readiness;
use bus::subject::{self, Bucket, Stream};
use bus::{AppId, Bus, ClusterId, Stored, Update, Watch};
use futures::{Stream as Updates, StreamExt, stream};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use serde::{Deserialize, Serialize};

use crate::declared::Declared;
use crate::metrics::Metrics;
use crate::store::{Speaker, Store};

/// A dead letter of any stream: that there is one is all that counts here.
#[derive(Serialize, Deserialize)]
struct DeadLetter {}

impl Message for DeadLetter {
    const KIND: &'static str = "letter.dead";

    fn about(&self) -> Option<&AppId> {
        None
    }
}

/// Follows the bus for ever.
pub(crate) async fn follow_bus(
    bus: Bus,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
) {
    readiness.not_ready("reading the services' states");
    let of = |speaker: Speaker| format!("{}.>", speaker.service());
    let mut watchers = Box::pin(updates(
        bus.watch_bucket::<WatcherState>(Bucket::State, &of(Speaker::Watcher)),
    ));
    let mut renderers = Box::pin(updates(
        bus.watch_bucket::<RendererState>(Bucket::State, &of(Speaker::Renderer)),
    ));
    let mut agents = Box::pin(updates(
        bus.watch_bucket::<AgentState>(Bucket::State, &of(Speaker::Agent)),
    ));
    let mut appliers = Box::pin(updates(
        bus.watch_bucket::<ApplierState>(Bucket::State, &of(Speaker::Applier)),
    ));
    let mut branches = Box::pin(updates(bus.watch_bucket::<Verified>(Bucket::Verified, ">")));
    let mut events = Box::pin(updates(
        bus.watch_stream::<Event>(Stream::Events, &subject::events(None)),
    ));
    let mut letters = Box::pin(updates(
        bus.watch_stream::<DeadLetter>(Stream::Dead, &Stream::Dead.pattern()),
    ));
    let mut letters_read = false;
    loop {
        tokio::select! {
            biased;
            Some(update) = watchers.next() => {
                if let Some((key, state)) = stated(&store, Speaker::Watcher, update, |state| (state.cluster.clone(), state.app.clone())) {
                    store.put_watcher(key, state);
                }
            }
            Some(update) = renderers.next() => {
                if let Some((_, state)) = stated(&store, Speaker::Renderer, update, |state| (Some(state.cluster.clone()), state.app.clone())) {
                    store.put_renderer(state);
                }
            }
            Some(update) = appliers.next() => {
                if matches!(update, Update::Ready) {
                    store.caught_up();
                    readiness.ready();
                }
                if let Some((_, state)) = stated(&store, Speaker::Applier, update, |state| (Some(state.cluster.clone()), state.app.clone())) {
                    let (view, progress) = store.put_applier(state);
                    metrics.count(&view, &progress);
                }
            }
            Some(update) = agents.next() => {
                if let Some((_, state)) = stated(&store, Speaker::Agent, update, |state| (Some(state.cluster.clone()), state.app.clone())) {
                    store.put_agent(state);
                }
            }
            Some(update) = branches.next() => match update {
                Update::Put(stored) => {
                    if let Some(key) = Bucket::Verified.key(&stored.subject) {
                        store.verify(key, stored.value);
                    }
                }
                Update::Deleted { subject } => {
                    if let Some(key) = Bucket::Verified.key(&subject) {
                        store.unverify(key);
                    }
                }
                Update::Ready => {}
                Update::Unreadable { subject, error } => unreadable(&subject, &error),
            },
            Some(update) = events.next() => match update {
                Update::Put(Stored { subject, sequence, value, .. }) => {
                    // An event speaks for the application in its subject only: that is what its sender may publish to.
                    if subject == subject::event(&value.cluster, &value.app, value.kind) {
                        store.record(sequence, value);
                    } else {
                        unreadable(&subject, "its body is about something else");
                    }
                }
                Update::Deleted { .. } | Update::Ready => {}
                Update::Unreadable { subject, error } => unreadable(&subject, &error),
            },
            Some(update) = letters.next() => match update {
                Update::Put(Stored { subject, .. }) | Update::Unreadable { subject, .. } => {
                    // Those that were there when we came were counted by whoever was there before.
                    if letters_read && let Some(stream) = dead_of(&subject) {
                        metrics.count_dead_letter(stream);
                    }
                }
                Update::Ready => letters_read = true,
                Update::Deleted { .. } => {}
            },
        }
    }
}

/// A watch as a stream, whose next item can be given up on and asked for again.
fn updates<T: Message>(watch: Watch<T>) -> impl Updates<Item = Update<T>> {
    stream::unfold(watch, |mut watch| async move {
        let update = watch.next().await;
        Some((update, watch))
    })
}

/// A state with its key's cluster, if the key is the one of the application and cluster that it speaks of. What a deletion
/// means is done here.
fn stated<T>(
    store: &Store,
    speaker: Speaker,
    update: Update<T>,
    about: impl Fn(&T) -> (Option<ClusterId>, AppId),
) -> Option<(Option<ClusterId>, T)> {
    match update {
        Update::Put(Stored { subject, value, .. }) => {
            let (cluster, app) = about(&value);
            let key = subject::state(speaker.service(), cluster.as_ref(), &app);
            if Bucket::State.key(&subject) == Some(&key) {
                return Some((cluster, value));
            }
            unreadable(&subject, "its body is about something else");
        }
        Update::Deleted { subject } => {
            if let Some((cluster, app)) = key_of(&subject, speaker) {
                store.forget(speaker, cluster.as_ref(), &app);
            }
        }
        Update::Ready => {}
        Update::Unreadable { subject, error } => unreadable(&subject, &error),
    }
    None
}

/// Cluster and application of a state's key; an application without a cluster has none.
fn key_of(subject: &str, speaker: Speaker) -> Option<(Option<ClusterId>, AppId)> {
    let key = Bucket::State
        .key(subject)?
        .strip_prefix(speaker.service())?
        .strip_prefix('.')?;
    let mut tokens = key.splitn(3, '.');
    let (cluster, namespace, name) = (tokens.next()?, tokens.next()?, tokens.next()?);
    let app = AppId::new(&subject::unescape(namespace), &subject::unescape(name)).ok()?;
    match cluster {
        "_" => Some((None, app)),
        cluster => Some((Some(ClusterId::new(cluster).ok()?), app)),
    }
}

fn dead_of(subject: &str) -> Option<Stream> {
    Stream::ALL
        .into_iter()
        .find(|stream| subject::dead(*stream) == subject)
}

fn unreadable(subject: &str, error: &str) {
    tracing::warn!(subject, error, "a message is left out");
}

/// Follows the Applications of a namespace for ever.
pub(crate) async fn follow_applications(
    client: kube::Client,
    namespace: String,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
) {
    readiness.not_ready("listing Applications");
    let resource = ApiResource::erase::<api::Application>(&());
    let applications: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &resource);
    let config = watcher::Config::default().page_size(100);
    let mut changes = Box::pin(watcher(applications, config).default_backoff());
    let mut listed = BTreeSet::new();
    while let Some(change) = changes.next().await {
        match change {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                if let Some(app) = declare(&store, &object) {
                    listed.insert(app);
                }
            }
            Ok(watcher::Event::InitDone) => {
                store.listed(&listed);
                listed.clear();
                readiness.ready();
            }
            Ok(watcher::Event::Apply(object)) => {
                declare(&store, &object);
            }
            Ok(watcher::Event::Delete(object)) => {
                if let Ok(declared) = Declared::read(&object) {
                    if let Some(view) = store.view(&declared.app) {
                        metrics.forget(&view);
                    }
                    store.undeclare(&declared.app);
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, %namespace, "can't watch Applications; trying again");
            }
        }
    }
}

fn declare(store: &Store, object: &DynamicObject) -> Option<AppId> {
    match Declared::read(object) {
        Ok(declared) => {
            let app = declared.app.clone();
            store.declare(declared);
            Some(app)
        }
        Err(error) => {
            tracing::warn!(
                name = object.metadata.name,
                error = &error as &dyn std::error::Error,
                "an Application is left out"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_key_names_its_cluster_and_application() {
        let (cluster, app) =
            key_of("$KV.state.watcher._.argocd.dome_v2", Speaker::Watcher).unwrap();
        assert_eq!(
            (cluster, app.to_string()),
            (None, "argocd/dome.v2".to_owned())
        );
        let (cluster, _) = key_of("$KV.state.applier.edge.argocd.dome", Speaker::Applier).unwrap();
        assert_eq!(cluster, Some(ClusterId::new("edge").unwrap()));
        assert_eq!(
            key_of("$KV.state.renderer.edge.argocd.dome", Speaker::Applier),
            None
        );
        assert_eq!(key_of("$KV.state.applier.edge", Speaker::Applier), None);
    }

    #[test]
    fn a_dead_letter_counts_for_its_stream() {
        assert_eq!(dead_of("towline.v1.dead.DESIRED"), Some(Stream::Desired));
        assert_eq!(dead_of("towline.v1.dead.ELSE"), None);
    }
}
