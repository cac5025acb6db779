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

#[tokio::test]
async fn what_was_listed_is_taken_out_and_can_be_stored_again() {
    let (broker, bus) = Broker::provisioned().await;
    let objects = bus.objects(&Store::Snapshots);
    let (kept, kept_bytes) = bytes(1000);
    let (old, old_bytes) = bytes(300_000);
    objects.put(&kept, kept_bytes.clone()).await.unwrap();
    objects.put(&old, old_bytes.clone()).await.unwrap();
    let listed = objects.list().await.unwrap();
    assert_eq!(listed.len(), 2);
    let entry = listed.iter().find(|entry| entry.digest == old).unwrap();
    assert_eq!(entry.size, 300_000);
    assert!(objects.remove(entry).await.unwrap());
    // Said again, it does nothing.
    assert!(!objects.remove(entry).await.unwrap());

    assert_eq!(objects.get(&old, LIMIT).await.unwrap(), None);
    assert!(objects.get(&kept, LIMIT).await.unwrap() == Some(kept_bytes));
    let jetstream = broker.jetstream().await;
    let stream = jetstream.get_stream("OBJ_snapshots").await.unwrap();
    let (chunks, description) = (1, 1);
    assert_eq!(stream.cached_info().state.messages, chunks + description);

    objects.put(&old, old_bytes.clone()).await.unwrap();
    let got = soon("reading", objects.get(&old, LIMIT)).await.unwrap();
    assert!(got == Some(old_bytes));
    // What was listed was another writing of it.
    assert!(!objects.remove(entry).await.unwrap());
}

#[tokio::test]
async fn an_object_that_somebody_found_stored_since_it_was_listed_stays() {
    let (broker, bus) = Broker::provisioned().await;
    let objects = bus.objects(&Store::Snapshots);
    let (digest, bytes) = bytes(1000);
    objects.put(&digest, bytes.clone()).await.unwrap();
    age(&broker, &digest).await;
    let listed = objects.list().await.unwrap().remove(0);
    assert!(listed.touched < 1_000_000);

    objects.put(&digest, bytes.clone()).await.unwrap();
    let touched = objects.list().await.unwrap().remove(0);
    assert!(touched.touched > listed.touched);
    assert!(!objects.remove(&listed).await.unwrap());
    assert!(objects.get(&digest, LIMIT).await.unwrap() == Some(bytes));
}

#[tokio::test]
async fn chunks_of_no_object_are_found_and_taken_out() {
    let (broker, bus) = Broker::provisioned().await;
    let objects = bus.objects(&Store::Snapshots);
    let (digest, bytes) = bytes(300_000);
    objects.put(&digest, bytes.clone()).await.unwrap();
    let jetstream = broker.jetstream().await;
    let left = jetstream.publish("$O.snapshots.C.left-behind", "chunk".into());
    left.await.unwrap().await.unwrap();

    let orphans = objects.orphans().await.unwrap();
    assert_eq!(orphans.len(), 1);
    assert!(orphans[0].touched > 0);
    objects.remove_orphan(&orphans[0]).await.unwrap();
    assert!(objects.orphans().await.unwrap().is_empty());
    assert!(objects.get(&digest, LIMIT).await.unwrap() == Some(bytes));
}

/// Makes a description say that it is from 1970.
async fn age(broker: &Broker, digest: &Digest) {
    use base64::Engine as _;
    let jetstream = broker.jetstream().await;
    let stream = jetstream.get_stream("OBJ_snapshots").await.unwrap();
    let name = base64::engine::general_purpose::URL_SAFE.encode(digest.as_str());
    let subject = format!("$O.snapshots.M.{name}");
    let last = stream.direct_get_last_for_subject(&subject).await.unwrap();
    let mut info: serde_json::Value = serde_json::from_slice(&last.payload).unwrap();
    info["mtime"] = "1970-01-01T00:00:01Z".into();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(async_nats::header::NATS_ROLLUP, "sub");
    let aged = jetstream.publish_with_headers(subject, headers, info.to_string().into());
    aged.await.unwrap().await.unwrap();
}
