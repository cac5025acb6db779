//! `towline secrets`: what is read and may be, who used what, and what a repository needs; never a value.

mod audit;
mod check;
mod migrate;
mod scan;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::client::ClientArgs;
use crate::output::Format;

#[derive(clap::Subcommand)]
pub(crate) enum SecretsCommand {
    /// Which secrets an application or manifests read, whether they may, and whether they are there; exits with 1 if one isn't
    Check(Box<check::CheckArgs>),
    /// Who used which path when, and what was refused, of the events that the monitor still has
    Audit {
        app: Option<String>,
        /// Only this path, and those below it
        #[arg(long, value_name = "PATH")]
        path: Option<String>,
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// What a repository reads by placeholders and by objects of the Vault operator, and the secret-paths that its projects need
    Migrate {
        /// A checkout; what charts make of their templates is best seen in what `towline render -o DIR` wrote
        #[arg(long, value_name = "DIR")]
        repo: PathBuf,
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
    },
}

pub(crate) async fn run(command: SecretsCommand) -> anyhow::Result<ExitCode> {
    match command {
        SecretsCommand::Check(args) => return Ok(check::check(&args).await),
        SecretsCommand::Audit {
            app,
            path,
            output,
            client,
        } => audit::audit(&client, app.as_deref(), path.as_deref(), output).await?,
        SecretsCommand::Migrate { repo, output } => migrate::migrate(&repo, output)?,
    }
    Ok(ExitCode::SUCCESS)
}
