//! `applications → intent → source → worker (fetch → compare → snapshot) → publish`: see the library.

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    watcher::run(watcher::Args::parse()).await
}
