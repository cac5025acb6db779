//! One watch per kind in use, selected by our label; Secrets as metadata only.

mod strangers;

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::annotations;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{Stream, TryStreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokio::sync::mpsc;

use super::Live;
use crate::cluster::{ApiKind, Cluster};
use crate::object::Key;

/// By group and kind.
type Kinds = Arc<Mutex<HashMap<(Box<str>, Box<str>), Progress>>>;

/// How far the watch of a kind is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    Starting,
    /// Everything that was there has been seen.
    Listed,
    /// The server refuses it; objects of the kind are known by GET alone.
    Failing(String),
}

/// Where objects without our label are watched: group, kind and namespace.
type Places = Arc<Mutex<HashSet<Place>>>;
type Place = (Box<str>, Box<str>, Box<str>);

/// Before a kind is listed anew: a server that keeps no version is not asked all the time.
const LIST_AGAIN: Duration = Duration::from_secs(1);

enum Start {
    /// All objects of the kind that carry our label.
    Kind(ApiKind),
    /// All objects of the kind in one namespace; of cluster-scoped kinds it is empty.
    In(ApiKind, Box<str>),
}

#[derive(Clone)]
pub(crate) struct Watches {
    kinds: Kinds,
    places: Places,
    starts: mpsc::UnboundedSender<Start>,
}

impl Watches {
    /// The handle, and the task that runs all watches.
    pub(crate) fn new(
        cluster: Cluster,
        live: Arc<Live>,
    ) -> (
        Self,
        impl Future<Output = Result<(), WatchesEnded>> + Send + 'static,
    ) {
        let (starts, mut started) = mpsc::unbounded_channel::<Start>();
        let watches = Self {
            kinds: Arc::default(),
            places: Arc::default(),
            starts,
        };
        let (kinds, places) = (watches.kinds.clone(), watches.places.clone());
        let task = async move {
            let mut running = FuturesUnordered::new();
            let mut beside = FuturesUnordered::new();
            loop {
                tokio::select! {
                    start = started.recv() => match start {
                        Some(Start::Kind(kind)) => running.push(follow(cluster.clone(), live.clone(), kind, kinds.clone())),
                        Some(Start::In(kind, namespace)) => {
                            beside.push(strangers::follow(cluster.clone(), live.clone(), kind, namespace, places.clone()));
                        }
                        None => return Err(WatchesEnded),
                    },
                    Some(()) = beside.next() => {}
                    Some(kind) = running.next() => {
                        let kind: ApiKind = kind;
                        running.push(follow(cluster.clone(), live.clone(), kind, kinds.clone()));
                    }
                }
            }
        };
        (watches, task)
    }

    /// Starts the kind's watch unless it runs. Whether its objects have been listed, or can't be.
    pub(crate) fn ensure(&self, kind: &ApiKind) -> bool {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        match kinds.get(&(kind.group.clone(), kind.kind.clone())) {
            Some(Progress::Starting) => false,
            Some(Progress::Listed | Progress::Failing(_)) => true,
            None if !kind.watchable => true,
            None => {
                kinds.insert((kind.group.clone(), kind.kind.clone()), Progress::Starting);
                // The receiver lives as long as the process's supervisor.
                let _ = self.starts.send(Start::Kind(kind.clone()));
                false
            }
        }
    }

    /// Watches the kind's objects in a namespace, whatever their labels, until none of interest is left without ours.
    pub(crate) fn ensure_in(&self, kind: &ApiKind, namespace: &str) {
        let place = strangers::place(kind, namespace);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if kind.watchable && places.insert(place) {
            let _ = self.starts.send(Start::In(kind.clone(), namespace.into()));
        }
    }

    /// Why objects of a kind aren't watched, if they aren't.
    pub(crate) fn trouble(&self, group: &str, kind: &str) -> Option<String> {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        match kinds.get(&(group.into(), kind.into())) {
            Some(Progress::Failing(why)) => Some(why.clone()),
            _ => None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("nobody is left to start watches")]
pub(crate) struct WatchesEnded;

type Events = Pin<Box<dyn Stream<Item = Result<watcher::Event<Seen>, watcher::Error>> + Send>>;

async fn follow(cluster: Cluster, live: Arc<Live>, kind: ApiKind, kinds: Kinds) -> ApiKind {
    let settle = |progress: Progress| {
        let mut kinds = kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kinds.insert((kind.group.clone(), kind.kind.clone()), progress.clone());
        drop(kinds);
        if before != Some(progress) {
            live.wake_all();
        }
    };
    let labelled = watcher::Config::default().labels(annotations::APPLICATION);
    let mut events = open(&cluster, &kind, None, labelled.clone());
    let mut seen = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => seen.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                if let Some(key) = object.key(&kind) {
                    live.found(&key, object.complete(&kind));
                    seen.insert(key);
                }
            }
            Ok(watcher::Event::InitDone) => {
                live.listed(&kind.group, &kind.kind, &seen);
                seen = HashSet::new();
                settle(Progress::Listed);
            }
            Ok(watcher::Event::Apply(object)) => {
                if let Some(key) = object.key(&kind) {
                    live.found(&key, object.complete(&kind));
                }
            }
            Ok(watcher::Event::Delete(object)) => {
                if let Some(key) = object.key(&kind) {
                    live.lost(&key);
                }
            }
            Err(error) => {
                // The stream backs off and goes on by itself.
                tracing::warn!(kind = &*kind.kind, group = &*kind.group, error = %Chain(&error), "watch interrupted");
                if let Some(why) = refusal(&error) {
                    settle(Progress::Failing(why));
                } else if is_gone(&error) {
                    tokio::time::sleep(LIST_AGAIN).await;
                    events = open(&cluster, &kind, None, labelled.clone());
                }
            }
        }
    }
    kind
}

fn open(
    cluster: &Cluster,
    kind: &ApiKind,
    namespace: Option<&str>,
    config: watcher::Config,
) -> Events {
    let resource = ApiResource {
        group: kind.group.to_string(),
        version: kind.version.to_string(),
        api_version: kind.api_version(),
        kind: kind.kind.to_string(),
        plural: kind.plural.to_string(),
    };
    if kind.group.is_empty() && &*kind.kind == "Secret" {
        let api: Api<PartialObjectMeta<DynamicObject>> = api(cluster, namespace, &resource);
        return Box::pin(
            watcher(api, config)
                .default_backoff()
                .map_ok(|event| map(event, Seen::of_metadata)),
        );
    }
    let api: Api<Seen> = api(cluster, namespace, &resource);
    Box::pin(watcher(api, config).default_backoff())
}

fn api<K>(cluster: &Cluster, namespace: Option<&str>, resource: &ApiResource) -> Api<K>
where
    K: Resource<DynamicType = ApiResource, Scope = kube::core::DynamicResourceScope>,
{
    let client = cluster.client().clone();
    match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None => Api::all_with(client, resource),
    }
}

/// Whether the server refuses the watch as such.
fn refusal(error: &watcher::Error) -> Option<String> {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))) = error
    else {
        return None;
    };
    matches!(status.code, 403..=405).then(|| format!("{} {}", status.code, status.reason))
}

/// Whether the version that a watch would resume with is gone. The watcher begins anew by itself only where it is told so by an
/// event of a watch that started.
fn is_gone(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == 410)
}

fn map<A, B>(event: watcher::Event<A>, f: impl FnOnce(A) -> B) -> watcher::Event<B> {
    match event {
        watcher::Event::Apply(object) => watcher::Event::Apply(f(object)),
        watcher::Event::Delete(object) => watcher::Event::Delete(f(object)),
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitApply(object) => watcher::Event::InitApply(f(object)),
        watcher::Event::InitDone => watcher::Event::InitDone,
    }
}

/// An object as it came, with as much of its metadata typed as kube's watcher reads.
#[derive(Clone)]
struct Seen {
    metadata: ObjectMeta,
    value: Value,
}

impl Seen {
    fn of_metadata(object: PartialObjectMeta<DynamicObject>) -> Self {
        let metadata = serde_json::to_value(&object.metadata).unwrap_or_default();
        Self {
            metadata: object.metadata,
            value: serde_json::json!({ "metadata": metadata }),
        }
    }

    /// Items of a list don't repeat their kind, so it comes from the watch.
    fn complete(self, kind: &ApiKind) -> Value {
        let mut value = self.value;
        if let Some(object) = value.as_object_mut() {
            object.entry("kind").or_insert_with(|| (*kind.kind).into());
            object
                .entry("apiVersion")
                .or_insert_with(|| kind.api_version().into());
        }
        value
    }

    fn key(&self, kind: &ApiKind) -> Option<Key> {
        Some(Key::new(
            &kind.group,
            &kind.kind,
            self.metadata.namespace.as_deref().unwrap_or_default(),
            self.metadata.name.as_deref()?,
        ))
    }
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seen")
            .field("name", &self.metadata.name)
            .finish_non_exhaustive()
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let text = |field: &str| {
            value["metadata"]
                .get(field)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let metadata = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            resource_version: text("resourceVersion"),
            uid: text("uid"),
            // The watcher reads from it that the initial events of a streamed list are over.
            annotations: value["metadata"]
                .get("annotations")
                .and_then(|map| map.get("k8s.io/initial-events-end"))
                .and_then(Value::as_str)
                .map(|end| [("k8s.io/initial-events-end".to_owned(), end.to_owned())].into()),
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, value })
    }
}

impl Resource for Seen {
    type DynamicType = ApiResource;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(of: &ApiResource) -> std::borrow::Cow<'_, str> {
        (&of.kind).into()
    }

    fn group(of: &ApiResource) -> std::borrow::Cow<'_, str> {
        (&of.group).into()
    }

    fn version(of: &ApiResource) -> std::borrow::Cow<'_, str> {
        (&of.version).into()
    }

    fn api_version(of: &ApiResource) -> std::borrow::Cow<'_, str> {
        (&of.api_version).into()
    }

    fn plural(of: &ApiResource) -> std::borrow::Cow<'_, str> {
        (&of.plural).into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// An error with its causes, for the one place that logs it.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
