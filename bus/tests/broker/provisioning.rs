use bus::Bus;
use bus::message::desired::Desired;
use bus::subject::{Bucket, Store, Stream};

use crate::setup::{Broker, desired, here, provision, publish, soon, subject, there};

#[tokio::test]
async fn everything_that_the_contract_names_is_created_and_creating_it_again_changes_nothing() {
    let (broker, bus) = Broker::provisioned().await;
    publish(&bus, &desired("shop", 1)).await;
    provision(&bus).await;

    let jetstream = broker.jetstream().await;
    let stores = [
        Store::Snapshots,
        Store::Manifests(here()),
        Store::Manifests(there()),
    ];
    let names = Stream::ALL
        .iter()
        .map(|stream| stream.name().to_owned())
        .chain(Bucket::ALL.iter().map(|bucket| bucket.stream()))
        .chain(stores.iter().map(Store::stream));
    for name in names {
        jetstream.get_stream(&name).await.unwrap();
    }
    for bucket in Bucket::ALL {
        jetstream.get_key_value(bucket.name()).await.unwrap();
    }
    for (stream, durable) in [
        ("DESIRED", "renderer"),
        ("COMMANDS", "watcher"),
        ("COMMANDS", "applier-in-cluster"),
        ("COMMANDS", "applier-edge"),
    ] {
        let stream = jetstream.get_stream(stream).await.unwrap();
        stream.consumer_info(durable).await.unwrap();
    }
    let kept = subject(&desired("shop", 1));
    let last = bus.last::<Desired>(Stream::Desired, &kept);
    assert!(last.await.unwrap().is_some());
}

#[tokio::test]
async fn what_exists_with_another_configuration_is_an_error_that_names_it_and_stays_as_it_is() {
    let broker = Broker::start().await;
    let bus = broker.bus().await;
    let jetstream = broker.jetstream().await;
    let other = async_nats::jetstream::stream::Config {
        name: "KV_heads".to_owned(),
        subjects: vec!["$KV.heads.>".to_owned()],
        max_messages_per_subject: 7,
        ..Default::default()
    };
    jetstream.create_stream(other).await.unwrap();

    let error = bus::stream::provision(&bus, &[here()]).await.unwrap_err();
    assert!(error.to_string().contains("stream KV_heads"), "{error}");
    let kept = jetstream.get_stream("KV_heads").await.unwrap();
    assert_eq!(kept.cached_info().config.max_messages_per_subject, 7);
}

#[tokio::test]
async fn a_durable_with_another_configuration_is_an_error_that_names_it() {
    let (broker, bus) = Broker::provisioned().await;
    let stream = broker
        .jetstream()
        .await
        .get_stream("COMMANDS")
        .await
        .unwrap();
    stream.delete_consumer("applier-edge").await.unwrap();
    let other = async_nats::jetstream::consumer::pull::Config {
        durable_name: Some("applier-edge".to_owned()),
        filter_subject: "towline.v1.command.edge.*.*.pin".to_owned(),
        ..Default::default()
    };
    stream.create_consumer(other).await.unwrap();

    let error = bus::stream::provision(&bus, &[here(), there()])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("consumer applier-edge"),
        "{error}"
    );
}

#[tokio::test]
async fn a_service_waits_for_a_missing_stream_and_goes_on_when_somebody_creates_it() {
    let broker = Broker::start().await;
    let args = broker.args();
    let service = tokio::spawn(async move { Bus::connect(&args, "applier").await });

    // Created all but one: the service still waits.
    let bus = broker.bus().await;
    provision(&bus).await;
    let jetstream = broker.jetstream().await;
    assert!(soon("connecting", service).await.unwrap().is_ok());

    jetstream.delete_stream("MANIFESTS").await.unwrap();
    let args = broker.args();
    let mut service = tokio::spawn(async move { Bus::connect(&args, "applier").await });
    let early = tokio::time::timeout(std::time::Duration::from_secs(1), &mut service).await;
    assert!(early.is_err(), "it did not wait");
    provision(&bus).await;
    assert!(soon("connecting", service).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_service_waits_for_a_broker_that_is_not_there_yet() {
    let mut broker = Broker::start().await;
    broker.nats().kill().await;
    let args = broker.args();
    let service = tokio::spawn(async move { Bus::connect(&args, "test").await });
    broker.nats().start_again().await.unwrap();
    let bus = soon("connecting", service).await.unwrap().unwrap();
    assert!(bus.is_connected());
}
