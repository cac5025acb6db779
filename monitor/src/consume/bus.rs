//! The services' states, checked branches, events and dead letters → the store.
//!
//! A branch's checked commit is read after the states that were written before it, so that an application which that commit
//! changed is not shown as unchanged in between.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bus::message::Message;
use bus::message::dead::DeadLetter;
use bus::message::event::Event;
use bus::message::state::{AgentState, ApplierState, RendererState, WatcherState};
use bus::message::verified::Verified;
use bus::service::Readiness;
use bus::subject::{self, Bucket, Stream};
use bus::{AppId, Bus, ClusterId, Stored, Update, Watch};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};

use crate::metrics::Metrics;
use crate::store::{Speaker, Store};

/// Follows the bus for ever.
pub(crate) async fn follow_bus(
    bus: Bus,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
) {
    readiness.not_ready("reading the services' states");
    let of = |speaker: Speaker| format!("{}.>", speaker.service());
    // In the order in which they are asked: what comes first goes first.
    let mut watches = [
        updates(
            bus.watch_bucket(Bucket::State, &of(Speaker::Watcher)),
            Said::Watcher,
        ),
        updates(
            bus.watch_bucket(Bucket::State, &of(Speaker::Renderer)),
            Said::Renderer,
        ),
        updates(
            bus.watch_bucket(Bucket::State, &of(Speaker::Applier)),
            |update| Said::Applier(Box::new(update)),
        ),
        updates(
            bus.watch_bucket(Bucket::State, &of(Speaker::Agent)),
            Said::Agent,
        ),
        updates(bus.watch_bucket(Bucket::Verified, ">"), Said::Branch),
        updates(
            bus.watch_stream(Stream::Events, &subject::events(None)),
            Said::Event,
        ),
        updates(
            bus.watch_stream(Stream::Dead, &Stream::Dead.pattern()),
            Said::DeadLetter,
        ),
    ];
    let mut consumer = Consumer {
        store,
        metrics,
        readiness,
        unheard: Speaker::ALL.to_vec(),
        letters_read: false,
    };
    loop {
        let said = poll_fn(|context| first(&mut watches, context)).await;
        consumer.take(said);
    }
}

enum Said {
    Watcher(Update<WatcherState>),
    Renderer(Update<RendererState>),
    Applier(Box<Update<ApplierState>>),
    Agent(Update<AgentState>),
    Branch(Update<Verified>),
    Event(Update<Event>),
    DeadLetter(Update<DeadLetter>),
}

fn updates<T: Message>(watch: Watch<T>, said: fn(Update<T>) -> Said) -> BoxStream<'static, Said> {
    let updates = stream::unfold(watch, |mut watch| async move {
        let update = watch.next().await;
        Some((update, watch))
    });
    updates.map(said).boxed()
}

/// The next of the first stream that has one; none of them ends.
fn first(watches: &mut [BoxStream<'static, Said>], context: &mut Context<'_>) -> Poll<Said> {
    for watch in watches {
        if let Poll::Ready(Some(said)) = watch.poll_next_unpin(context) {
            return Poll::Ready(said);
        }
    }
    Poll::Pending
}

struct Consumer {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    /// Whose states of before are not all known yet.
    unheard: Vec<Speaker>,
    /// Whether the dead letters of before are known: whoever was here before counted those.
    letters_read: bool,
}

impl Consumer {
    fn take(&mut self, said: Said) {
        match said {
            Said::Watcher(update) => {
                let about = |state: &WatcherState| (state.cluster.clone(), state.app.clone());
                if let Some(state) = self.stated(Speaker::Watcher, update, about) {
                    self.store.put_watcher(state.cluster.clone(), state);
                }
            }
            Said::Renderer(update) => {
                let about =
                    |state: &RendererState| (Some(state.cluster.clone()), state.app.clone());
                if let Some(state) = self.stated(Speaker::Renderer, update, about) {
                    self.store.put_renderer(state);
                }
            }
            Said::Applier(update) => {
                let about = |state: &ApplierState| (Some(state.cluster.clone()), state.app.clone());
                if let Some(state) = self.stated(Speaker::Applier, *update, about) {
                    let (view, progress) = self.store.put_applier(state);
                    self.metrics.count(&view, &progress);
                }
            }
            Said::Agent(update) => {
                let about = |state: &AgentState| (Some(state.cluster.clone()), state.app.clone());
                if let Some(state) = self.stated(Speaker::Agent, update, about) {
                    self.store.put_agent(state);
                }
            }
            Said::Branch(update) => self.branch(update),
            Said::Event(update) => self.event(update),
            Said::DeadLetter(update) => self.dead_letter(&update),
        }
    }

    /// A state, if its key is the one of the application and cluster that it speaks of: a service speaks for what it may write,
    /// and for nothing else. What the other updates mean is done here.
    fn stated<T>(
        &mut self,
        speaker: Speaker,
        update: Update<T>,
        about: impl Fn(&T) -> (Option<ClusterId>, AppId),
    ) -> Option<T> {
        match update {
            Update::Put(Stored { subject, value, .. }) => {
                let (cluster, app) = about(&value);
                let key = subject::state(speaker.service(), cluster.as_ref(), &app);
                if Bucket::State.key(&subject) == Some(&key) {
                    return Some(value);
                }
                unreadable(&subject, ELSE);
            }
            Update::Deleted { subject } => {
                if let Some((cluster, app)) = key_of(&subject, speaker) {
                    self.store.forget(speaker, cluster.as_ref(), &app);
                }
            }
            Update::Ready => {
                self.unheard.retain(|unheard| *unheard != speaker);
                if self.unheard.is_empty() {
                    self.store.caught_up();
                    self.readiness.ready();
                }
            }
            Update::Unreadable { subject, error } => unreadable(&subject, &error),
        }
        None
    }

    fn branch(&self, update: Update<Verified>) {
        match update {
            Update::Put(Stored { subject, value, .. }) => {
                let key = subject::branch(&value.repo_url, &value.target_revision);
                if Bucket::Verified.key(&subject) == Some(&key) {
                    self.store.verify(&key, value);
                } else {
                    unreadable(&subject, ELSE);
                }
            }
            Update::Deleted { subject } => {
                if let Some(key) = Bucket::Verified.key(&subject) {
                    self.store.unverify(key);
                }
            }
            Update::Ready => {}
            Update::Unreadable { subject, error } => unreadable(&subject, &error),
        }
    }

    fn event(&self, update: Update<Event>) {
        match update {
            Update::Put(Stored {
                subject,
                sequence,
                value,
                ..
            }) => {
                if subject == subject::event(&value.cluster, &value.app, value.kind) {
                    self.store.record(sequence, value);
                } else {
                    unreadable(&subject, ELSE);
                }
            }
            Update::Deleted { .. } | Update::Ready => {}
            Update::Unreadable { subject, error } => unreadable(&subject, &error),
        }
    }

    fn dead_letter(&mut self, update: &Update<DeadLetter>) {
        match update {
            Update::Put(Stored { subject, .. }) | Update::Unreadable { subject, .. } => {
                if self.letters_read
                    && let Some(stream) = dead_of(subject)
                {
                    self.metrics.count_dead_letter(stream);
                }
            }
            Update::Ready => self.letters_read = true,
            Update::Deleted { .. } => {}
        }
    }
}

const ELSE: &str = "its body is about something else than its subject";

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
