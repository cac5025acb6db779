//! `towline rollback`: back to a release, by a command, or with nothing but the cluster at hand.
#![expect(clippy::print_stdout, reason = "a command says what it did")]

use std::time::Duration;

use anyhow::{Context, bail};
use applier::direct::{Direction, give};
use bus::ReleaseId;
use bus::message::command::Action;
use bus::message::state::PinUntil;
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::act::{WaitArgs, act};
use crate::client::{self, ClientArgs};

/// Past the monitor and the broker.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DirectArgs {
    /// Ask the application's cluster itself, with the kubeconfig's rights: the monitor, the broker and Git may all be out of
    /// reach. The cluster's applier has to run, and a release that needs secrets needs the broker all the same
    #[arg(long, conflicts_with = "no_wait")]
    pub direct: bool,
    /// The kubeconfig's context of the application's cluster [default: the current one]
    #[arg(long, requires = "direct", value_name = "NAME")]
    pub context: Option<String>,
    /// Namespace of the applier's records in the application's cluster
    #[arg(
        long,
        env = "TOWLINE_STORE_NAMESPACE",
        default_value = "towline",
        value_name = "NAME"
    )]
    pub store_namespace: String,
}

/// What a person may not expect who goes back.
const ABOUT_SECRETS: &str =
    "secrets in it have the values of now, unless a placeholder names its #version";

pub(crate) async fn roll_back(
    client: &ClientArgs,
    direct: &DirectArgs,
    app: &str,
    (release, until): (Option<ReleaseId>, PinUntil),
    wait: &WaitArgs,
) -> anyhow::Result<()> {
    if direct.direct {
        directly(client, direct, app, (release, until), wait).await?;
    } else {
        let action = Action::Rollback { release, until };
        act(client, app, &action, wait).await?;
    }
    println!("{ABOUT_SECRETS}");
    Ok(())
}

async fn directly(
    client: &ClientArgs,
    args: &DirectArgs,
    app: &str,
    (release, until): (Option<ReleaseId>, PinUntil),
    wait: &WaitArgs,
) -> anyhow::Result<()> {
    let direction = Direction {
        store_namespace: args.store_namespace.clone(),
        app: client::app_in(&client.namespace(), app)?,
        release,
        until,
        id: uuid::Uuid::new_v4().to_string(),
        patience: Duration::from_secs(wait.timeout),
    };
    let told = give(cluster(client, args.context.clone()).await?, &direction).await?;
    println!(
        "{} is held at release {}{}, by {}",
        direction.app,
        told.release,
        until.words(),
        told.user
    );
    println!("{}", told.message);
    Ok(())
}

/// The application's cluster: that of the running `towline up`, unless a kubeconfig or a context is named.
async fn cluster(client: &ClientArgs, context: Option<String>) -> anyhow::Result<kube::Client> {
    let named = context.is_some() || std::env::var_os("KUBECONFIG").is_some();
    let options = KubeConfigOptions {
        context,
        ..KubeConfigOptions::default()
    };
    let config = match client.kubeconfig().filter(|_| !named) {
        Some(path) => {
            let file = Kubeconfig::read_from(&path)
                .with_context(|| format!("reading the kubeconfig {}", path.display()))?;
            kube::Config::from_custom_kubeconfig(file, &options).await
        }
        None => kube::Config::from_kubeconfig(&options).await,
    };
    match config {
        Ok(config) => Ok(kube::Client::try_from(config)?),
        Err(error) => bail!("reading the kubeconfig: {error}"),
    }
}
