//! What the services said of an application, read from the stream itself.

use std::time::Duration;

use anyhow::{Context, anyhow};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use bus::Bus;
use bus::identity::{AppId, ClusterId};
use bus::message::event::{Event, EventKind};
use bus::message::verified::Verified;
use bus::subject::{self, Bucket, Stream};
use futures::{StreamExt, TryStreamExt};

use crate::app::App;
use crate::git::Repo;
use crate::installation::Installation;
use crate::wait::{check, until};

/// All events of an application so far, oldest first.
pub async fn of(towline: &Installation, app: &App<'_>) -> anyhow::Result<Vec<Event>> {
    let id = AppId::new(&app.namespace, &app.name)?;
    let jetstream = async_nats::jetstream::new(towline.inspector().await?);
    let stream = jetstream.get_stream(Stream::Events.name()).await?;
    let config = pull::Config {
        filter_subject: subject::events_of_application(&ClusterId::in_cluster(), &id),
        ack_policy: AckPolicy::None,
        inactive_threshold: Duration::from_secs(30),
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await?;
    let pending = usize::try_from(consumer.cached_info().num_pending)?;
    if pending == 0 {
        return Ok(Vec::new());
    }
    let messages = consumer.fetch().max_messages(pending).messages().await?;
    messages
        .map(|message| {
            let message = message.map_err(|error| anyhow!(error))?;
            Ok(serde_json::from_slice(&message.payload)?)
        })
        .try_collect()
        .await
}

/// How often each of the kinds that mean work was said of an application.
pub async fn work_of(towline: &Installation, app: &App<'_>) -> anyhow::Result<[usize; 3]> {
    let events = of(towline, app).await?;
    let count = |kind| events.iter().filter(|event| event.kind == kind).count();
    Ok([
        count(EventKind::DesiredPublished),
        count(EventKind::RenderSucceeded),
        count(EventKind::ReleaseStarted),
    ])
}

/// Waits until an event of a kind was said of an application; the newest.
pub async fn said(towline: &Installation, app: &App<'_>, kind: EventKind) -> anyhow::Result<Event> {
    until(&format!("{}: event {}", app.name, kind.token()), || async {
        let events = of(towline, app).await?;
        let found = events.iter().rev().find(|event| event.kind == kind);
        found.cloned().with_context(|| {
            let kinds: Vec<_> = events.iter().map(|event| event.kind.token()).collect();
            format!("so far {kinds:?}")
        })
    })
    .await
}

/// Waits until every application of the branch was checked against a commit.
pub async fn verified(bus: &Bus, repo: &Repo, commit: &str) -> anyhow::Result<()> {
    let key = subject::branch(repo.url(), Repo::BRANCH);
    until(
        &format!("{} is verified up to {commit}", repo.url()),
        || async {
            let stored = bus.get::<Verified>(Bucket::Verified, &key).await?;
            let stored = stored.context("no commit is verified")?;
            check(stored.value.revision == commit, || stored.value.revision)
        },
    )
    .await
}
