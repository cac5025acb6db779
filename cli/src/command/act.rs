//! `refresh`, `sync`, `rollback`, `pin`, `unpin`, `terminate`: send a command, and wait for what comes of it where asked.
#![expect(clippy::print_stdout, reason = "a command says what it did")]

use std::time::Duration;

use anyhow::bail;
use bus::AppId;
use bus::message::command::Action;
use bus::message::event::{Event, EventKind};
use bus::message::state::{OperationPhase, ReleaseCause};
use futures::StreamExt as _;
use monitor::view::View;

use crate::client::{Client, ClientArgs};

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Whether to wait for the outcome, and how long.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WaitArgs {
    /// Return when the command is accepted, not when it has been carried out
    #[arg(long)]
    pub no_wait: bool,
    /// Give up waiting after this many seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub timeout: u64,
}

/// What a command waits for.
enum Goal {
    Accepted,
    /// The event that says so, and the view that shows it.
    Pinned(bool),
    /// Synced and Healthy at a release newer than the one before.
    Released,
    /// What a release would do.
    Tried,
}

pub(crate) async fn act(
    client: &ClientArgs,
    app: &str,
    action: &Action,
    wait: &WaitArgs,
) -> anyhow::Result<()> {
    let client = &Client::from_args(client).await?;
    let app = client.app(app)?;
    let goal = if wait.no_wait {
        Goal::Accepted
    } else {
        goal(action)
    };
    let before = client.application(&app).await?;
    let mut events = client.follow(Some(&app), Some(0)).await?.boxed();
    let id = client.command(&app, action).await?;
    println!("{} of {app} accepted ({id})", action.verb().token());
    let outcome = async {
        match goal {
            Goal::Accepted => Ok(()),
            Goal::Pinned(pinned) => {
                let said = if pinned {
                    EventKind::ApplicationPinned
                } else {
                    EventKind::ApplicationUnpinned
                };
                let event = loop {
                    let event = next(&mut events, &id).await?;
                    if event.kind == said {
                        break event;
                    }
                };
                shows(client, &app, |view| view.pin.is_some() == pinned).await?;
                println!("{}", event.message);
                Ok(())
            }
            Goal::Released => released(client, &app, &before, &id, &mut events).await,
            Goal::Tried => tried(client, &app, &id, &mut events).await,
        }
    };
    match tokio::time::timeout(Duration::from_secs(wait.timeout), outcome).await {
        Ok(outcome) => outcome,
        Err(_) => bail!(
            "no outcome within {} s; `towline get {app}` shows where it stands",
            wait.timeout
        ),
    }
}

const fn goal(action: &Action) -> Goal {
    match action {
        Action::Refresh { .. } | Action::Terminate => Goal::Accepted,
        Action::Sync { dry_run: true, .. } => Goal::Tried,
        Action::Sync { .. } | Action::Rollback { .. } => Goal::Released,
        Action::Pin | Action::PinUntil { .. } => Goal::Pinned(true),
        Action::Unpin => Goal::Pinned(false),
    }
}

/// The next event; an error when it says that the command with this id was refused.
async fn next(
    events: &mut (impl futures::Stream<Item = anyhow::Result<Event>> + Unpin),
    id: &str,
) -> anyhow::Result<Event> {
    match events.next().await {
        Some(Ok(event))
            if event.kind == EventKind::CommandRefused
                && event
                    .detail
                    .get("command")
                    .is_some_and(|refused| refused == id) =>
        {
            bail!(event.message)
        }
        Some(event) => event,
        None => bail!("the monitor ended the event stream"),
    }
}

async fn released(
    client: &Client,
    app: &AppId,
    before: &View,
    id: &str,
    events: &mut (impl futures::Stream<Item = anyhow::Result<Event>> + Unpin),
) -> anyhow::Result<()> {
    let last = before.operation.as_ref().map(|operation| operation.release);
    loop {
        let event = next(events, id).await?;
        println!("{}", event.message);
        let is_new = event.release.is_some() && event.release > last;
        match event.kind {
            EventKind::ReleaseFailed if is_new => bail!("release failed: {}", event.message),
            EventKind::ReleaseSuperseded if is_new => bail!("a newer revision took over"),
            EventKind::ReleaseSucceeded if is_new => {
                let view = shows(client, app, |view| {
                    view.operation.as_ref().is_some_and(|operation| {
                        Some(operation.release) >= event.release && operation.finished.is_some()
                    })
                })
                .await?;
                println!("{} {}", view.sync.as_str(), view.health.status.as_str());
                return Ok(());
            }
            _ => {}
        }
    }
}

/// The outcome of a dry run, by object.
async fn tried(
    client: &Client,
    app: &AppId,
    id: &str,
    events: &mut (impl futures::Stream<Item = anyhow::Result<Event>> + Unpin),
) -> anyhow::Result<()> {
    let event = loop {
        let event = next(events, id).await?;
        if event.kind == EventKind::ReleaseTried
            && event.detail.get("command").is_some_and(|of| of == id)
        {
            break event;
        }
    };
    let is_of =
        |cause: &ReleaseCause| matches!(cause, ReleaseCause::Command { id: of, .. } if of == id);
    let view = shows(client, app, |view| {
        let shown = view.operation.as_ref();
        // While something is released, that is shown instead.
        shown.is_some_and(|shown| is_of(&shown.cause) || shown.finished.is_none())
    })
    .await?;
    let operation = view.operation.as_ref().filter(|shown| is_of(&shown.cause));
    for one in operation.iter().flat_map(|operation| &operation.results) {
        let object = format!("{}/{}/{}/{}", one.group, one.kind, one.namespace, one.name);
        println!("{object}  {}", one.message);
    }
    println!("{}", event.message);
    match operation.map(|operation| operation.phase) {
        Some(OperationPhase::Failed | OperationPhase::Error) => bail!("a release would fail"),
        _ => Ok(()),
    }
}

/// Waits until the view, which follows events within a moment, shows what an event said.
async fn shows(
    client: &Client,
    app: &AppId,
    check: impl Fn(&View) -> bool,
) -> anyhow::Result<View> {
    loop {
        let view = client.application(app).await?;
        if check(&view) {
            return Ok(view);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
