//! `towline nats-config` and `towline nats-provision`: a NATS server of one's own made ready.
#![expect(clippy::print_stdout, reason = "the configuration goes to stdout")]

use std::path::PathBuf;

use anyhow::Context as _;
use bus::role;
use bus::{Bus, ClusterId, ConnectArgs};

use crate::up::keys::NatsKeys;

/// Options of `towline nats-config`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    /// Folder for the users' NKey seeds; those that are there are kept
    #[arg(long, value_name = "DIR", default_value = "nats-keys")]
    keys: PathBuf,
    /// Id of each cluster that has an applier
    #[arg(long = "cluster", value_name = "ID", default_value = ClusterId::IN_CLUSTER)]
    clusters: Vec<ClusterId>,
}

/// Options of `towline nats-provision`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ProvisionArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Id of each cluster that has an applier
    #[arg(long = "cluster", value_name = "ID", default_value = ClusterId::IN_CLUSTER)]
    clusters: Vec<ClusterId>,
}

/// Prints the accounts for a server's configuration.
pub(crate) fn config(args: &ConfigArgs) -> anyhow::Result<()> {
    let users = NatsKeys::at(&args.keys).users(&args.clusters)?;
    println!(
        "# Accounts of Towline, for nats-server: include this file. The seeds are in {}.",
        args.keys.display()
    );
    print!("{}", role::server_config(&users, &args.clusters));
    Ok(())
}

/// Creates streams, buckets, object stores and consumers that are missing.
pub(crate) async fn provision(args: &ProvisionArgs) -> anyhow::Result<()> {
    let bus = Bus::connect(&args.connect, "provisioner").await?;
    bus::stream::provision(&bus, &args.clusters)
        .await
        .context("preparing NATS")?;
    println!("NATS at {} has all that Towline needs", args.connect.url);
    Ok(())
}
