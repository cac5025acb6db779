use bus::subject::Store;
use bus::{BusError, Digest};
use bytes::Bytes;

use crate::setup::{Broker, soon};

const LIMIT: usize = 8 * 1024 * 1024;

/// Some bytes of which no two chunks are alike: 251 doesn't divide a chunk.
fn bytes(size: usize) -> (Digest, Bytes) {
    let bytes: Vec<u8> = (0..=250).cycle().step_by(7).take(size).collect();
    (Digest::of(&bytes), bytes.into())
}

#[tokio::test]
async fn an_object_comes_back_whatever_its_size() {
    let (_broker, bus) = Broker::provisioned().await;
    let objects = bus.objects(&Store::Snapshots);
    for size in [0, 1, 128 * 1024, 128 * 1024 + 1, 5_000_000] {
        let (digest, bytes) = bytes(size);
        objects.put(&digest, bytes.clone()).await.unwrap();
        let got = soon("reading", objects.get(&digest, LIMIT)).await.unwrap();
        assert!(got == Some(bytes), "{size}");
    }
}

#[tokio::test]
async fn other_clients_of_nats_read_our_objects() {
    use tokio::io::AsyncReadExt;
    let (broker, bus) = Broker::provisioned().await;
    let (digest, bytes) = bytes(300_000);
    let objects = bus.objects(&Store::Snapshots);
    objects.put(&digest, bytes.clone()).await.unwrap();
    let jetstream = broker.jetstream().await;
    let store = jetstream.get_object_store("snapshots").await.unwrap();
    let mut object = store.get(digest.as_str()).await.unwrap();
    let mut read = Vec::new();
    object.read_to_end(&mut read).await.unwrap();
    assert!(read == bytes);
    assert!(object.info().modified.is_some());
}

#[tokio::test]
async fn a_missing_object_is_none_and_one_over_the_limit_is_an_error() {
    let (_broker, bus) = Broker::provisioned().await;
    let objects = bus.objects(&Store::Snapshots);
    let (digest, bytes) = bytes(1000);
    assert_eq!(objects.get(&digest, LIMIT).await.unwrap(), None);
    objects.put(&digest, bytes).await.unwrap();
    let error = objects.get(&digest, 999).await.unwrap_err();
    assert!(matches!(error, BusError::ObjectTooLarge { size: 1000, .. }));
}

#[tokio::test]
async fn an_object_is_written_once_even_by_writers_at_the_same_time() {
    let (broker, bus) = Broker::provisioned().await;
    let other = broker.bus().await;
    let (digest, bytes) = bytes(1_000_000);
    let stores = [&bus, &other, &bus, &other].map(|bus| bus.objects(&Store::Snapshots));
    let puts = stores.iter().map(|store| store.put(&digest, bytes.clone()));
    for put in futures::future::join_all(puts).await {
        put.unwrap();
    }
    stores[0].put(&digest, bytes.clone()).await.unwrap();
    let got = soon("reading", stores[1].get(&digest, LIMIT)).await;
    assert!(got.unwrap() == Some(bytes));

    let jetstream = broker.jetstream().await;
    let stream = jetstream.get_stream("OBJ_snapshots").await.unwrap();
    let (chunks, description) = (8, 1);
    assert_eq!(stream.cached_info().state.messages, chunks + description);
}

#[tokio::test]
async fn an_object_whose_bytes_are_not_those_of_its_name_is_an_error() {
    let (_broker, bus) = Broker::provisioned().await;
    let objects = bus.objects(&Store::Snapshots);
    let (digest, _) = bytes(1000);
    objects
        .put(&digest, Bytes::from(vec![7; 1000]))
        .await
        .unwrap();
    let error = objects.get(&digest, LIMIT).await.unwrap_err();
    assert!(matches!(error, BusError::ObjectCorrupt { .. }), "{error}");
}

#[tokio::test]
async fn an_object_that_lost_a_part_is_missing_until_it_is_put_again() {
    let (broker, bus) = Broker::provisioned().await;
    let objects = bus.objects(&Store::Snapshots);
    let (digest, bytes) = bytes(400_000);
    objects.put(&digest, bytes.clone()).await.unwrap();
    let jetstream = broker.jetstream().await;
    let stream = jetstream.get_stream("OBJ_snapshots").await.unwrap();
    stream.purge().filter("$O.snapshots.C.*").await.unwrap();
    assert_eq!(
        soon("reading", objects.get(&digest, LIMIT)).await.unwrap(),
        None
    );

    objects.put(&digest, bytes.clone()).await.unwrap();
    let got = soon("reading", objects.get(&digest, LIMIT)).await.unwrap();
    assert!(got == Some(bytes));
}
