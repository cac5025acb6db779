//! `consume → fold → { status, metrics, page, api }; access → command`: see the library.

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    monitor::run(monitor::Args::parse()).await
}
