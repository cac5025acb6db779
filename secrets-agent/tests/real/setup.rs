//! A Vault, a broker with one user per role, and the agent's own binary between them.

use std::ffi::OsString;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::placeholder::PathForm;
use bus::message::desired::{Cause, Desired, DesiredState, Present, Tracking, Trigger};
use bus::message::project::Project;
use bus::message::secret::{Answer, Found, Reference, Refusal, Request, Stated, Statement};
use bus::role::{Role, User};
use bus::seal::{
    AnswererPublic, AskerKey, KeyTexts, OneTimeKey, SealError, Secrets, ask, ask_whether, generate,
    write_key,
};
use bus::subject::{self, Bucket, Stream};
use bus::{AppId, Bus, BusError, ClusterId, ConnectArgs, Generation, clock};
use deploy::process::{Process, Program};
use deploy::{NatsConfig, Stack, StackOptions, VaultPart};
use serde_json::json;

use crate::root::Root;

/// What `future` gives, within the longest time that anything here may take.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(40), future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within 40 s"))
}

pub(crate) fn here() -> ClusterId {
    ClusterId::in_cluster()
}

pub(crate) fn shop() -> AppId {
    AppId::new("argocd", "shop").unwrap()
}

pub(crate) fn reference(path: &str, key: &str) -> Reference {
    Reference {
        path: path.to_owned(),
        key: key.to_owned(),
        version: None,
        optional: false,
        form: PathForm::Api,
    }
}

/// A running agent and everybody around it.
pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) agent: Process,
    pub(crate) watcher: Bus,
    pub(crate) applier: Bus,
    pub(crate) asker: AskerKey,
    pub(crate) answerer: AnswererPublic,
    pub(crate) secret_id: String,
    program: Program,
    provisioner: ConnectArgs,
}

impl World {
    /// The agent may read `kv`'s dev mount `secret/` below `team/`, and rotates as fast as it can.
    pub(crate) async fn start() -> Self {
        Box::pin(Self::set_up()).await
    }

    async fn set_up() -> Self {
        let keys: Vec<(Role, nkeys::KeyPair)> = Role::all(&[here()])
            .into_iter()
            .map(|role| (role, nkeys::KeyPair::new_user()))
            .collect();
        let users: Vec<User> = keys
            .iter()
            .map(|(role, key)| User {
                role: role.clone(),
                public_key: key.public_key(),
            })
            .collect();
        let include = bus::role::server_config(&users, &[here()]);
        let options = StackOptions {
            nats: Some(NatsConfig::Generated { include }),
            vault: VaultPart::DevServer,
            ..StackOptions::default()
        };
        let stack = Stack::start(&options).await.unwrap();
        let url = stack.nats.as_ref().unwrap().url();
        let seed = |role: &Role| {
            let path = stack.folder().join(role.name());
            let (_, key) = keys.iter().find(|(known, _)| known == role).unwrap();
            if !path.exists() {
                std::fs::write(&path, key.seed().unwrap()).unwrap();
            }
            path
        };
        let connect = |role: &Role| ConnectArgs {
            url: url.clone(),
            seed: Some(seed(role)),
            ca: None,
        };
        let provisioner = connect(&Role::Provisioner);
        provision(&provisioner).await;
        let connected = |args, service| async move {
            soon(service, Bus::connect(&args, service)).await.unwrap()
        };
        let watcher = connected(connect(&Role::Watcher), "watcher").await;
        let applier = connected(connect(&Role::Applier(here())), "applier").await;

        let (asker, answerer) = generate().unwrap();
        let root = Root::of(stack.vault.as_ref().unwrap());
        let paths = ["secret/data/team/*", "secret/metadata/team/*"];
        root.allow(&paths).await;
        let (role_id, secret_id) = root.app_role(json!({})).await;
        let secret_id_file = stack.folder().join("secret-id");
        std::fs::write(&secret_id_file, &secret_id).unwrap();
        let program = program(
            stack.folder(),
            &[
                ("TOWLINE_NATS", url.clone()),
                (
                    "TOWLINE_NATS_SEED",
                    shown(&seed(&Role::SecretsAgent(here()))),
                ),
                ("TOWLINE_APPLIER_KEY", asker.public.clone()),
                ("TOWLINE_SEAL_KEY", key_file(stack.folder(), &answerer)),
                ("TOWLINE_ALLOW_PATHS", "secret/data/team/**".to_owned()),
                ("TOWLINE_VAULT_ADDR", root.address.clone()),
                ("TOWLINE_VAULT_APPROLE_ROLE_ID", role_id),
                (
                    "TOWLINE_VAULT_APPROLE_SECRET_ID_FILE",
                    shown(&secret_id_file),
                ),
                ("TOWLINE_ROTATION_INTERVAL", "1".to_owned()),
                ("TOWLINE_ADMIN_FILE", shown(&stack.folder().join("admin"))),
                ("TOWLINE_LOG_LEVEL", "trace".to_owned()),
            ],
        );
        Self {
            agent: Process::start(&program).unwrap(),
            watcher,
            applier,
            asker: AskerKey::from_seed(&asker.secret).unwrap(),
            answerer: answerer.public.parse().unwrap(),
            secret_id,
            program,
            provisioner,
            stack,
        }
    }

    pub(crate) fn root(&self) -> Root {
        Root::of(self.stack.vault.as_ref().unwrap())
    }

    pub(crate) fn restart_agent(&mut self) {
        self.agent = Process::start(&self.program).unwrap();
    }

    /// The sum of all series of a metric whose labels hold `label`.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> f64 {
        let admin = std::fs::read_to_string(self.stack.folder().join("admin")).unwrap();
        let root = self.root();
        let text = root
            .client
            .get(format!("http://{admin}/metrics"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        text.lines()
            .filter(|line| line.starts_with(name) && line.contains(label))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// As the loss of the broker's volume would, and what `towline up` does then.
    pub(crate) async fn wipe_broker(&mut self) {
        let nats = self.stack.nats.as_mut().unwrap();
        nats.kill().await;
        nats.wipe().unwrap();
        nats.start_again().await.unwrap();
        provision(&self.provisioner).await;
    }

    /// Makes application `shop` desired at `generation`, in a project that allows `globs`.
    pub(crate) async fn publish(&self, generation: u64, globs: &[&str]) {
        let project = Project {
            name: "team".to_owned(),
            secret_paths: globs.iter().map(|glob| (*glob).to_owned()).collect(),
            ..Project::default()
        };
        self.watcher
            .put(Bucket::Projects, "team", &project)
            .await
            .unwrap();
        let desired = desired(generation);
        let subject = subject::desired(&here(), &desired.app);
        self.watcher
            .publish_generation(Stream::Desired, &subject, &desired)
            .await
            .unwrap();
    }

    pub(crate) fn question(
        &self,
        generation: u64,
        references: &[Reference],
    ) -> (Request, OneTimeKey) {
        ask(
            &self.asker,
            &here(),
            &shop(),
            Generation(generation),
            references,
            clock::now_ms(),
        )
        .unwrap()
    }

    pub(crate) async fn send(&self, request: &Request) -> Result<Answer, BusError> {
        self.applier
            .ask(&subject::resolve(&here()), request, Duration::from_secs(20))
            .await
    }

    /// What the agent said that this cluster's applier has pinned.
    pub(crate) fn read(&self, key: OneTimeKey, stated: &Stated) -> Statement {
        key.read(stated, std::slice::from_ref(&self.answerer))
            .unwrap()
    }

    /// Asks, again for as long as nobody serves.
    pub(crate) async fn ask(&self, generation: u64, references: &[Reference]) -> Outcome {
        let asking = async {
            loop {
                let (request, key) = self.question(generation, references);
                match self.send(&request).await {
                    Ok(Answer::Sealed(sealed)) => {
                        return Outcome::Opened(
                            key.open(&sealed, std::slice::from_ref(&self.answerer)),
                        );
                    }
                    Ok(Answer::Stated(stated)) => match self.read(key, &stated) {
                        Statement::Refused(refusal) => return Outcome::Refused(refusal),
                        Statement::Checked(found) => panic!("values were asked for: {found:?}"),
                    },
                    Ok(Answer::Refused(refusal)) => panic!("not believed: {refusal:?}"),
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        soon("an answer", asking).await
    }

    /// Asks again for as long as the refusal passes by itself.
    pub(crate) async fn ask_until_it_passes(
        &self,
        generation: u64,
        references: &[Reference],
    ) -> Outcome {
        let asking = async {
            loop {
                match self.ask(generation, references).await {
                    Outcome::Refused(refusal) if refusal.reason.is_passing() => {}
                    other => return other,
                }
            }
        };
        soon("an answer that stays", asking).await
    }

    /// What is at each reference, asked again for as long as the refusal passes by itself.
    pub(crate) async fn check(&self, generation: u64, references: &[Reference]) -> Vec<Found> {
        let checking = async {
            loop {
                let asked = ask_whether(
                    &self.asker,
                    &here(),
                    &shop(),
                    Generation(generation),
                    references.to_vec(),
                    clock::now_ms(),
                );
                let (request, key) = asked.unwrap();
                match self.send(&request).await {
                    Ok(Answer::Stated(stated)) => match self.read(key, &stated) {
                        Statement::Checked(found) => return found,
                        Statement::Refused(refusal) if refusal.reason.is_passing() => {}
                        Statement::Refused(refusal) => panic!("{refusal:?}"),
                    },
                    Ok(Answer::Sealed(_)) => panic!("no values were asked for"),
                    Ok(Answer::Refused(refusal)) => panic!("not believed: {refusal:?}"),
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        soon("what is there", checking).await
    }
}

#[derive(Debug)]
pub(crate) enum Outcome {
    Opened(Result<Secrets, SealError>),
    Refused(Refusal),
}

impl Outcome {
    pub(crate) fn secrets(self) -> Secrets {
        match self {
            Self::Opened(opened) => opened.unwrap(),
            Self::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    pub(crate) fn refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Opened(opened) => panic!("{opened:?}"),
        }
    }
}

pub(crate) fn desired(generation: u64) -> Desired {
    let now = clock::now_ms();
    Desired {
        app: shop(),
        cluster: here(),
        generation: Generation(generation),
        state: DesiredState::Present(Arc::new(Present {
            uid: "00000000-0000-0000-0000-000000000000".to_owned(),
            spec: serde_json::from_value(json!({
                "project": "team",
                "destination": {"server": "https://kubernetes.default.svc", "namespace": "shop-prod"},
            }))
            .unwrap(),
            annotations: [].into(),
            server: None,
            cluster_name: None,
            sources: Vec::new(),
            dependencies: Vec::new(),
            rendering: bus::message::desired::Rendering::default(),
            tracking: Tracking {
                method: api::tracking::TrackingMethod::Annotation,
                label_key: "app.kubernetes.io/instance".to_owned(),
                instance: "shop".to_owned(),
            },
            assess_applications: false,
            had: Vec::new(),
            trigger: Trigger {
                cause: Cause::Poll,
                hard: false,
                noticed: now,
                fetched: now,
                published: now,
            },
        })),
    }
}

async fn provision(args: &ConnectArgs) {
    let bus = soon("the provisioner", Bus::connect(args, "provisioner"))
        .await
        .unwrap();
    soon("provisioning", bus::stream::provision(&bus, &[here()]))
        .await
        .unwrap();
}

fn key_file(folder: &Path, key: &KeyTexts) -> String {
    let path = folder.join("seal-key");
    write_key(&path, &key.secret).unwrap();
    shown(&path)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn program(folder: &Path, environment: &[(&str, String)]) -> Program {
    Program {
        name: "secrets-agent".to_owned(),
        executable: env!("CARGO_BIN_EXE_towline-secrets-agent").into(),
        arguments: Vec::new(),
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), OsString::from(value)))
            .collect(),
        folder: Some(folder.to_owned()),
        log: folder.join("secrets-agent.log"),
    }
}
