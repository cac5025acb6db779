//! The services as sub-commands, so that one program is all that `up` needs.

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Service {
    Watcher(Box<watcher::Args>),
    Renderer(Box<renderer::Args>),
    SecretsAgent(Box<secrets_agent::Args>),
    Applier(Box<applier::Args>),
    Monitor(Box<monitor::Args>),
}

pub(crate) async fn run(service: Service) -> anyhow::Result<()> {
    match service {
        Service::Watcher(args) => watcher::run(*args).await,
        Service::Renderer(args) => renderer::run(*args).await,
        Service::SecretsAgent(args) => secrets_agent::run(*args).await,
        Service::Applier(args) => applier::run(*args).await,
        Service::Monitor(args) => monitor::run(*args).await,
    }
}
