use bus::message::desired::Desired;
use bus::message::render::{Render, RenderOutcome};
use bus::subject::{Bucket, Stream};
use bus::{Bus, Digest, Generation, Published};

use crate::setup::{Broker, app, desired, here, publish, soon, subject};

async fn generation(bus: &Bus, name: &str) -> Option<u64> {
    let subject = subject(&desired(name, 0));
    let last = bus.last::<Desired>(Stream::Desired, &subject).await;
    last.unwrap().map(|last| last.value.generation.0)
}

async fn offer(bus: &Bus, body: &Desired) -> Published {
    bus.publish_generation(Stream::Desired, &subject(body), body)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_older_or_equal_generation_is_refused_and_says_which_one_is_there() {
    let (_broker, bus) = Broker::provisioned().await;
    assert_eq!(generation(&bus, "shop").await, None);
    assert_eq!(offer(&bus, &desired("shop", 5)).await, Published::Stored(1));
    for refused in [4, 5] {
        assert_eq!(
            offer(&bus, &desired("shop", refused)).await,
            Published::Outdated(Generation(5))
        );
    }
    assert_eq!(offer(&bus, &desired("shop", 6)).await, Published::Stored(2));
    assert_eq!(generation(&bus, "shop").await, Some(6));
}

#[tokio::test]
async fn two_racing_writers_end_at_the_highest_generation_and_never_go_back() {
    let (broker, bus) = Broker::provisioned().await;
    let mut watch = bus.watch_stream::<Desired>(Stream::Desired, "towline.v1.desired.>");
    let writers = [1, 2].map(|first| {
        let args = broker.args();
        tokio::spawn(async move {
            let bus = Bus::connect(&args, "test").await.unwrap();
            for generation in (first..=200).step_by(2) {
                offer(&bus, &desired("shop", generation)).await;
            }
        })
    });
    for writer in writers {
        soon("racing", writer).await.unwrap();
    }
    assert_eq!(generation(&bus, "shop").await, Some(200));

    let mut seen = 0;
    while seen < 200 {
        if let bus::Update::Put(stored) = soon("the next update", watch.next()).await {
            assert!(stored.value.generation.0 > seen, "it went back");
            seen = stored.value.generation.0;
        }
    }
}

#[tokio::test]
async fn an_unreadable_message_is_replaced_by_the_next_generation() {
    let (broker, bus) = Broker::provisioned().await;
    let subject = subject(&desired("shop", 1));
    let jetstream = broker.jetstream().await;
    let nonsense = jetstream.publish(subject.clone(), "nonsense".into());
    nonsense.await.unwrap().await.unwrap();
    let error = bus.last::<Desired>(Stream::Desired, &subject).await;
    assert!(error.unwrap_err().to_string().contains(&subject));

    publish(&bus, &desired("shop", 1)).await;
    assert_eq!(generation(&bus, "shop").await, Some(1));
}

#[tokio::test]
async fn what_was_purged_can_be_published_again_with_the_same_generation() {
    let (_broker, bus) = Broker::provisioned().await;
    let body = desired("shop", 1);
    publish(&bus, &body).await;
    bus.purge(Stream::Desired, &subject(&body)).await.unwrap();
    assert_eq!(generation(&bus, "shop").await, None);
    publish(&bus, &body).await;
    assert_eq!(generation(&bus, "shop").await, Some(1));
}

#[tokio::test]
async fn a_key_keeps_the_highest_generation_too_and_starts_anew_when_deleted() {
    let (_broker, bus) = Broker::provisioned().await;
    let render = |generation| Render {
        app: app("shop"),
        cluster: here(),
        generation: Generation(generation),
        parameters: Digest::of(b"parameters"),
        inputs: Vec::new(),
        values: Vec::new(),
        needs: Vec::new(),
        past: Vec::new(),
        outcome: RenderOutcome::Rendered {
            digest: Digest::of(b"manifests"),
            count: 0,
            size: 0,
            source_types: Vec::new(),
            conditions: Vec::new(),
        },
    };
    let key = bus::subject::application(&here(), &app("shop"));
    let put = async |generation| {
        let render = render(generation);
        bus.put_generation(Bucket::Renders, &key, &render)
            .await
            .unwrap()
    };
    assert_eq!(put(7).await, Published::Stored(1));
    assert_eq!(put(6).await, Published::Outdated(Generation(7)));
    bus.delete(Bucket::Renders, &key).await.unwrap();
    let gone = bus.get::<Render>(Bucket::Renders, &key).await.unwrap();
    assert!(gone.is_none());
    assert_eq!(put(6).await, Published::Stored(3));
}
