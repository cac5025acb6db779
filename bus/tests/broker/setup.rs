//! A broker per test, and the smallest messages.

use std::future::Future;
use std::time::Duration;

use bus::message::command::{Action, Command};
use bus::message::desired::{Cascade, Deleted, Desired, DesiredState};
use bus::{AppId, Bus, ClusterId, ConnectArgs, Generation, Watch};
use deploy::{Nats, NatsConfig, Stack, StackOptions};

/// A nats-server that is gone with the test.
pub(crate) struct Broker {
    stack: Stack,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        Self::with(String::new()).await
    }

    /// With `include` in its configuration.
    pub(crate) async fn with(include: String) -> Self {
        let options = StackOptions {
            nats: Some(NatsConfig::Generated { include }),
            ..StackOptions::default()
        };
        let stack = Stack::start(&options).await.unwrap();
        Self { stack }
    }

    /// With everything provisioned for [`here`] and [`there`].
    pub(crate) async fn provisioned() -> (Self, Bus) {
        let broker = Self::start().await;
        let bus = broker.bus().await;
        provision(&bus).await;
        (broker, bus)
    }

    pub(crate) fn nats(&mut self) -> &mut Nats {
        self.stack.nats.as_mut().unwrap()
    }

    pub(crate) fn args(&self) -> ConnectArgs {
        ConnectArgs {
            url: self.stack.nats.as_ref().unwrap().url(),
            seed: None,
            ca: None,
        }
    }

    /// A connection that waits for no streams.
    pub(crate) async fn bus(&self) -> Bus {
        soon("connecting", Bus::connect(&self.args(), "test"))
            .await
            .unwrap()
    }

    /// A connection beside Towline's, to look at what the broker holds.
    pub(crate) async fn jetstream(&self) -> async_nats::jetstream::Context {
        async_nats::jetstream::new(async_nats::connect(self.args().url).await.unwrap())
    }

    /// As a crash would: the store stays.
    pub(crate) async fn restart(&mut self) {
        self.nats().kill().await;
        self.nats().start_again().await.unwrap();
    }

    /// As the loss of the volume would.
    pub(crate) async fn wipe(&mut self) {
        self.nats().kill().await;
        self.nats().wipe().unwrap();
        self.nats().start_again().await.unwrap();
    }
}

pub(crate) async fn provision(bus: &Bus) {
    bus::stream::provision(bus, &[here(), there()])
        .await
        .unwrap();
}

/// What `future` gives, within the longest time that anything here may take.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within 20 s"))
}

pub(crate) fn here() -> ClusterId {
    ClusterId::in_cluster()
}

pub(crate) fn there() -> ClusterId {
    ClusterId::new("edge").unwrap()
}

pub(crate) fn app(name: &str) -> AppId {
    AppId::new("argocd", name).unwrap()
}

pub(crate) fn desired(name: &str, generation: u64) -> Desired {
    desired_in(&here(), name, generation)
}

pub(crate) fn desired_in(cluster: &ClusterId, name: &str, generation: u64) -> Desired {
    Desired {
        app: app(name),
        cluster: cluster.clone(),
        generation: Generation(generation),
        state: DesiredState::Deleted(Deleted::new(
            "00000000-0000-0000-0000-000000000000",
            Cascade::None,
        )),
    }
}

pub(crate) fn subject(body: &Desired) -> String {
    bus::subject::desired(&body.cluster, &body.app)
}

pub(crate) async fn publish(bus: &Bus, body: &Desired) {
    let published = bus
        .publish_generation(bus::subject::Stream::Desired, &subject(body), body)
        .await
        .unwrap();
    assert!(
        matches!(published, bus::Published::Stored(_)),
        "{published:?}"
    );
}

pub(crate) fn refresh(id: &str) -> Command {
    Command {
        id: id.to_owned(),
        app: app("shop"),
        cluster: here(),
        user: "somebody".to_owned(),
        issued: 1,
        action: Action::Refresh { hard: false },
    }
}

/// What a watch delivers, in words.
pub(crate) async fn next(watch: &mut Watch<Desired>) -> String {
    word(soon("the next update", watch.next()).await)
}

pub(crate) fn word(update: bus::Update<Desired>) -> String {
    match update {
        bus::Update::Put(stored) => {
            format!("{}:{}", stored.value.app.name(), stored.value.generation)
        }
        bus::Update::Deleted { subject } => format!("{subject} deleted"),
        bus::Update::Ready => "ready".to_owned(),
        bus::Update::Unreadable { subject, .. } => format!("{subject} unreadable"),
    }
}

/// All that a watch delivers up to and with `last`.
pub(crate) async fn until(watch: &mut Watch<Desired>, last: &str) -> Vec<String> {
    let mut words = Vec::new();
    while words.last().map(String::as_str) != Some(last) {
        words.push(next(watch).await);
    }
    words
}
