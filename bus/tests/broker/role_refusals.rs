//! Every user is refused what its row of the contract's table doesn't name: at the broker, and told so.

use bus::BusError;
use bus::message::command::Verb;
use bus::message::desired::Desired;
use bus::message::event::EventKind;
use bus::message::settings::Settings;
use bus::role::Role;
use bus::subject::{self, Bucket, Store, Stream};

use crate::roles::{Guarded, Intruder, clusters};
use crate::setup::{app, desired, desired_in, here, next, publish, soon, there};

fn object(store: &Store) -> String {
    format!(
        "$JS.API.DIRECT.GET.{}.$O.{}.M.x",
        store.stream(),
        store.name()
    )
}

fn last(stream: &str, subject: &str) -> String {
    format!("$JS.API.DIRECT.GET.{stream}.{subject}")
}

fn consumer(stream: &str, filter: &str) -> String {
    format!("$JS.API.CONSUMER.CREATE.{stream}.x.{filter}")
}

/// What only the watcher may do.
fn as_watcher() -> Vec<String> {
    let desired = subject::desired(&here(), &app("shop"));
    vec![
        desired,
        "$JS.API.STREAM.PURGE.DESIRED".to_owned(),
        Bucket::Projects.subject("default"),
        Bucket::Settings.subject(Settings::KEY),
        Bucket::Verified.subject("0123456789ab"),
        Bucket::State.subject(&subject::state("watcher", None, &app("shop"))),
        subject::event(&here(), &app("shop"), EventKind::DesiredPublished),
        "$O.snapshots.C.x".to_owned(),
        "$O.snapshots.M.x".to_owned(),
        "$JS.API.STREAM.PURGE.OBJ_snapshots".to_owned(),
        "$JS.API.CONSUMER.MSG.NEXT.COMMANDS.watcher".to_owned(),
    ]
}

fn as_renderer() -> Vec<String> {
    let key = subject::application(&here(), &app("shop"));
    vec![
        subject::manifests(&here(), &app("shop")),
        Bucket::Renders.subject(&key),
        "$O.manifests-in-cluster.C.x".to_owned(),
        "$O.manifests-in-cluster.M.x".to_owned(),
        "$JS.API.CONSUMER.MSG.NEXT.DESIRED.renderer".to_owned(),
        "$JS.ACK.DESIRED.renderer.1.1.1.1.0".to_owned(),
        subject::event(&here(), &app("shop"), EventKind::RenderSucceeded),
    ]
}

/// What only the applier of the cluster `there` may do.
fn as_applier_there() -> Vec<String> {
    let key = subject::application(&there(), &app("shop"));
    vec![
        Bucket::Heads.subject(&key),
        Bucket::Clusters.subject(there().as_str()),
        Bucket::State.subject(&subject::state("applier", Some(&there()), &app("shop"))),
        subject::event(&there(), &app("shop"), EventKind::ReleaseStarted),
        subject::resolve(&there()),
        "$JS.API.CONSUMER.MSG.NEXT.COMMANDS.applier-edge".to_owned(),
        "$JS.API.CONSUMER.INFO.COMMANDS.applier-edge".to_owned(),
        "$JS.ACK.COMMANDS.applier-edge.1.1.1.1.0".to_owned(),
    ]
}

/// Reading what is the cluster `there`'s.
fn reading_there() -> Vec<String> {
    let key = subject::application(&there(), &app("shop"));
    let keys = |bucket: Bucket, filter: &str| bucket.subject(filter);
    vec![
        last("DESIRED", &subject::desired(&there(), &app("shop"))),
        consumer("DESIRED", &subject::desired_of(&there())),
        last("MANIFESTS", &subject::manifests(&there(), &app("shop"))),
        consumer("MANIFESTS", &subject::manifests_of(&there())),
        last("KV_heads", &keys(Bucket::Heads, &key)),
        consumer("KV_heads", &keys(Bucket::Heads, "edge.>")),
        object(&Store::Manifests(there())),
        "$JS.API.CONSUMER.CREATE.OBJ_manifests-edge".to_owned(),
        "$JS.API.CONSUMER.CREATE.OBJ_manifests-edge.x.$O.manifests-edge.C.>".to_owned(),
        "$JS.API.STREAM.INFO.OBJ_manifests-edge".to_owned(),
    ]
}

/// Reading more of a stream than one's own part.
fn reading_everything() -> Vec<String> {
    let mut subjects = Vec::new();
    for stream in ["DESIRED", "MANIFESTS", "COMMANDS", "EVENTS"] {
        for request in [
            "DIRECT.GET",
            "STREAM.MSG.GET",
            "CONSUMER.CREATE",
            "CONSUMER.LIST",
            "CONSUMER.NAMES",
            "STREAM.SNAPSHOT",
        ] {
            subjects.push(format!("$JS.API.{request}.{stream}"));
        }
        subjects.push(format!("$JS.API.CONSUMER.CREATE.{stream}.x"));
        subjects.push(format!("$JS.API.CONSUMER.CREATE.{stream}.x.>"));
        subjects.push(format!("$JS.API.CONSUMER.DURABLE.CREATE.{stream}.x"));
    }
    subjects
}

fn as_monitor() -> Vec<String> {
    vec![
        subject::command(&here(), &app("shop"), Verb::Sync),
        subject::event(&here(), &app("shop"), EventKind::CommandAccepted),
    ]
}

/// What nobody may but the provisioner, and what nobody may at all.
fn as_provisioner() -> Vec<String> {
    [
        "$JS.API.STREAM.CREATE.OTHER",
        "$JS.API.STREAM.CREATE.DESIRED",
        "$JS.API.STREAM.UPDATE.DESIRED",
        "$JS.API.STREAM.DELETE.DESIRED",
        "$JS.API.STREAM.MSG.DELETE.DESIRED",
        "$JS.API.CONSUMER.DELETE.DESIRED.renderer",
        "$JS.API.CONSUMER.CREATE.COMMANDS.watcher.towline.v1.command.>",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.LIST",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// How many messages every stream holds, in all.
async fn held(guarded: &Guarded) -> u64 {
    use futures::TryStreamExt;
    let auditor = guarded.auditor().await;
    let infos: Vec<_> = auditor.streams().try_collect().await.unwrap();
    infos.iter().map(|info| info.state.messages).sum()
}

#[tokio::test]
async fn each_user_is_refused_what_others_publish_and_nothing_of_it_is_stored() {
    let guarded = Guarded::start().await;
    let cases = [
        (
            Role::Watcher,
            vec![as_renderer(), as_applier_there(), as_monitor()],
        ),
        (
            Role::Renderer,
            vec![as_watcher(), as_applier_there(), as_monitor()],
        ),
        (
            Role::Applier(here()),
            vec![
                as_watcher(),
                as_renderer(),
                as_applier_there(),
                as_monitor(),
            ],
        ),
        (
            Role::SecretsAgent(here()),
            vec![
                as_watcher(),
                as_renderer(),
                as_applier_there(),
                as_monitor(),
            ],
        ),
        (
            Role::Operator,
            vec![
                as_watcher(),
                as_renderer(),
                as_applier_there(),
                as_monitor(),
            ],
        ),
        (
            Role::Provisioner,
            vec![
                as_watcher(),
                as_renderer(),
                as_applier_there(),
                as_monitor(),
            ],
        ),
    ];
    for (role, refused) in cases {
        let mut intruder = guarded.intruder(&role).await;
        // The provisioner compares durables with what they should be.
        let looks = |subject: &&String| {
            role == Role::Provisioner && subject.starts_with("$JS.API.CONSUMER.INFO.")
        };
        for subject in refused.iter().flatten().filter(|subject| !looks(subject)) {
            intruder.cannot_publish(subject).await;
        }
    }
    let mut monitor = guarded.intruder(&Role::Monitor).await;
    // It may write any state, to remove those of applications that are gone.
    let own = |subject: &&String| subject.starts_with("$KV.state.");
    let refused = [as_watcher(), as_renderer(), as_applier_there()].concat();
    for subject in refused.iter().filter(|subject| !own(subject)) {
        monitor.cannot_publish(subject).await;
    }
    assert_eq!(held(&guarded).await, 0);
}

#[tokio::test]
async fn nobody_but_the_provisioner_changes_streams_and_consumers() {
    let guarded = Guarded::start().await;
    let roles = Role::all(&clusters());
    for role in roles.iter().filter(|role| **role != Role::Provisioner) {
        let mut intruder = guarded.intruder(role).await;
        for subject in as_provisioner() {
            intruder.cannot_publish(&subject).await;
        }
    }
    // And even that one reads nothing: its consumers' messages go where it may not listen.
    let mut provisioner = guarded.intruder(&Role::Provisioner).await;
    for subject in [
        "$JS.API.STREAM.DELETE.DESIRED",
        "$JS.API.DIRECT.GET.DESIRED",
    ] {
        provisioner.cannot_publish(subject).await;
    }
}

#[tokio::test]
async fn applier_and_agent_are_refused_what_another_cluster_has() {
    let guarded = Guarded::start().await;
    for role in [Role::Applier(here()), Role::SecretsAgent(here())] {
        let mut intruder = guarded.intruder(&role).await;
        for subject in reading_there().iter().chain(&reading_everything()) {
            intruder.cannot_publish(subject).await;
        }
    }
}

#[tokio::test]
async fn a_consumer_that_asks_for_more_than_its_subject_names_is_refused() {
    let guarded = Guarded::start().await;
    let watcher = guarded.bus(&Role::Watcher, "watcher").await;
    let body = desired_in(&there(), "shop", 1);
    let theirs = subject::desired(&there(), &app("shop"));
    watcher
        .publish_generation(Stream::Desired, &theirs, &body)
        .await
        .unwrap();

    let intruder = guarded.intruder(&Role::Applier(here())).await;
    let create = consumer("DESIRED", &subject::desired_of(&here()));
    let deliver = intruder.client.new_inbox();
    for filter in [
        format!("\"filter_subject\":\"{}\"", subject::desired_of(&there())),
        format!(
            "\"filter_subjects\":[\"{}\"]",
            subject::desired_of(&there())
        ),
        format!(
            "\"filter_subjects\":[\"{}\",\"{}\"]",
            subject::desired_of(&here()),
            subject::desired_of(&there())
        ),
    ] {
        let request = format!(
            "{{\"stream_name\":\"DESIRED\",\"action\":\"create\",\"config\":{{\"name\":\"x\",\"ack_policy\":\"none\",\
             \"deliver_policy\":\"all\",\"replay_policy\":\"instant\",\"deliver_subject\":\"{deliver}\",{filter}}}}}"
        );
        let reply = intruder.client.request(create.clone(), request.into());
        let reply = String::from_utf8(reply.await.unwrap().payload.to_vec()).unwrap();
        assert!(reply.contains("\"error\""), "{filter}: {reply}");
    }
    // A last value is asked for by the subject of the request, whatever its body says.
    let own = last("DESIRED", &subject::desired(&here(), &app("shop")));
    for body in [
        format!("{{\"last_by_subj\":\"{theirs}\"}}"),
        "{\"seq\":1}".to_owned(),
        format!("{{\"multi_last\":[\"{theirs}\"]}}"),
    ] {
        let reply = intruder.client.request(own.clone(), body.into()).await;
        let payload = reply.map(|reply| reply.payload).unwrap_or_default();
        assert!(payload.is_empty(), "{payload:?}");
    }
}

#[tokio::test]
async fn nobody_hears_requests_for_secrets_but_the_clusters_agent() {
    let guarded = Guarded::start().await;
    for role in Role::all(&clusters()) {
        let mut intruder = guarded.intruder(&role).await;
        intruder.cannot_subscribe("towline.v1.secret.>").await;
        intruder.cannot_subscribe("towline.>").await;
        intruder.cannot_subscribe(">").await;
        if role != Role::SecretsAgent(there()) {
            intruder.cannot_subscribe(&subject::resolve(&there())).await;
        }
        if role != Role::Applier(there()) {
            intruder.cannot_subscribe(&subject::diff(&there())).await;
            intruder.cannot_subscribe(&subject::check(&there())).await;
            intruder.cannot_subscribe(&subject::tree(&there())).await;
        }
    }
}

#[tokio::test]
async fn nobody_hears_what_another_user_is_answered_or_what_goes_through_a_stream() {
    let guarded = Guarded::start().await;
    let roles = Role::all(&clusters());
    for role in &roles {
        let mut intruder = guarded.intruder(role).await;
        for other in roles.iter().filter(|other| *other != role) {
            let inbox = format!("{}.>", guarded.inbox(other));
            intruder.cannot_subscribe(&inbox).await;
        }
        for subject in ["_INBOX.>", "_INBOX_*.>", "$JS.>", "$KV.>", "$O.>"] {
            intruder.cannot_subscribe(subject).await;
        }
        for stream in Stream::ALL {
            intruder.cannot_subscribe(&stream.pattern()).await;
        }
    }
}

#[tokio::test]
async fn the_renderer_and_an_operator_read_no_more_than_their_part() {
    let guarded = Guarded::start().await;
    let key = subject::application(&here(), &app("shop"));
    let mut renderer = guarded.intruder(&Role::Renderer).await;
    for subject in [
        consumer("DESIRED", &Stream::Desired.pattern()),
        consumer("COMMANDS", &Stream::Commands.pattern()),
        consumer("EVENTS", &subject::events(None)),
        last("KV_heads", &Bucket::Heads.subject(&key)),
        last("KV_projects", &Bucket::Projects.subject("default")),
        consumer("KV_projects", &Bucket::Projects.subject(">")),
        consumer("KV_settings", &Bucket::Settings.subject(">")),
        consumer("KV_state", &Bucket::State.subject(">")),
        subject::resolve(&here()),
        subject::diff(&here()),
        subject::check(&here()),
        subject::tree(&here()),
    ]
    .iter()
    .chain(&reading_everything())
    {
        renderer.cannot_publish(subject).await;
    }
    let mut operator = guarded.intruder(&Role::Operator).await;
    for subject in [
        consumer("DEAD", &Stream::Dead.pattern()),
        last("DESIRED", &subject::desired(&here(), &app("shop"))),
        object(&Store::Snapshots),
    ]
    .iter()
    .chain(&reading_there())
    .chain(&reading_everything())
    {
        operator.cannot_publish(subject).await;
    }
}

#[tokio::test]
async fn a_refused_publish_is_an_error_of_the_runtime_too() {
    let guarded = Guarded::start().await;
    let bus = guarded.bus(&Role::Renderer, "renderer").await;
    let body = desired("shop", 1);
    let subject = subject::desired(&here(), &app("shop"));
    let error = bus
        .publish(Stream::Desired, &subject, &body, None)
        .await
        .unwrap_err();
    assert!(matches!(error, BusError::Publish { .. }), "{error}");
    let last = bus
        .last::<Desired>(Stream::Desired, &subject)
        .await
        .unwrap();
    assert!(last.is_none());
    assert_eq!(held(&guarded).await, 0);
}

/// The broker sends what a request asks for wherever the request says, also onto a subject that the asker may not publish:
/// in one account that can't be forbidden. What came that way is not believed.
#[tokio::test]
async fn what_the_broker_is_made_to_copy_onto_another_subject_is_not_believed() {
    let guarded = Guarded::start().await;
    let renderer = guarded.bus(&Role::Renderer, "renderer").await;
    let intruder = guarded.intruder(&Role::Renderer).await;
    let forged = desired("shop", 99);
    let key = subject::application(&here(), &forged.app);
    let target = subject::desired(&here(), &forged.app);
    renderer.put(Bucket::Renders, &key, &forged).await.unwrap();
    let copy = last("KV_renders", &Bucket::Renders.subject(&key));
    copied(&guarded, &intruder, copy, &target).await;

    let watcher = guarded.bus(&Role::Watcher, "watcher").await;
    let error = watcher.last::<Desired>(Stream::Desired, &target).await;
    let told = error.map_err(|error| std::error::Error::source(&error).unwrap().to_string());
    assert_eq!(told.unwrap_err(), "it was copied there, not published");
    let applier = guarded.bus(&Role::Applier(here()), "applier").await;
    let mut watch = applier.watch_stream(Stream::Desired, &subject::desired_of(&here()));
    assert_eq!(next(&mut watch).await, format!("{target} unreadable"));

    // Nor is it in the way of what is published.
    let honest = desired("shop", 1);
    publish(&watcher, &honest).await;
    let held = watcher.last::<Desired>(Stream::Desired, &target).await;
    assert_eq!(held.unwrap().unwrap().value, honest);
}

#[tokio::test]
async fn a_desired_state_under_the_subject_of_another_application_or_cluster_is_not_believed() {
    let guarded = Guarded::start().await;
    let watcher = guarded.bus(&Role::Watcher, "watcher").await;
    for (cluster, name) in [(here(), "cart"), (there(), "shop")] {
        let other = subject::desired(&cluster, &app(name));
        let misplaced = desired("shop", 1);
        watcher
            .publish(Stream::Desired, &other, &misplaced, None)
            .await
            .unwrap();
        let error = watcher.last::<Desired>(Stream::Desired, &other).await;
        let told = error.map_err(|error| std::error::Error::source(&error).unwrap().to_string());
        assert_eq!(
            told.unwrap_err(),
            "it is about another application or cluster"
        );
    }
}

/// Has the broker answer `request` onto `target`.
async fn copied(guarded: &Guarded, intruder: &Intruder, request: String, target: &str) {
    intruder
        .client
        .publish_with_reply(request, target.to_owned(), "".into())
        .await
        .unwrap();
    let auditor = guarded.auditor().await;
    let stream = auditor.get_stream("DESIRED").await.unwrap();
    let arrives = async {
        while stream
            .get_last_raw_message_by_subject(target)
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    };
    soon("the copy", arrives).await;
}
