//! A person's command: from the request's body to COMMANDS. Whether the person may is decided before, in [`crate::access`].

use bus::message::command::{Action, Command, Verb};
use bus::message::event::{Event, EventKind};
use bus::message::state::PinUntil;
use bus::subject::{self, Stream};
use bus::{Bus, BusError, ClusterId, Digest, ReleaseId};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::problem::Problem;
use crate::view::View;

/// Objects that one sync may name.
const MAX_RESOURCES: usize = 1_000;
/// Longest name of an object in a sync: group, kind, namespace and name at their longest.
const MAX_RESOURCE: usize = 1_024;
/// Longest idempotency key.
const MAX_KEY: usize = 128;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct RefreshBody {
    hard: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct SyncBody {
    prune: bool,
    dry_run: bool,
    force: bool,
    resources: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct RollbackBody {
    release: Option<ReleaseId>,
    until: PinUntil,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct PinBody {
    until: PinUntil,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoBody {}

/// The verb that a path's last segment names.
pub fn verb(segment: &str) -> Option<Verb> {
    let all = [Verb::Refresh].into_iter().chain(Verb::APPLIER);
    all.into_iter().find(|verb| verb.token() == segment)
}

/// Reads the body that belongs to the verb; an empty one means all defaults.
pub fn action(verb: Verb, body: &[u8]) -> Result<Action, Problem> {
    Ok(match verb {
        Verb::Refresh => Action::Refresh {
            hard: parse::<RefreshBody>(body)?.hard,
        },
        Verb::Sync => {
            let SyncBody {
                prune,
                dry_run,
                force,
                resources,
            } = parse(body)?;
            check_resources(&resources)?;
            Action::Sync {
                prune,
                dry_run,
                force,
                resources,
            }
        }
        Verb::Rollback => {
            let RollbackBody { release, until } = parse(body)?;
            Action::Rollback { release, until }
        }
        Verb::Pin => match parse::<PinBody>(body)?.until {
            PinUntil::Unpinned => Action::Pin,
            until @ PinUntil::NewerRevision => Action::PinUntil { until },
        },
        Verb::Unpin => parse::<NoBody>(body).map(|NoBody {}| Action::Unpin)?,
        Verb::Terminate => parse::<NoBody>(body).map(|NoBody {}| Action::Terminate)?,
    })
}

fn parse<'a, T: Deserialize<'a> + Default>(body: &'a [u8]) -> Result<T, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| {
        Problem::bad_request(
            format!("the body is not what the command takes: {error}"),
            "send a JSON object with the fields that the API documents, or nothing",
        )
    })
}

fn check_resources(resources: &[String]) -> Result<(), Problem> {
    let well_formed = |one: &String| one.len() <= MAX_RESOURCE && one.split('/').count() == 4;
    if resources.len() <= MAX_RESOURCES && resources.iter().all(well_formed) {
        return Ok(());
    }
    Err(Problem::bad_request(
        "the list of resources can't be used",
        format!("name at most {MAX_RESOURCES} as group/kind/namespace/name, empty parts included"),
    ))
}

/// Where the command goes, or why it can't be carried out whoever asks.
pub fn destination(view: &View, verb: Verb) -> Result<ClusterId, Problem> {
    if verb == Verb::Refresh {
        // The watcher carries it out, wherever the application goes.
        return Ok(view.cluster.clone().unwrap_or_else(ClusterId::in_cluster));
    }
    let Some(cluster) = &view.cluster else {
        return Err(Problem::conflict(
            format!("the destination of {} matches no cluster", view.app),
            "correct spec.destination, or register the cluster; the conditions say more",
        ));
    };
    if view.deleting {
        return Err(Problem::conflict(
            format!("{} is being deleted", view.app),
            "wait for the deletion, then create it again",
        ));
    }
    if view.observe {
        return Err(Problem::conflict(
            format!("{} is only observed: nothing is applied", view.app),
            "start Towline without --observe",
        ));
    }
    Ok(cluster.clone())
}

/// Refuses a release that the history does not have.
pub fn check_release(view: &View, action: &Action) -> Result<(), Problem> {
    let Action::Rollback {
        release: Some(release),
        ..
    } = action
    else {
        return Ok(());
    };
    if view.history.iter().any(|entry| entry.release == *release) {
        return Ok(());
    }
    Err(Problem::conflict(
        format!("{} has no release {release} in its history", view.app),
        "choose one that `towline history` shows",
    ))
}

/// The id of a command: new, or the same for the same key of the same user's same command.
pub fn id(key: Option<&str>, user: &str, view: &View, verb: Verb) -> Result<String, Problem> {
    let Some(key) = key else {
        return Ok(uuid::Uuid::new_v4().to_string());
    };
    let fits = |byte: u8| byte.is_ascii_graphic();
    if key.is_empty() || key.len() > MAX_KEY || !key.bytes().all(fits) {
        return Err(Problem::bad_request(
            "the Idempotency-Key can't be used",
            format!("send 1 to {MAX_KEY} printable ASCII characters, such as a UUID"),
        ));
    }
    let all = format!("{user}\n{}\n{}\n{key}", view.app, verb.token());
    Ok(Digest::of(all.as_bytes()).as_str()[..32].to_owned())
}

/// A command on its way from a request to the bus, and where the answer is awaited.
pub struct Order {
    pub command: Command,
    pub done: oneshot::Sender<Result<(), BusError>>,
}

/// Orders that may wait for the broker.
pub const ORDERS: usize = 256;

/// Publishes what is ordered until nobody is left who orders.
pub async fn carry(bus: Bus, mut orders: mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        let published = publish(&bus, &order.command, &[]).await;
        // The request may have been given up meanwhile; the command counts all the same.
        let _ = order.done.send(published);
    }
}

/// Publishes the command, once per id, and says so for the audit.
pub async fn publish(bus: &Bus, command: &Command, ignored: &[&str]) -> Result<(), BusError> {
    let verb = command.action.verb();
    let subject = subject::command(&command.cluster, &command.app, verb);
    bus.publish(Stream::Commands, &subject, command, Some(&command.id))
        .await?;
    let message = format!("{} accepted from {}", verb.token(), command.user);
    let mut event = Event::new(
        &command.app,
        &command.cluster,
        EventKind::CommandAccepted,
        message,
    )
    .user(&command.user)
    .detail("command", &command.id)
    .detail("verb", verb.token());
    if let Ok(Value::Object(action)) = serde_json::to_value(&command.action)
        && let Some((_, parameters)) = action.into_iter().next()
    {
        event = event.detail("parameters", parameters.to_string());
    }
    if !ignored.is_empty() {
        event = event.detail("ignored", ignored.join(", "));
    }
    bus.event(&event).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn back(release: Option<ReleaseId>, until: PinUntil) -> Action {
        Action::Rollback { release, until }
    }

    #[test]
    fn every_verb_has_a_path() {
        for word in ["refresh", "sync", "rollback", "pin", "unpin", "terminate"] {
            assert_eq!(verb(word).unwrap().token(), word);
        }
        assert_eq!(verb("delete"), None);
    }

    #[test]
    fn an_empty_body_means_the_defaults() {
        assert_eq!(
            action(Verb::Rollback, b" \n").unwrap(),
            back(None, PinUntil::Unpinned)
        );
        let release = Some(ReleaseId(3));
        assert_eq!(
            action(Verb::Rollback, br#"{"release":3}"#).unwrap(),
            back(release, PinUntil::Unpinned)
        );
        assert_eq!(
            action(Verb::Rollback, br#"{"until":"newerRevision"}"#).unwrap(),
            back(None, PinUntil::NewerRevision)
        );
        assert_eq!(
            action(Verb::Pin, br#"{"until":"newerRevision"}"#).unwrap(),
            Action::PinUntil {
                until: PinUntil::NewerRevision
            }
        );
    }

    #[test]
    fn a_body_that_is_not_understood_is_refused() {
        assert!(action(Verb::Pin, br#"{"release":3}"#).is_err());
        assert!(action(Verb::Sync, b"{").is_err());
        assert!(action(Verb::Sync, br#"{"resources":["Deployment/dome"]}"#).is_err());
        assert!(action(Verb::Sync, br#"{"resources":["apps/Deployment//dome"]}"#).is_ok());
    }

    #[test]
    fn a_key_gives_one_id_per_user_and_command() {
        let view = sample::view("dome");
        let id_of = |key, user, verb| id(key, user, &view, verb).unwrap();
        assert_eq!(
            id_of(Some("k"), "vera", Verb::Pin),
            id_of(Some("k"), "vera", Verb::Pin)
        );
        assert_ne!(
            id_of(Some("k"), "vera", Verb::Pin),
            id_of(Some("k"), "mallory", Verb::Pin)
        );
        assert_ne!(
            id_of(Some("k"), "vera", Verb::Pin),
            id_of(Some("k"), "vera", Verb::Unpin)
        );
        assert_ne!(
            id_of(None, "vera", Verb::Pin),
            id_of(None, "vera", Verb::Pin)
        );
        assert!(id(Some("a b"), "vera", &view, Verb::Pin).is_err());
    }

    #[test]
    fn what_no_applier_could_carry_out_is_a_conflict() {
        let mut view = sample::view("dome");
        assert!(destination(&view, Verb::Sync).is_ok());
        view.deleting = true;
        assert!(destination(&view, Verb::Sync).is_err());
        view.cluster = None;
        assert!(destination(&view, Verb::Pin).is_err());
        assert_eq!(
            destination(&view, Verb::Refresh).unwrap(),
            ClusterId::in_cluster()
        );
    }

    #[test]
    fn a_release_that_is_not_in_the_history_is_a_conflict() {
        let view = sample::view("dome");
        let check = |release| check_release(&view, &back(release, PinUntil::Unpinned));
        assert!(check(Some(ReleaseId(99))).is_err());
        assert!(check(Some(view.history[0].release)).is_ok());
        assert!(check(None).is_ok());
    }
}
