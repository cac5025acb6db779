//! Every service can do, as its own user, all that it needs.

use std::time::Duration;

use bus::message::Message;
use bus::message::command::{Command, Verb};
use bus::message::desired::Desired;
use bus::message::event::{Event, EventKind};
use bus::message::secret::{Answer, Refusal, RefusalReason, Request};
use bus::message::settings::Settings;
use bus::message::verified::Verified;
use bus::role::Role;
use bus::subject::{self, Bucket, Store, Stream};
use bus::{Bus, BusError, Digest, Outcome, Published, Update, Watch};
use bytes::Bytes;

use crate::roles::Guarded;
use crate::setup::{app, desired, desired_in, here, refresh, soon, there};

async fn ready<T: Message>(mut watch: Watch<T>) {
    let ready = async { while !matches!(watch.next().await, Update::Ready) {} };
    soon("a watch to be ready", ready).await;
}

async fn follows(bus: &Bus, stream: Stream, filter: &str) {
    ready(bus.watch_stream::<Event>(stream, filter)).await;
}

/// Reads keys in every way that a service does.
async fn reads(bus: &Bus, bucket: Bucket, filter: &str, key: &str) {
    ready(bus.watch_bucket::<Verified>(bucket, filter)).await;
    // Whatever is there: that it may be read is what counts.
    match bus.get::<Verified>(bucket, key).await {
        Ok(_) | Err(BusError::Decode { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

async fn writes(bus: &Bus, bucket: Bucket, key: &str) {
    let value = Verified {
        repo_url: String::new(),
        target_revision: String::new(),
        revision: String::new(),
        time: 1,
    };
    bus.put(bucket, key, &value).await.unwrap();
}

/// Says what it has to say about applications of `here`; the operator hears it.
async fn says(guarded: &Guarded, bus: &Bus, publisher: &str) {
    let auditor = guarded.auditor().await;
    for &kind in EventKind::ALL {
        if kind.publisher() != publisher {
            continue;
        }
        bus.event(&Event::new(&app("shop"), &here(), kind, "said"))
            .await;
        let stream = auditor.get_stream("EVENTS").await.unwrap();
        let subject = subject::event(&here(), &app("shop"), kind);
        stream
            .get_last_raw_message_by_subject(&subject)
            .await
            .unwrap();
    }
}

/// A large thing, stored by `writer`.
async fn stored(writer: &Bus, store: &Store) -> Digest {
    let bytes = Bytes::from(vec![7; 700_000]);
    let digest = Digest::of(&bytes);
    writer.objects(store).put(&digest, bytes).await.unwrap();
    digest
}

async fn loads(bus: &Bus, store: &Store, digest: &Digest) {
    let objects = bus.objects(store);
    let got = objects.get(digest, 1_000_000);
    assert!(soon("an object", got).await.unwrap().is_some());
}

async fn publishes(bus: &Bus, stream: Stream, subject: &str, body: &Desired) {
    let published = bus.publish_generation(stream, subject, body).await.unwrap();
    assert!(matches!(published, Published::Stored(_)), "{published:?}");
}

async fn commands(monitor: &Bus, cluster: &bus::ClusterId, verb: Verb) {
    let subject = subject::command(cluster, &app("shop"), verb);
    let mut message = refresh("one");
    message.cluster = cluster.clone();
    monitor
        .publish(Stream::Commands, &subject, &message, Some("one"))
        .await
        .unwrap();
}

async fn works(bus: &Bus, durable: &str) {
    let work = bus.work::<Command>(Stream::Commands, durable);
    let delivery = soon("a command", work.next()).await;
    delivery.finish(Outcome::Retry(Duration::ZERO)).await;
    let delivery = soon("the command again", work.next()).await;
    assert_eq!(delivery.attempt, 2);
    delivery.finish(Outcome::Reject("enough".to_owned())).await;
}

#[tokio::test]
async fn the_watcher_can_publish_store_follow_and_be_commanded() {
    let guarded = Guarded::start().await;
    let bus = guarded.bus(&Role::Watcher, "watcher").await;
    let monitor = guarded.bus(&Role::Monitor, "monitor").await;
    let renderer = guarded.bus(&Role::Renderer, "renderer").await;

    for body in [desired("shop", 1), desired_in(&there(), "cart", 1)] {
        let subject = subject::desired(&body.cluster, &body.app);
        publishes(&bus, Stream::Desired, &subject, &body).await;
        bus.purge(Stream::Desired, &subject).await.unwrap();
    }
    follows(&bus, Stream::Desired, &Stream::Desired.pattern()).await;
    for kind in [
        EventKind::DesiredRefused,
        EventKind::ManifestsMissing,
        EventKind::SnapshotMissing,
        EventKind::ApplicationDeleted,
    ] {
        follows(&bus, Stream::Events, &subject::events_of(kind)).await;
    }
    commands(&monitor, &there(), Verb::Refresh).await;
    works(&bus, subject::WATCHER_COMMANDS).await;
    says(&guarded, &bus, "watcher").await;

    let own = subject::state("watcher", None, &app("shop"));
    writes(&bus, Bucket::State, &own).await;
    reads(&bus, Bucket::State, "watcher.>", &own).await;
    bus.delete(Bucket::State, &own).await.unwrap();
    let other = subject::state("applier", Some(&there()), &app("shop"));
    reads(&bus, Bucket::State, "applier.>", &other).await;
    let branch = subject::branch("https://git.example/shop", "main");
    writes(&bus, Bucket::Verified, &branch).await;
    reads(&bus, Bucket::Verified, ">", &branch).await;
    writes(&bus, Bucket::Projects, "default").await;
    bus.delete(Bucket::Projects, "default").await.unwrap();
    reads(&bus, Bucket::Projects, ">", "default").await;
    writes(&bus, Bucket::Settings, Settings::KEY).await;
    reads(&bus, Bucket::Settings, ">", Settings::KEY).await;
    let key = subject::application(&there(), &app("shop"));
    writes(&bus, Bucket::Predecessors, &key).await;
    reads(&bus, Bucket::Predecessors, ">", &key).await;
    bus.delete(Bucket::Predecessors, &key).await.unwrap();
    reads(&bus, Bucket::State, &other, &other).await;
    reads(&bus, Bucket::Heads, ">", &key).await;
    reads(&bus, Bucket::Renders, ">", &key).await;
    reads(&bus, Bucket::Clusters, ">", there().as_str()).await;

    let pack = stored(&bus, &Store::Snapshots).await;
    loads(&bus, &Store::Snapshots, &pack).await;
    let manifests = Store::Manifests(there());
    let digest = stored(&renderer, &manifests).await;
    loads(&bus, &manifests, &digest).await;
    follows(&bus, Stream::Manifests, &Stream::Manifests.pattern()).await;
    for store in [Store::Snapshots, manifests] {
        let objects = bus.objects(&store);
        let listed = objects.list().await.unwrap().remove(0);
        assert!(objects.remove(&listed).await.unwrap());
        assert!(objects.orphans().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_renderer_can_take_work_read_snapshots_and_publish_for_every_cluster() {
    let guarded = Guarded::start().await;
    let bus = guarded.bus(&Role::Renderer, "renderer").await;
    let watcher = guarded.bus(&Role::Watcher, "watcher").await;

    for body in [desired("shop", 1), desired_in(&there(), "cart", 1)] {
        let desired = subject::desired(&body.cluster, &body.app);
        publishes(&watcher, Stream::Desired, &desired, &body).await;
        let work = bus.work::<Desired>(Stream::Desired, subject::RENDERER);
        let delivery = soon("work", work.next()).await;
        let last = bus.last::<Desired>(Stream::Desired, &delivery.subject);
        assert!(last.await.unwrap().is_some());
        let manifests = subject::manifests(&body.cluster, &body.app);
        publishes(&bus, Stream::Manifests, &manifests, &body).await;
        let key = subject::application(&body.cluster, &body.app);
        let put = bus.put_generation(Bucket::Renders, &key, &body).await;
        assert!(matches!(put.unwrap(), Published::Stored(_)));
        reads(&bus, Bucket::Renders, ">", &key).await;
        delivery.finish(Outcome::Done).await;
        let state = subject::state("renderer", Some(&body.cluster), &body.app);
        writes(&bus, Bucket::State, &state).await;
        reads(&bus, Bucket::State, "renderer.>", &state).await;
        reads(&bus, Bucket::Clusters, ">", body.cluster.as_str()).await;
        let store = Store::Manifests(body.cluster.clone());
        let digest = stored(&bus, &store).await;
        loads(&bus, &store, &digest).await;
    }
    says(&guarded, &bus, "renderer").await;
    let pack = stored(&watcher, &Store::Snapshots).await;
    loads(&bus, &Store::Snapshots, &pack).await;
}

#[tokio::test]
async fn an_applier_can_follow_its_cluster_tell_of_it_and_ask_for_secrets() {
    let guarded = Guarded::start().await;
    let bus = guarded.bus(&Role::Applier(here()), "applier").await;
    let agent = guarded
        .bus(&Role::SecretsAgent(here()), "secrets-agent")
        .await;
    let monitor = guarded.bus(&Role::Monitor, "monitor").await;
    let renderer = guarded.bus(&Role::Renderer, "renderer").await;

    follows(&bus, Stream::Desired, &subject::desired_of(&here())).await;
    follows(&bus, Stream::Manifests, &subject::manifests_of(&here())).await;
    for (stream, subject) in [
        (Stream::Desired, subject::desired(&here(), &app("shop"))),
        (Stream::Manifests, subject::manifests(&here(), &app("shop"))),
    ] {
        bus.last::<Desired>(stream, &subject).await.unwrap();
    }
    for verb in Verb::APPLIER {
        let message = refresh(verb.token());
        let subject = subject::command(&here(), &app("shop"), verb);
        monitor
            .publish(Stream::Commands, &subject, &message, None)
            .await
            .unwrap();
        works(&bus, &subject::applier_commands(&here())).await;
    }
    says(&guarded, &bus, "applier").await;
    let key = subject::application(&here(), &app("shop"));
    writes(&bus, Bucket::Heads, &key).await;
    reads(&bus, Bucket::Heads, &format!("{}.>", here()), &key).await;
    bus.delete(Bucket::Heads, &key).await.unwrap();
    reads(&bus, Bucket::Predecessors, &format!("{}.>", here()), &key).await;
    writes(&bus, Bucket::Clusters, here().as_str()).await;
    reads(&bus, Bucket::Clusters, here().as_str(), here().as_str()).await;
    let state = subject::state("applier", Some(&here()), &app("shop"));
    writes(&bus, Bucket::State, &state).await;
    reads(
        &bus,
        Bucket::State,
        &format!("applier.{}.>", here()),
        &state,
    )
    .await;
    let versions = subject::state("secrets-agent", Some(&here()), &app("shop"));
    writes(&agent, Bucket::State, &versions).await;
    reads(
        &bus,
        Bucket::State,
        &subject::versions_of(&here()),
        &versions,
    )
    .await;
    reads(&bus, Bucket::Projects, ">", "default").await;
    reads(&bus, Bucket::Settings, ">", Settings::KEY).await;
    let store = Store::Manifests(here());
    let digest = stored(&renderer, &store).await;
    loads(&bus, &store, &digest).await;

    let resolve = subject::resolve(&here());
    let mut serve = agent.serve::<Request>(&resolve).await.unwrap();
    let answering = tokio::spawn(async move {
        let asked = serve.next().await.unwrap();
        let refusal = Refusal {
            reason: RefusalReason::NotFound,
            message: String::new(),
            references: Vec::new(),
        };
        asked.reply(&Answer::Refused(refusal)).await.unwrap();
    });
    let request = Request {
        question: String::new(),
        signature: String::new(),
    };
    let asking = async {
        // Until the agent's subscription has reached the broker.
        while bus
            .ask::<_, Answer>(&resolve, &request, Duration::from_secs(10))
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    };
    soon("an answer", asking).await;
    answering.await.unwrap();
}

#[tokio::test]
async fn a_secrets_agent_can_follow_what_its_answers_depend_on() {
    let guarded = Guarded::start().await;
    let bus = guarded
        .bus(&Role::SecretsAgent(here()), "secrets-agent")
        .await;
    follows(&bus, Stream::Desired, &subject::desired_of(&here())).await;
    let desired = subject::desired(&here(), &app("shop"));
    bus.last::<Desired>(Stream::Desired, &desired)
        .await
        .unwrap();
    reads(&bus, Bucket::Projects, ">", "default").await;
    says(&guarded, &bus, "secrets-agent").await;
    let state = subject::state("secrets-agent", Some(&here()), &app("shop"));
    writes(&bus, Bucket::State, &state).await;
    let own = format!("secrets-agent.{}.>", here());
    reads(&bus, Bucket::State, &own, &state).await;
}

#[tokio::test]
async fn the_monitor_can_follow_all_states_and_command_and_an_operator_follows_events() {
    let guarded = Guarded::start().await;
    let bus = guarded.bus(&Role::Monitor, "monitor").await;
    for cluster in [here(), there()] {
        for verb in Verb::APPLIER.into_iter().chain([Verb::Refresh]) {
            commands(&bus, &cluster, verb).await;
        }
    }
    follows(&bus, Stream::Events, &subject::events(None)).await;
    follows(&bus, Stream::Events, &subject::events(Some(&there()))).await;
    follows(&bus, Stream::Dead, &Stream::Dead.pattern()).await;
    says(&guarded, &bus, "monitor").await;
    let state = subject::state("applier", Some(&there()), &app("shop"));
    reads(&bus, Bucket::State, ">", &state).await;
    bus.delete(Bucket::State, &state).await.unwrap();
    reads(&bus, Bucket::Verified, ">", "0123456789ab").await;

    let operator = guarded.bus(&Role::Operator, "operator").await;
    follows(&operator, Stream::Events, &subject::events(None)).await;
}
