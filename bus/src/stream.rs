//! What must exist at the broker: streams, buckets, object stores and durable consumers, and how each is configured.
//!
//! `towline` or the chart creates them; a service only compares ([`missing`]) and waits. What exists is never changed
//! blindly: applying a configuration again can drop messages that wait for a retry.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use crate::client::{Bus, MAX_BODY};
use crate::error::BusError;
use crate::identity::ClusterId;
use crate::message::command::Verb;
use crate::subject::{self, Bucket, Store, Stream};
use crate::work::ACK_WAIT;

/// Retries of one publish are recognised for this long.
const DUPLICATES: Duration = Duration::from_mins(2);
const EVENTS_KEPT: Duration = Duration::from_hours(30 * 24);
/// A command that nobody carried out in this time is forgotten.
const COMMANDS_KEPT: Duration = Duration::from_hours(1);
const DEAD_KEPT: usize = 10_000;
/// The most bytes that events take at the broker.
const EVENTS_BYTES: i64 = 1 << 30;
/// Key in a stream's metadata; its value is the contract's version.
const MARK: &str = "towline.dev/contract";
const VERSION: &str = "1";

/// A durable consumer and the subjects that it takes.
struct Durable {
    stream: Stream,
    name: String,
    filters: Vec<String>,
}

/// Creates what is missing for `clusters`; what is there with another configuration is an error.
pub async fn provision(bus: &Bus, clusters: &[ClusterId]) -> Result<(), BusError> {
    for config in streams(clusters) {
        let name = config.name.clone();
        bus.inner
            .jetstream
            .create_stream(config)
            .await
            .map_err(|source| BusError::Provision {
                name: format!("stream {name}"),
                source: source.into(),
            })?;
    }
    for durable in durables(clusters) {
        let name = durable.name.clone();
        bus.inner
            .jetstream
            .create_consumer_strict_on_stream(consumer(&durable), durable.stream.name())
            .await
            .map_err(|source| BusError::Provision {
                name: format!("consumer {name}"),
                source: source.into(),
            })?;
    }
    Ok(())
}

/// The names among `wanted` streams that the broker doesn't have, or has of another version.
pub(crate) async fn missing(bus: &Bus, wanted: &[String]) -> Result<Vec<String>, BusError> {
    let mut missing = Vec::new();
    for name in wanted {
        match bus.inner.jetstream.get_stream(name).await {
            Ok(stream) => {
                if stream
                    .cached_info()
                    .config
                    .metadata
                    .get(MARK)
                    .map(String::as_str)
                    != Some(VERSION)
                {
                    missing.push(format!("{name} (of another version)"));
                }
            }
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(_) => missing.push(name.clone()),
                _ => {
                    return Err(BusError::Provision {
                        name: format!("stream {name}"),
                        source: error.into(),
                    });
                }
            },
        }
    }
    Ok(missing)
}

/// Every stream's configuration, buckets and object stores included.
fn streams(clusters: &[ClusterId]) -> Vec<Config> {
    let plain = Stream::ALL.into_iter().map(stream);
    let buckets = Bucket::ALL.into_iter().map(bucket);
    let stores = std::iter::once(Store::Snapshots)
        .chain(clusters.iter().cloned().map(Store::Manifests))
        .map(|it| store(&it));
    plain.chain(buckets).chain(stores).collect()
}

fn base(name: String, subjects: Vec<String>) -> Config {
    Config {
        name,
        subjects,
        storage: StorageType::File,
        num_replicas: 1,
        allow_direct: true,
        max_bytes: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_message_size: -1,
        max_consumers: -1,
        duplicate_window: DUPLICATES,
        metadata: [(MARK.to_owned(), VERSION.to_owned())].into(),
        ..Config::default()
    }
}

fn stream(stream: Stream) -> Config {
    let base = base(stream.name().to_owned(), vec![stream.pattern()]);
    match stream {
        Stream::Desired | Stream::Manifests => Config {
            max_messages_per_subject: 1,
            max_message_size: message_limit(),
            ..base
        },
        Stream::Commands => Config {
            retention: RetentionPolicy::WorkQueue,
            max_age: COMMANDS_KEPT,
            ..base
        },
        Stream::Events => Config {
            max_age: EVENTS_KEPT,
            max_bytes: EVENTS_BYTES,
            ..base
        },
        Stream::Dead => Config {
            max_messages: i64::try_from(DEAD_KEPT).unwrap_or(i64::MAX),
            ..base
        },
    }
}

fn bucket(bucket: Bucket) -> Config {
    Config {
        max_messages_per_subject: 1,
        allow_rollup: true,
        deny_delete: true,
        discard: DiscardPolicy::New,
        max_message_size: message_limit(),
        ..base(bucket.stream(), vec![bucket.subject(">")])
    }
}

fn store(store: &Store) -> Config {
    let name = store.name();
    Config {
        allow_rollup: true,
        discard: DiscardPolicy::New,
        ..base(
            store.stream(),
            vec![format!("$O.{name}.C.>"), format!("$O.{name}.M.>")],
        )
    }
}

/// Bodies and their headers.
fn message_limit() -> i32 {
    i32::try_from(MAX_BODY + 16 * 1024).unwrap_or(i32::MAX)
}

fn durables(clusters: &[ClusterId]) -> Vec<Durable> {
    let renderer = Durable {
        stream: Stream::Desired,
        name: subject::RENDERER.to_owned(),
        filters: vec![Stream::Desired.pattern()],
    };
    let watcher = Durable {
        stream: Stream::Commands,
        name: subject::WATCHER_COMMANDS.to_owned(),
        filters: vec![subject::commands_of(None, Verb::Refresh)],
    };
    let appliers = clusters.iter().map(|cluster| Durable {
        stream: Stream::Commands,
        name: subject::applier_commands(cluster),
        filters: Verb::APPLIER
            .iter()
            .map(|&verb| subject::commands_of(Some(cluster), verb))
            .collect(),
    });
    [renderer, watcher].into_iter().chain(appliers).collect()
}

fn consumer(durable: &Durable) -> pull::Config {
    let mut config = pull::Config {
        durable_name: Some(durable.name.clone()),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        // The attempts are counted by who works, which sees also those that killed a worker: see `work`.
        max_deliver: -1,
        max_ack_pending: 1_000,
        num_replicas: 1,
        ..pull::Config::default()
    };
    match durable.filters.as_slice() {
        [only] => config.filter_subject.clone_from(only),
        several => config.filter_subjects = several.to_vec(),
    }
    config
}
