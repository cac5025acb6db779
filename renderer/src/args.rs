//! Every flag of the renderer.

use std::path::PathBuf;
use std::time::Duration;

use bus::ConnectArgs;
use bus::service::AdminArgs;

/// Renders desired states into manifests.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "towline-renderer", version)]
pub struct Args {
    #[command(flatten)]
    pub connect: ConnectArgs,
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Program of the render engine
    #[arg(
        long,
        env = "TOWLINE_ENGINE",
        default_value = "towline-engine",
        value_name = "FILE"
    )]
    pub engine: PathBuf,
    /// Folder for Git objects; what is put there is removed at the end
    #[arg(long, env = "TOWLINE_SCRATCH", value_name = "FOLDER")]
    pub scratch: Option<PathBuf>,
    /// How many renders run at once, each with an engine of its own [default: number of cores]
    #[arg(long, env = "TOWLINE_RENDERS", value_name = "NUMBER")]
    pub renders: Option<usize>,
    /// How long one render may take, in seconds
    #[arg(
        long,
        env = "TOWLINE_RENDER_TIMEOUT",
        default_value_t = 60,
        value_name = "SECONDS"
    )]
    pub render_timeout: u64,
    /// How much memory one engine may use, in MiB
    #[arg(
        long,
        env = "TOWLINE_RENDER_MEMORY",
        default_value_t = 512,
        value_name = "MIB"
    )]
    pub render_memory: u64,
    /// Within how many seconds each application is rendered anew once, and held against what is published; 0: never
    #[arg(
        long,
        env = "TOWLINE_RENDER_ANEW",
        default_value_t = 24 * 60 * 60,
        value_name = "SECONDS"
    )]
    pub anew: u64,
    /// Render nothing where the kernel or container does not permit Landlock and seccomp around the engine
    #[arg(long, env = "TOWLINE_REQUIRE_CONFINEMENT")]
    pub require_confinement: bool,
}

impl Args {
    pub(crate) fn concurrency(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.renders.unwrap_or_else(cores).max(1)
    }

    pub(crate) fn time_limit(&self) -> Duration {
        Duration::from_secs(self.render_timeout.max(1))
    }

    pub(crate) fn memory_limit(&self) -> u64 {
        self.render_memory.max(64) << 20
    }
}
