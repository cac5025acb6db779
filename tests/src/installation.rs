//! One Towline: a NATS of its own, and `towline up` on the shared stack, in namespaces of its own.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bus::{Bus, ConnectArgs};
use deploy::process::{Process, Program};
use deploy::{Nats, NatsConfig};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::git::Webhook;
use crate::keys::Keys;
use crate::stack::{LocalStack, outside};
use crate::wait::{check, until};

/// What GitHub signs with, where a test wants it signed.
pub const WEBHOOK_SECRET: &str = "hook-secret";
const READY_WITHIN: Duration = Duration::from_secs(90);
const STOP_WITHIN: Duration = Duration::from_secs(40);

/// What differs from one installation to the next.
#[derive(Clone, Debug)]
pub struct Options {
    /// Prefix of namespaces and folder.
    pub name: String,
    /// Namespace of the Applications.
    pub namespace: String,
    /// Further arguments of `up`.
    pub arguments: Vec<String>,
    /// What `up` and its services find in their environment.
    pub environment: Vec<(String, String)>,
    /// Address and token file of a Vault of its own, instead of the shared one.
    pub vault: Option<(String, PathBuf)>,
    /// The `towline` program.
    pub executable: PathBuf,
}

/// A running Towline; killed when dropped.
#[derive(Debug)]
pub struct Installation {
    pub options: Options,
    pub nats: Nats,
    pub keys: Keys,
    up: Process,
    stack: &'static LocalStack,
    folder: PathBuf,
}

/// What `up --state` writes, as far as tests read it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    pub services: Vec<ServiceState>,
    pub webhook: String,
    pub monitor: String,
    pub logs: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ServiceState {
    pub name: String,
    pub pid: i32,
    pub admin: String,
}

impl Options {
    /// An installation of its own for a test that breaks things.
    pub fn own(name: &str) -> Self {
        let name = format!("{name}-{:06x}", rand::random::<u32>() & 0xff_ffff);
        Self {
            namespace: format!("{name}-apps"),
            name,
            arguments: Vec::new(),
            environment: Vec::new(),
            vault: None,
            executable: executable(),
        }
    }

    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Installation {
    pub async fn start(stack: &'static LocalStack, options: Options) -> anyhow::Result<Self> {
        let _no_argo_cd = without_argo_cd().await;
        Self::launch(stack, options).await
    }

    /// The same while an Argo CD is played, by whoever plays it.
    pub async fn start_beside(
        stack: &'static LocalStack,
        options: Options,
        _playing: &OwnedRwLockWriteGuard<()>,
    ) -> anyhow::Result<Self> {
        Self::launch(stack, options).await
    }

    async fn launch(stack: &'static LocalStack, options: Options) -> anyhow::Result<Self> {
        let folder = stack.folder(&options.name)?;
        let keys = Keys::generate(&folder.join("keys"))?;
        std::fs::create_dir(folder.join("nats"))?;
        let config = NatsConfig::Generated {
            include: keys.server_config(),
        };
        let nats = Nats::start(&config, &folder.join("nats")).await?;
        let up = Process::start(&program(stack, &options, &folder, &keys, &nats))?;
        let installation = Self {
            options,
            nats,
            keys,
            up,
            stack,
            folder,
        };
        let probe = || async { installation.state().map(drop).map_err(|e| e.to_string()) };
        installation.up.ready(READY_WITHIN, probe).await?;
        Ok(installation)
    }

    /// The one that serves all tests which break nothing.
    pub fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceLock<Result<Installation, String>> = OnceLock::new();
        SHARED
            .get_or_init(|| {
                let start = async {
                    let stack = LocalStack::shared()?;
                    crate::Cluster::connect(stack.kubeconfig())
                        .await?
                        .webhook_secret("argocd", WEBHOOK_SECRET)
                        .await?;
                    let options = Options {
                        name: "shared".to_owned(),
                        namespace: "argocd".to_owned(),
                        arguments: vec!["--render-timeout=3".to_owned()],
                        environment: Vec::new(),
                        vault: None,
                        executable: executable(),
                    };
                    Self::start(stack, options).await
                };
                // The stack has its own use of the common runtime: it comes first.
                LocalStack::shared()
                    .and_then(|_| outside(start))
                    .map_err(|error| format!("{error:#}"))
            })
            .as_ref()
            .map_err(|error| anyhow!("the shared Towline did not start: {error}"))
    }

    pub fn stack(&self) -> &'static LocalStack {
        self.stack
    }

    pub fn namespace(&self) -> &str {
        &self.options.namespace
    }

    /// Where inventories and pins are.
    pub fn store_namespace(&self) -> String {
        format!("{}-store", self.options.name)
    }

    /// Everything that this Towline writes, logs and NATS' store included.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn up(&self) -> &Process {
        &self.up
    }

    pub fn state(&self) -> anyhow::Result<State> {
        let text = std::fs::read_to_string(self.folder.join("state.json"))
            .context("reading the state file")?;
        serde_json::from_str(&text).context("parsing the state file")
    }

    pub fn service(&self, name: &str) -> anyhow::Result<ServiceState> {
        let services = self.state()?.services;
        let mut named = services.into_iter().filter(|service| service.name == name);
        named.next().with_context(|| format!("no service {name}"))
    }

    /// SIGKILL for one service; returns its pid.
    pub fn kill_service(&self, name: &str) -> anyhow::Result<i32> {
        self.signal_service(name, Signal::SIGKILL)
    }

    /// SIGABRT for one service, of which a core file would be written; returns its pid.
    pub fn crash_service(&self, name: &str) -> anyhow::Result<i32> {
        self.signal_service(name, Signal::SIGABRT)
    }

    /// SIGSTOP for one service, which is asked and doesn't answer then; returns its pid.
    pub fn freeze_service(&self, name: &str) -> anyhow::Result<i32> {
        self.signal_service(name, Signal::SIGSTOP)
    }

    fn signal_service(&self, name: &str, signal: Signal) -> anyhow::Result<i32> {
        let pid = self.service(name)?.pid;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("killing {name}"))?;
        Ok(pid)
    }

    /// Waits until `up` has started another process in the place of `pid`.
    pub async fn restarted(&self, name: &str, pid: i32) -> anyhow::Result<ServiceState> {
        until(&format!("{name} runs again"), || async {
            let service = self.service(name)?;
            check(service.pid != pid, || format!("it has the pid {pid}"))?;
            Ok(service)
        })
        .await
    }

    /// Prometheus text of one service.
    pub async fn metrics(&self, name: &str) -> anyhow::Result<String> {
        let url = format!("{}/metrics", self.service(name)?.admin);
        get(&url).await
    }

    /// A page or answer of the monitor's.
    pub async fn page(&self, path: &str) -> anyhow::Result<String> {
        get(&format!("{}{path}", self.state()?.monitor)).await
    }

    /// As GitHub tells the shared installation.
    pub fn webhook(&self) -> anyhow::Result<Webhook> {
        Ok(Webhook {
            url: self.state()?.webhook,
            secret: (self.options.namespace == "argocd").then(|| WEBHOOK_SECRET.to_owned()),
        })
    }

    /// A connection that may look into everything.
    pub async fn bus(&self) -> anyhow::Result<Bus> {
        let args = ConnectArgs {
            url: self.nats.url(),
            seed: Some(self.keys.inspector()),
            ca: None,
        };
        Ok(Bus::connect(&args, "tests").await?)
    }

    /// A plain NATS connection of the same user.
    pub async fn inspector(&self) -> anyhow::Result<async_nats::Client> {
        let seed = std::fs::read_to_string(self.keys.inspector())?;
        let options = async_nats::ConnectOptions::with_nkey(seed);
        Ok(options.connect(self.nats.url()).await?)
    }

    /// The command line of a running service, to start another such.
    pub fn arguments_of(&self, service: &str) -> anyhow::Result<Vec<OsString>> {
        let mut words = self.proc(service, "cmdline")?.into_iter().skip(1);
        let mut arguments = Vec::new();
        while let Some(word) = words.next() {
            if word == "--admin-file" {
                words.next();
            } else {
                arguments.push(word);
            }
        }
        Ok(arguments)
    }

    /// Its environment.
    pub fn environment_of(&self, service: &str) -> anyhow::Result<Vec<(OsString, OsString)>> {
        let words = self.proc(service, "environ")?.into_iter();
        let pair = |word: OsString| {
            let text = word.into_string().ok()?;
            let (name, value) = text.split_once('=')?;
            Some((name.into(), value.into()))
        };
        Ok(words.filter_map(pair).collect())
    }

    fn proc(&self, service: &str, file: &str) -> anyhow::Result<Vec<OsString>> {
        let path = format!("/proc/{}/{file}", self.service(service)?.pid);
        let bytes = std::fs::read(&path).with_context(|| format!("reading {path}"))?;
        let words = bytes
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty());
        Ok(words
            .map(|word| OsString::from_vec(word.to_vec()))
            .collect())
    }

    /// Runs the `towline` command against this installation.
    pub async fn towline(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let output = tokio::process::Command::new(&self.options.executable)
            .args(arguments)
            .env("TOWLINE_STATE", self.folder.join("state.json"))
            .env("TOWLINE_NAMESPACE", &self.options.namespace)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("running towline")?;
        Ok(output)
    }

    /// The same, which must succeed; its output.
    pub async fn told(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.towline(arguments).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!(
                "towline {} failed ({}): {text}{}",
                arguments.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(text)
    }

    /// Copies the services' logs.
    pub fn keep_logs(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("creating {}", folder.display()))?;
        for entry in std::fs::read_dir(self.state()?.logs)?.flatten() {
            if entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "log")
            {
                std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
            }
        }
        Ok(())
    }

    /// SIGTERM; how `up` ended.
    pub async fn stop(&self) -> ExitStatus {
        self.up.stop(STOP_WITHIN).await
    }
}

/// `up` refuses where an Argo CD is active: who plays one keeps everybody else from starting meanwhile.
fn argo_cd() -> &'static Arc<RwLock<()>> {
    static ACTIVE: OnceLock<Arc<RwLock<()>>> = OnceLock::new();
    ACTIVE.get_or_init(Arc::default)
}

async fn without_argo_cd() -> OwnedRwLockReadGuard<()> {
    Arc::clone(argo_cd()).read_owned().await
}

/// Held while an Argo CD is played.
pub async fn playing_argo_cd() -> OwnedRwLockWriteGuard<()> {
    Arc::clone(argo_cd()).write_owned().await
}

/// The `towline` program of this package: the benchmark's own file under another name, or what cargo built for tests.
pub fn executable() -> PathBuf {
    let given = std::env::var_os("TOWLINE_TEST_EXECUTABLE").map(PathBuf::from);
    given.unwrap_or_else(|| {
        let own = std::env::current_exe().unwrap_or_default();
        // target/debug/deps/e2e-… → target/debug/towline
        let folder = own.parent().unwrap_or(Path::new("."));
        let folder = if folder.ends_with("deps") {
            folder.parent().unwrap_or(folder)
        } else {
            folder
        };
        folder.join("towline")
    })
}

fn program(
    stack: &LocalStack,
    options: &Options,
    folder: &Path,
    keys: &Keys,
    nats: &Nats,
) -> Program {
    let mut arguments: Vec<OsString> = vec!["up".into()];
    let mut flag = |name: &str, value: OsString| {
        arguments.push(format!("--{name}").into());
        arguments.push(value);
    };
    flag("kubeconfig", stack.kubeconfig().into());
    flag("nats", nats.url().into());
    flag("nats-keys", keys.folder().into());
    let (vault, token_file) = options
        .vault
        .clone()
        .unwrap_or_else(|| (stack.vault_address.clone(), stack.vault_token_file.clone()));
    flag("vault-addr", vault.into());
    flag("vault-token-file", token_file.into());
    flag("namespace", options.namespace.clone().into());
    flag("store-namespace", format!("{}-store", options.name).into());
    flag("state", folder.join("state.json").into());
    flag("folder", folder.join("up").into());
    arguments.extend(options.arguments.iter().map(OsString::from));
    // Its scratch folders are small files: beside the stack's, on tmpfs, and swept with them.
    let mut environment: Vec<(String, OsString)> = vec![("TMPDIR".to_owned(), folder.into())];
    let variables = options.environment.iter();
    environment.extend(variables.map(|(name, value)| (name.clone(), value.into())));
    Program {
        name: "towline up".to_owned(),
        executable: options.executable.clone(),
        arguments,
        environment,
        folder: Some(folder.to_owned()),
        log: folder.join("up.log"),
    }
}

async fn get(url: &str) -> anyhow::Result<String> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let answer = client.get(url).send().await?.error_for_status()?;
    Ok(answer.text().await?)
}
