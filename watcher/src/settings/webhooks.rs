//! What webhooks are checked with: `argocd-secret`, and the Secrets that its values may point to.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use api::settings::{self, SecretValues, WebhookSecrets, secret_values};
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::runtime::watcher;
use kube::{Resource, ResourceExt};
use tokio_util::sync::CancellationToken;

use super::watch::{Change, follow, named};
use crate::index::Index;

/// What was read; nothing is concluded until both were.
#[derive(Default)]
struct Read {
    own: SecretValues,
    others: BTreeMap<String, SecretValues>,
    own_known: bool,
    others_known: bool,
}

pub async fn secrets(
    client: kube::Client,
    index: Arc<Index>,
    token: CancellationToken,
) -> Result<(), Infallible> {
    let api: Api<Secret> = Api::namespaced(client, &index.fixed().control_namespace);
    let read = Mutex::new(Read::default());
    let note = |note: &dyn Fn(&mut Read)| {
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        note(&mut read);
        if read.own_known && read.others_known {
            let secrets = WebhookSecrets::resolve(&read.own, &read.others);
            for key in secrets.unusable() {
                tracing::warn!(
                    key = key.name(),
                    "argocd-secret: the value is not text, or names a Secret or key that is not there; its webhooks are refused"
                );
            }
            index.set_webhook_secrets(secrets);
        }
    };
    // All of its values, since they may point to each other.
    let own = follow(
        api.clone(),
        named(settings::SECRET),
        token.clone(),
        |change| match change {
            Change::Is(secret) => note(&|read| read.own = secret_values(&secret)),
            Change::Gone(_) => note(&|read| read.own.clear()),
            Change::Complete(names) => note(&|read| {
                read.own_known = true;
                if names.is_empty() {
                    read.own.clear();
                }
            }),
        },
    );
    let labelled = watcher::Config::default().labels(settings::PART_OF_ARGO_CD);
    let others = follow(api, labelled, token, |change| match change {
        // Its own values are known already.
        Change::Is(secret) if is_own(&secret) => {}
        Change::Is(secret) => note(&|read| {
            read.others
                .insert(secret.name_any(), secret_values(&secret));
        }),
        Change::Gone(name) => note(&|read| {
            read.others.remove(&name);
        }),
        Change::Complete(names) => note(&|read| {
            read.others_known = true;
            read.others.retain(|name, _| names.contains(name));
        }),
    });
    tokio::join!(own, others);
    Ok(())
}

fn is_own(secret: &Secret) -> bool {
    secret.meta().name.as_deref() == Some(settings::SECRET)
}
