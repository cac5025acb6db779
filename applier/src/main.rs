//! The applier's process: consume → target → plan → execute → live → publish.

use clap::Parser;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    applier::run(applier::Args::parse()).await
}
