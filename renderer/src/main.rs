//! Desired state in, manifests out:
//! `consume` → `snapshot` → `reuse` or `render` (`tool` → `engine` → `objects`) → `publish`.

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    renderer::run(renderer::Args::parse()).await
}
