//! Log lines on stderr, as text for people or JSON for programs.

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use super::AdminArgs;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// What the client library says of each attempt to connect is said by us, once in a while. The user's filter comes after it.
const QUIET: &str = "async_nats=warn";

pub(super) fn init(service: &'static str, args: &AdminArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", args.log_level)).with_context(|| {
        format!(
            "--log-level `{}` is not a filter such as `info` or `watcher=debug,info`",
            args.log_level
        )
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    let outcome = match args.log_format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    // A test may run several services in one process: they share the first one's log.
    if outcome.is_err() {
        tracing::debug!(service, "the log is set up already");
    }
    Ok(())
}
