//! The command lines of the five services: each gets the flags and the key that are its own, and no other's.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use bus::ClusterId;
use bus::role::Role;

use super::keys::{NatsKeys, SealKeys};
use super::supervisor::ServiceCommand;
use super::{Parts, UpArgs, vault};

/// What the command lines are made from.
pub(super) struct Wiring<'a> {
    pub args: &'a UpArgs,
    pub parts: &'a Parts,
    pub engine: &'a Path,
    pub folder: &'a Path,
    pub seals: &'a SealKeys,
    pub nats_keys: Option<&'a NatsKeys>,
    pub listen: SocketAddr,
    pub webhook: SocketAddr,
    pub lease_identity: String,
}

pub(super) fn commands(wiring: &Wiring<'_>) -> Vec<ServiceCommand> {
    let Wiring {
        args,
        parts: _,
        engine,
        folder,
        seals,
        listen,
        webhook,
        lease_identity,
        ..
    } = wiring;
    let cluster = ClusterId::in_cluster();

    let watcher = Line::new("watcher", wiring, &Role::Watcher)
        .cluster()
        .flag("--namespace", &args.namespace)
        .flag("--webhook-listen", webhook.to_string())
        .flag("--identity", lease_identity)
        .flag("--poll-interval", args.poll_interval.to_string())
        .flag("--cache-dir", folder.join("repositories"));
    let renderer = Line::new("renderer", wiring, &Role::Renderer)
        .flag("--engine", engine)
        .flag("--scratch", folder.join("renderer"))
        .flag("--render-timeout", args.render_timeout.to_string());
    let secrets_agent = Line::new(
        "secrets-agent",
        wiring,
        &Role::SecretsAgent(cluster.clone()),
    )
    .flag("--cluster-id", cluster.as_str())
    .flag("--seal-key", &seals.agent_secret)
    .flag("--applier-key", &seals.applier_public)
    .flag("--allow-paths", args.secret_paths.join(","))
    .stores(args);
    let applier = Line::new("applier", wiring, &Role::Applier(cluster.clone()))
        .cluster()
        .flag("--cluster-id", cluster.as_str())
        .flag("--store-namespace", &args.store_namespace)
        .flag("--identity", lease_identity)
        .flag("--seal-key", &seals.applier_secret)
        .flag("--secrets-agent-key", &seals.agent_public)
        .switch("--observe", args.observe);
    let monitor = Line::new("monitor", wiring, &Role::Monitor)
        .cluster()
        .flag("--namespace", &args.namespace)
        .flag("--listen", listen.to_string())
        .switch("--observe", args.observe);
    let renderers = (1..=args.renderers.get()).map(|number| match number {
        1 => renderer.command.clone(),
        _ => ServiceCommand {
            name: format!("renderer-{number}"),
            ..renderer.command.clone()
        },
    });
    let others = [watcher, secrets_agent, applier, monitor].map(|line| line.command);
    others.into_iter().chain(renderers).collect()
}

struct Line<'a> {
    wiring: &'a Wiring<'a>,
    command: ServiceCommand,
}

impl<'a> Line<'a> {
    fn new(service: &'static str, wiring: &'a Wiring<'a>, role: &Role) -> Self {
        let command = ServiceCommand {
            service,
            name: service.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
        };
        let line = Self { wiring, command }
            .flag("--nats", &wiring.parts.nats)
            .flag("--log-level", &wiring.args.log_level);
        match wiring.nats_keys {
            Some(keys) => line.flag("--nats-seed", keys.seed(role)),
            None => line,
        }
    }

    /// Access to the cluster. Without a kubeconfig a service finds it as `kubectl` does.
    fn cluster(self) -> Self {
        match self.wiring.parts.kubeconfig.clone() {
            Some(kubeconfig) => self.flag("--kubeconfig", kubeconfig),
            None => self,
        }
    }

    /// Where secrets are read from.
    fn stores(mut self, args: &UpArgs) -> Self {
        let parts = self.wiring.parts;
        if let (Some(address), Some(token_file)) = (&parts.vault, &parts.vault_token_file) {
            self = self
                .flag("--vault-addr", address)
                .flag("--vault-token-file", token_file);
        } else if let Some(line) = vault::line(&args.vault) {
            for (name, value) in line.flags {
                self = self.flag(name, value);
            }
            self.command.environment.extend(line.environment);
        }
        if let Some(namespace) = &args.secrets_namespace {
            self = self.flag("--secrets-namespace", namespace);
            if let Some(kubeconfig) = &self.wiring.parts.kubeconfig {
                self = self.flag("--secrets-kubeconfig", kubeconfig);
            }
        }
        match &args.secret_files {
            Some(folder) => self.flag("--secret-files", folder),
            None => self,
        }
    }

    fn flag(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.arguments.extend([name.into(), value.into()]);
        self
    }

    fn switch(mut self, name: &str, on: bool) -> Self {
        if on {
            self.command.arguments.push(name.into());
        }
        self
    }
}
