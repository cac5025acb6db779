//! What can go wrong between a service and the broker.

use crate::subject::Bucket;

#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("connecting to NATS at {url}")]
    Connect {
        url: String,
        source: async_nats::ConnectError,
    },
    #[error("reading the NKey seed file {path}")]
    Seed {
        path: String,
        source: std::io::Error,
    },
    #[error("{path} holds no NKey seed")]
    Key {
        path: String,
        source: nkeys::error::Error,
    },
    #[error("reading the last message of {subject}")]
    Read {
        subject: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("publishing {subject}")]
    Publish {
        subject: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("publishing {subject}: {size} bytes are over the limit of {limit}")]
    TooLarge {
        subject: String,
        size: usize,
        limit: usize,
    },
    #[error("another writer changed {subject} meanwhile")]
    Conflict { subject: String },
    #[error("purging {subject}")]
    Purge {
        subject: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("encoding a body for {subject}")]
    Encode {
        subject: String,
        source: serde_json::Error,
    },
    #[error("{subject} holds a body that is not a valid {kind}")]
    Decode {
        subject: String,
        kind: &'static str,
        source: serde_json::Error,
    },
    #[error("creating or comparing {name}")]
    Provision {
        name: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("opening the object store {store}")]
    Store {
        store: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("storing object {name}")]
    PutObject {
        name: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("reading object {name}")]
    GetObject {
        name: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("removing object {name}")]
    RemoveObject {
        name: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("object {name} is {size} bytes, over the limit of {limit}")]
    ObjectTooLarge {
        name: String,
        size: usize,
        limit: usize,
    },
    #[error("object {name} does not have the digest that it is named by")]
    ObjectCorrupt { name: String },
    #[error("asking on {subject}")]
    Ask {
        subject: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("subscribing to {subject}")]
    Subscribe {
        subject: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A bucket's name in errors and metrics.
impl std::fmt::Display for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
