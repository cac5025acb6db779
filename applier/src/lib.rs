//! The applier: manifests become releases, and stay as they were released.
//!
//! `consume` (desired, manifests, projects) and `commands` → `app` (one task per application: `target` joins and prepares, `decide`
//! says what to do; `project`, `window` and `account`, what may be done, when and as whom) → `plan` (pure: steps) → `execute` (no
//! choices) → `live` (watches, health, drift) → `publish`. `store` keeps in the cluster what must survive; `describe` tells what the
//! cluster serves; `orphan` looks for what nobody has, `wanted` knows which application wants what, `tree` says what objects own in turn, `diff` says what a release would
//! change, `check` which secrets it reads; `direct` takes orders past the broker. Of several appliers of one cluster one does all that (`lead`), the others wait
//! to go on for it.

mod account;
mod app;
mod args;
mod check;
mod cluster;
mod commands;
mod consume;
mod contents;
mod context;
mod describe;
mod diff;
pub mod direct;
pub mod drift;
mod execute;
mod fit;
pub mod health;
mod lead;
mod live;
mod metrics;
mod object;
mod orphan;
mod plan;
mod project;
mod publish;
mod questions;
mod secrets;
mod settings;
mod store;
mod tree;
mod wanted;
mod window;

use std::time::Duration;

use bus::seal::{AnswererPublic, AskerKey};
use bus::service::{Readiness, Service};
use lease::{Candidate, Lead};
use tokio_util::sync::CancellationToken;

pub use args::Args;
pub use secrets::Reads;

use crate::cluster::Cluster;
use crate::cluster::access::{self, Source};
use crate::lead::{Fixed, Leader};
use crate::metrics::Metrics;
use crate::project::Bounds;

/// The Lease's name, in the store's namespace.
const LEASE: &str = "towline-applier";
/// How long it stands unless it is renewed: short, for while nobody leads nothing is released or healed.
const LEASE_DURATION: Duration = Duration::from_secs(3);
/// How often it is looked whether everything is there that is needed.
const LOOK: Duration = Duration::from_secs(1);

pub async fn run(args: Args) -> anyhow::Result<()> {
    let Args {
        nats,
        admin,
        cluster_id,
        kubeconfig,
        context,
        cluster_secret,
        store_namespace,
        lease,
        seal_key,
        secrets_agent_key,
        allow_namespaces,
        namespaced_only,
        allow_service_accounts,
        allow_secret_kinds,
        in_flight,
        observe,
    } = args;
    let kept = bus::guard::guard()?;
    let mut service = Service::start("applier", &admin).await?;
    kept.log();
    let metrics = std::sync::Arc::new(Metrics::new(service.registry())?);
    let keys = seal_keys(seal_key.as_deref(), &secrets_agent_key)?;
    let client = access::connect(match (kubeconfig, cluster_secret) {
        (Some(path), _) => Source::Kubeconfig { path, context },
        (None, Some(folder)) => Source::Secret(folder),
        (None, None) => Source::Inferred,
    })
    .await?;
    let token = service.token();
    let candidate = Candidate::new(
        client.clone(),
        (
            lease.lease_namespace.as_deref().unwrap_or(&store_namespace),
            LEASE.to_owned(),
        ),
        lease.identity("applier"),
        lease.duration(LEASE_DURATION),
    );
    let lead = candidate.lead();
    let leader = Leader {
        cluster: Cluster::new(client, in_flight, metrics.clone()),
        lead: lead.clone(),
        nats,
        fixed: Fixed {
            id: cluster_id,
            bounds: Bounds {
                namespaces: allow_namespaces,
                cluster_objects: !namespaced_only,
                accounts: allow_service_accounts,
                secret_kinds: allow_secret_kinds,
            },
            store_namespace,
            keys,
            observe,
        },
        metrics,
        reading: service.readiness("cluster"),
        connected: service.readiness("nats"),
    };
    let over = Over::default();
    service.spawn("lease", held(candidate, over.clone()));
    service.spawn(
        "lead",
        watch_over(lead, service.readiness("lease"), token.clone()),
    );
    service.spawn("applications", async move {
        let ended = leader.run(token).await;
        over.say(&ended);
        ended
    });
    service.run().await
}

/// How the work of this process ended, which the Lease outlives.
#[derive(Clone, Default)]
struct Over {
    /// Nothing that was begun is under way.
    orderly: CancellationToken,
    failed: CancellationToken,
}

impl Over {
    fn say(&self, ended: &anyhow::Result<()>) {
        match ended {
            Ok(()) => self.orderly.cancel(),
            Err(_) => self.failed.cancel(),
        }
    }
}

/// The Lease is given back when everything that was begun is over. After a failure it runs out by itself, since the API server may
/// still be at work on what was asked last.
async fn held(candidate: Candidate, over: Over) -> Result<(), lease::LeadError> {
    tokio::select! {
        ended = candidate.run(over.orderly) => ended,
        () = over.failed.cancelled() => Ok(()),
    }
}

/// One that could go on at once is ready, as is the one that acts.
async fn watch_over(
    lead: Lead,
    readiness: Readiness,
    token: CancellationToken,
) -> Result<(), std::convert::Infallible> {
    loop {
        match lead.hindrance() {
            Some(why) if !lead.stands_by() => readiness.not_ready(why),
            _ => readiness.ready(),
        }
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn seal_keys(
    key: Option<&std::path::Path>,
    agents: &[String],
) -> anyhow::Result<Option<(AskerKey, Vec<AnswererPublic>)>> {
    let Some(key) = key else { return Ok(None) };
    let key = AskerKey::read(key)?;
    let agents = agents
        .iter()
        .map(|agent| agent.parse())
        .collect::<Result<Vec<AnswererPublic>, _>>()?;
    Ok(Some((key, agents)))
}
