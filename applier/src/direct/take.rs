//! The applier's side: finds orders, hands them to their applications, and takes away what is carried out.

use std::collections::HashSet;
use std::time::Duration;

use bus::AppId;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::DirectOrder;
use super::order::{ORDER, REFUSED};
use crate::app::Note;
use crate::cluster::{ApiKind, Cluster, ClusterError, Deletion, PatchForm};
use crate::object::Key;
use crate::store::PART;

/// How soon the end of an order is written again when it couldn't be.
const AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeError {
    #[error("nobody takes orders any more")]
    NobodyListens,
    #[error("the watch of orders ended")]
    WatchEnded,
}

/// An order's object.
struct Place {
    name: String,
    uid: String,
}

pub(crate) async fn run(
    cluster: Cluster,
    namespace: String,
    to: mpsc::Sender<(AppId, Note)>,
    token: CancellationToken,
) -> Result<(), TakeError> {
    let api: Api<ConfigMap> = Api::namespaced(cluster.client().clone(), &namespace);
    let config = watcher::Config::default().labels(&format!("{PART}={ORDER}"));
    let mut orders = watcher(api, config)
        .default_backoff()
        .applied_objects()
        .boxed();
    let mut under_way = FuturesUnordered::new();
    let mut known: HashSet<String> = HashSet::new();
    loop {
        let object = tokio::select! {
            () = token.cancelled() => return Ok(()),
            Some(uid) = under_way.next() => {
                known.remove(&uid);
                continue;
            }
            object = orders.next() => object.ok_or(TakeError::WatchEnded)?,
        };
        let object = match object {
            Ok(object) => object,
            // The stream backs off and goes on by itself.
            Err(error) => {
                tracing::warn!(%error, "watching for direct orders; trying again");
                continue;
            }
        };
        let (Some(name), Some(uid)) = (object.metadata.name.clone(), object.metadata.uid.clone())
        else {
            continue;
        };
        let Some(order) = DirectOrder::of(&object) else {
            continue;
        };
        if !known.insert(uid.clone()) {
            continue;
        }
        let answered = match order {
            Ok(order) => {
                let (done, answered) = oneshot::channel();
                let note = (order.app.clone(), Note::Direct(Box::new(order), done));
                to.send(note).await.map_err(|_| TakeError::NobodyListens)?;
                Ok(answered)
            }
            Err(why) => Err(why),
        };
        under_way.push(finish(&cluster, &namespace, Place { name, uid }, answered));
    }
}

/// Writes down what became of an order, until it is written; its object's uid.
async fn finish(
    cluster: &Cluster,
    namespace: &str,
    place: Place,
    answered: Result<oneshot::Receiver<Result<(), String>>, String>,
) -> String {
    let outcome = match answered {
        Err(why) => Err(why),
        Ok(answered) => match answered.await {
            Ok(outcome) => outcome,
            // The application's task ended first: the next one finds the order again.
            Err(_) => return place.uid,
        },
    };
    loop {
        match conclude(cluster, namespace, &place, &outcome).await {
            Ok(()) => return place.uid,
            Err(error) if error.is_not_found() => return place.uid,
            Err(error) => {
                tracing::warn!(order = place.name, error = %error.describe(false), "concluding a direct order; trying again");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

async fn conclude(
    cluster: &Cluster,
    namespace: &str,
    place: &Place,
    outcome: &Result<(), String>,
) -> Result<(), ClusterError> {
    let kind = ApiKind::core("ConfigMap", "configmaps", true);
    let key = Key::new("", "ConfigMap", namespace, &place.name);
    match outcome {
        Ok(()) => {
            let deletion = Deletion {
                uid: Some(&place.uid),
                version: None,
                propagation: "Background",
            };
            cluster.delete(&kind, &key, deletion).await.map(drop)
        }
        Err(why) => {
            let body = json!({"metadata": {"uid": place.uid}, "data": {REFUSED: why}});
            let body = Zeroizing::new(body.to_string().into_bytes());
            cluster
                .patch(&kind, &key, PatchForm::Merge, body)
                .await
                .map(drop)
        }
    }
}
