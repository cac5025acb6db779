use bus::message::cluster::Head;
use bus::message::desired::Desired;
use bus::message::manifests::{Manifests, Payload};
use bus::subject::{Bucket, Stream};
use bus::{Bus, Digest, Generation, Update, Watch};

use crate::setup::{
    Broker, app, desired, desired_in, here, next, provision, publish, soon, subject, there, until,
    word,
};

fn watch(bus: &Bus) -> Watch<Desired> {
    bus.watch_stream(Stream::Desired, &Stream::Desired.pattern())
}

#[tokio::test]
async fn the_last_values_come_first_then_ready_then_what_is_new() {
    let (_broker, bus) = Broker::provisioned().await;
    for body in [desired("shop", 1), desired("shop", 2), desired("cart", 1)] {
        publish(&bus, &body).await;
    }
    let mut watch = watch(&bus);
    assert_eq!(
        until(&mut watch, "ready").await,
        ["shop:2", "cart:1", "ready"]
    );
    publish(&bus, &desired("shop", 3)).await;
    assert_eq!(next(&mut watch).await, "shop:3");
}

#[tokio::test]
async fn a_watch_of_nothing_is_ready_at_once() {
    let (_broker, bus) = Broker::provisioned().await;
    assert_eq!(next(&mut watch(&bus)).await, "ready");
}

#[tokio::test]
async fn a_filtered_watch_sees_its_prefix_only() {
    let (_broker, bus) = Broker::provisioned().await;
    publish(&bus, &desired_in(&here(), "shop", 1)).await;
    publish(&bus, &desired_in(&there(), "cart", 1)).await;
    let filter = bus::subject::desired_of(&there());
    let mut watch = bus.watch_stream::<Desired>(Stream::Desired, &filter);
    assert_eq!(until(&mut watch, "ready").await, ["cart:1", "ready"]);
    publish(&bus, &desired_in(&here(), "shop", 2)).await;
    publish(&bus, &desired_in(&there(), "cart", 2)).await;
    assert_eq!(next(&mut watch).await, "cart:2");
}

#[tokio::test]
async fn after_a_crash_of_the_broker_the_values_come_again_then_ready_then_what_is_new() {
    let (mut broker, bus) = Broker::provisioned().await;
    publish(&bus, &desired("shop", 1)).await;
    let mut watch = watch(&bus);
    until(&mut watch, "ready").await;
    broker.restart().await;
    assert_eq!(until(&mut watch, "ready").await, ["shop:1", "ready"]);
    publish(&bus, &desired("shop", 2)).await;
    assert_eq!(next(&mut watch).await, "shop:2");
}

#[tokio::test]
async fn after_the_loss_of_the_broker_a_watch_goes_on_with_what_is_published_from_then_on() {
    let (mut broker, bus) = Broker::provisioned().await;
    for generation in 1..=5 {
        publish(&bus, &desired("shop", generation)).await;
    }
    let mut watch = watch(&bus);
    until(&mut watch, "ready").await;
    broker.wipe().await;
    provision(&bus).await;
    // The sequence starts at 1 again, below what the watch had seen.
    publish(&bus, &desired("shop", 6)).await;
    let words = until(&mut watch, "shop:6").await;
    assert!(!words.contains(&"shop:5".to_owned()), "{words:?}");
    publish(&bus, &desired("shop", 7)).await;
    until(&mut watch, "shop:7").await;
}

#[tokio::test]
async fn a_deleted_stream_that_is_created_again_is_found_again() {
    let (broker, bus) = Broker::provisioned().await;
    let mut watch = watch(&bus);
    until(&mut watch, "ready").await;
    let jetstream = broker.jetstream().await;
    jetstream.delete_stream("DESIRED").await.unwrap();
    provision(&bus).await;
    publish(&bus, &desired("shop", 1)).await;
    until(&mut watch, "shop:1").await;
}

#[tokio::test]
async fn a_deleted_key_is_told_and_told_again_to_who_comes_later() {
    let (_broker, bus) = Broker::provisioned().await;
    let key = bus::subject::application(&here(), &app("shop"));
    let head = Head {
        app: app("shop"),
        cluster: here(),
        generation: Generation(1),
    };
    let mut early = bus.watch_bucket::<Head>(Bucket::Heads, ">");
    bus.put(Bucket::Heads, &key, &head).await.unwrap();
    bus.delete(Bucket::Heads, &key).await.unwrap();
    let mut late = bus.watch_bucket::<Head>(Bucket::Heads, ">");
    for watch in [&mut early, &mut late] {
        let deleted = loop {
            if let Update::Deleted { subject } = soon("a deletion", watch.next()).await {
                break subject;
            }
        };
        assert_eq!(Bucket::Heads.key(&deleted), Some(key.as_str()));
    }
}

#[tokio::test]
async fn an_unreadable_value_is_told_and_does_not_stop_the_others() {
    let (broker, bus) = Broker::provisioned().await;
    let bad = subject(&desired("bad", 1));
    let jetstream = broker.jetstream().await;
    let nonsense = jetstream.publish(bad.clone(), "{}".into());
    nonsense.await.unwrap().await.unwrap();
    publish(&bus, &desired("shop", 1)).await;
    let words = until(&mut watch(&bus), "ready").await;
    assert_eq!(words, [&format!("{bad} unreadable"), "shop:1", "ready"]);
}

#[tokio::test]
async fn values_purged_before_they_came_do_not_keep_ready_from_coming() {
    let (_broker, bus) = Broker::provisioned().await;
    // More than the server sends to a reader that does not confirm.
    let names: Vec<String> = (0..60).map(|number| format!("shop-{number:02}")).collect();
    for name in &names {
        let large = Manifests {
            app: app(name),
            cluster: here(),
            generation: Generation(1),
            digest: Digest::of(b""),
            payload: Payload::Inline("x".repeat(500_000)),
            count: 1,
            source_types: Vec::new(),
            conditions: Vec::new(),
            started: 1,
            rendered: 1,
        };
        let subject = bus::subject::manifests(&here(), &app(name));
        bus.publish(Stream::Manifests, &subject, &large, None)
            .await
            .unwrap();
    }
    let mut watch = bus.watch_stream::<Manifests>(Stream::Manifests, &Stream::Manifests.pattern());
    let first = soon("the first value", watch.next()).await;
    assert!(matches!(first, Update::Put(_)));
    for name in &names[50..] {
        let subject = bus::subject::manifests(&here(), &app(name));
        bus.purge(Stream::Manifests, &subject).await.unwrap();
    }
    let mut values = 1;
    while let Update::Put(_) = soon("the next update", watch.next()).await {
        values += 1;
    }
    assert_eq!(values, 50);
}

#[tokio::test]
async fn a_caller_that_drops_next_again_and_again_misses_nothing() {
    let (_broker, bus) = Broker::provisioned().await;
    let mut expected = Vec::new();
    for number in 0..200 {
        publish(&bus, &desired(&format!("shop-{number}"), 1)).await;
        expected.push(format!("shop-{number}:1"));
    }
    expected.push("ready".to_owned());
    let mut watch = watch(&bus);
    let mut words = Vec::new();
    let reading = async {
        while words.len() < expected.len() {
            tokio::select! {
                biased;
                update = watch.next() => words.push(word(update)),
                () = tokio::task::yield_now() => {}
            }
        }
    };
    soon("reading", reading).await;
    assert_eq!(words, expected);
}
