//! `towline-secrets-agent`: references → policy → backend → sealed values; rotation.
//!
//! `request` hears a question and checks who asks → `policy` whether the application may → `backend` reads → `answer` seals.
//! `known` follows what is desired and which projects there are; `rotation` looks for newer versions of what is in use.

use clap::Parser;

#[derive(Parser)]
#[command(
    name = "towline-secrets-agent",
    version,
    about = "Resolves secret references for one cluster's applier"
)]
struct Command {
    #[command(flatten)]
    args: secrets_agent::Args,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    secrets_agent::run(Command::parse().args).await
}
