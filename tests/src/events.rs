//! What the services said of an application, read from the stream itself.

use anyhow::Context;
use bus::identity::{AppId, ClusterId};
use bus::message::event::{Event, EventKind};
use bus::message::verified::Verified;
use bus::subject::{self, Bucket, Stream};
use bus::{Bus, Update};

use crate::app::App;
use crate::git::Repo;
use crate::wait::{check, until};

/// All events of an application so far, oldest first.
pub async fn of(bus: &Bus, app: &App<'_>) -> anyhow::Result<Vec<Event>> {
    let id = AppId::new(&app.namespace, &app.name)?;
    let filter = subject::events_of_application(&ClusterId::in_cluster(), &id);
    let mut watch = bus.watch_stream::<Event>(Stream::Events, &filter);
    let mut events = Vec::new();
    loop {
        match watch.next().await {
            Update::Put(stored) => events.push(stored.value),
            Update::Ready => return Ok(events),
            Update::Deleted { .. } => {}
            Update::Unreadable { subject, error } => {
                anyhow::bail!("{subject} is unreadable: {error}")
            }
        }
    }
}

/// How often each of the kinds that mean work was said of an application.
pub async fn work_of(bus: &Bus, app: &App<'_>) -> anyhow::Result<[usize; 3]> {
    let events = of(bus, app).await?;
    let count = |kind| events.iter().filter(|event| event.kind == kind).count();
    Ok([
        count(EventKind::DesiredPublished),
        count(EventKind::RenderSucceeded),
        count(EventKind::ReleaseStarted),
    ])
}

/// Waits until an event of a kind was said of an application; the newest.
pub async fn said(bus: &Bus, app: &App<'_>, kind: EventKind) -> anyhow::Result<Event> {
    until(&format!("{}: event {}", app.name, kind.token()), || async {
        let events = of(bus, app).await?;
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
