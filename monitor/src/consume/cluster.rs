//! The control cluster's Applications → the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use bus::AppId;
use bus::service::Readiness;
use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};

use crate::declared::Declared;
use crate::metrics::Metrics;
use crate::store::Store;

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
