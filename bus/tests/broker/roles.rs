//! A broker whose users are those of `bus::role`, one for each role.

use std::path::PathBuf;

use async_nats::{Event, ServerError};
use bus::role::{Role, User, server_config};
use bus::{Bus, ClusterId, ConnectArgs};
use tokio::sync::mpsc;

use crate::setup::{Broker, here, provision, soon, there};

/// The broker, with every stream provisioned by the provisioner's user.
pub(crate) struct Guarded {
    broker: Broker,
    keys: tempfile::TempDir,
    users: Vec<User>,
    auditor: nkeys::KeyPair,
}

/// A user's connection without Towline's runtime, as an intruder with its key would have.
pub(crate) struct Intruder {
    pub(crate) client: async_nats::Client,
    errors: mpsc::UnboundedReceiver<String>,
}

pub(crate) fn clusters() -> [ClusterId; 2] {
    [here(), there()]
}

impl Guarded {
    pub(crate) async fn start() -> Self {
        let keys = tempfile::tempdir().unwrap();
        let users = Role::all(&clusters()).into_iter().map(|role| {
            let key = nkeys::KeyPair::new_user();
            std::fs::write(keys.path().join(role.name()), key.seed().unwrap()).unwrap();
            User {
                role,
                public_key: key.public_key(),
            }
        });
        let users: Vec<User> = users.collect();
        // One more user, without limits, sees what the broker really holds.
        let auditor = nkeys::KeyPair::new_user();
        let config = server_config(&users, &clusters()).replace(
            "users: [",
            &format!("users: [ {{ nkey: {} }}", auditor.public_key()),
        );
        let guarded = Self {
            broker: Broker::with(config).await,
            keys,
            users,
            auditor,
        };
        provision(&guarded.bus(&Role::Provisioner, "provisioner").await).await;
        guarded
    }

    /// The runtime of `service`, as this role's user.
    pub(crate) async fn bus(&self, role: &Role, service: &'static str) -> Bus {
        let args = ConnectArgs {
            seed: Some(self.seed(role)),
            ..self.broker.args()
        };
        soon("connecting", Bus::connect(&args, service))
            .await
            .unwrap()
    }

    pub(crate) async fn intruder(&self, role: &Role) -> Intruder {
        let seed = std::fs::read_to_string(self.seed(role)).unwrap();
        let (told, errors) = mpsc::unbounded_channel();
        let client = async_nats::ConnectOptions::with_nkey(seed)
            .custom_inbox_prefix(self.inbox(role))
            .event_callback(move |event| {
                if let Event::ServerError(ServerError::Other(error)) = event {
                    // Nobody listens at the test's end.
                    let _ = told.send(error);
                }
                async {}
            })
            .connect(self.broker.args().url)
            .await
            .unwrap();
        Intruder { client, errors }
    }

    pub(crate) async fn auditor(&self) -> async_nats::jetstream::Context {
        let client = async_nats::ConnectOptions::with_nkey(self.auditor.seed().unwrap())
            .connect(self.broker.args().url)
            .await
            .unwrap();
        async_nats::jetstream::new(client)
    }

    /// The prefix of what this role's user may subscribe to for answers.
    pub(crate) fn inbox(&self, role: &Role) -> String {
        let user = self.users.iter().find(|user| user.role == *role).unwrap();
        format!("_INBOX_{}", user.public_key)
    }

    fn seed(&self, role: &Role) -> PathBuf {
        self.keys.path().join(role.name())
    }
}

impl Intruder {
    /// The server refuses this publish, and says so.
    pub(crate) async fn cannot_publish(&mut self, subject: &str) {
        self.client
            .publish(subject.to_owned(), "{}".into())
            .await
            .unwrap();
        self.refused(&format!("publish to \"{subject}\"")).await;
    }

    /// The server refuses this subscription, and says so.
    pub(crate) async fn cannot_subscribe(&mut self, subject: &str) {
        let _subscriber = self.client.subscribe(subject.to_owned()).await.unwrap();
        self.refused(&format!("subscription to \"{subject}\""))
            .await;
    }

    /// Waits for a refusal. What comes before the answer to a ping and isn't one means that the server allowed it.
    async fn refused(&mut self, what: &str) {
        self.client.flush().await.unwrap();
        let wait = tokio::time::timeout(std::time::Duration::from_secs(3), self.errors.recv());
        let error = wait
            .await
            .unwrap_or_else(|_| panic!("the server allows: {what}"))
            .unwrap();
        assert!(
            error.to_lowercase().contains(&format!(
                "permissions violation for {}",
                what.to_lowercase()
            )),
            "{error}"
        );
    }
}
