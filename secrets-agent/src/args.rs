//! Every flag of the agent.

use std::path::PathBuf;
use std::time::Duration;

use api::Sensitive;
use bus::seal::AskerPublic;
use bus::service::AdminArgs;
use bus::{ClusterId, ConnectArgs};
use url::Url;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub connect: ConnectArgs,
    #[command(flatten)]
    pub admin: AdminArgs,
    /// The cluster whose applier this agent answers
    #[arg(long, env = "TOWLINE_CLUSTER_ID", default_value = ClusterId::IN_CLUSTER, value_name = "ID")]
    pub cluster_id: ClusterId,
    /// File with this agent's sealing key, `x25519-secret:…`
    #[arg(long, env = "TOWLINE_SEAL_KEY", value_name = "FILE")]
    pub seal_key: PathBuf,
    /// Public signing keys of the applier, `V…`: only what one of them signed is answered
    #[arg(
        long,
        env = "TOWLINE_APPLIER_KEY",
        value_name = "KEY",
        required = true,
        value_delimiter = ','
    )]
    pub applier_key: Vec<AskerPublic>,
    /// Globs of secret paths that any project may be allowed at most, with {project}, {namespace} (of the destination), {app} and
    /// {cluster}. Nothing is allowed without
    #[arg(
        long,
        env = "TOWLINE_ALLOW_PATHS",
        value_name = "GLOBS",
        value_parser = globs,
        default_value = ""
    )]
    pub allow_paths: Globs,
    #[command(flatten)]
    pub vault: VaultArgs,
    /// Namespace whose Secrets are readable as `k8s/<name>`, for who has no Vault. The agent needs `get` on them
    #[arg(long, env = "TOWLINE_SECRETS_NAMESPACE", value_name = "NAME")]
    pub secrets_namespace: Option<String>,
    /// Kubeconfig for --secrets-namespace; the pod's own account without
    #[arg(
        long,
        env = "TOWLINE_SECRETS_KUBECONFIG",
        value_name = "FILE",
        requires = "secrets_namespace"
    )]
    pub secrets_kubeconfig: Option<PathBuf>,
    /// Folder whose folders are readable as `files/<folder>`, a key for each file in it: Secrets mounted into the agent
    #[arg(long, env = "TOWLINE_SECRET_FILES", value_name = "DIR")]
    pub secret_files: Option<PathBuf>,
    /// How often the backend is asked for newer versions of the paths in use, in seconds; 0 never asks
    #[arg(
        long,
        env = "TOWLINE_ROTATION_INTERVAL",
        value_name = "SECONDS",
        default_value = "60",
        value_parser = seconds
    )]
    pub rotation_interval: Duration,
}

/// A list whose separator is a comma outside of braces, white space, or both.
pub type Globs = std::sync::Arc<[String]>;

#[derive(Clone, Debug, clap::Args)]
pub struct VaultArgs {
    /// Address of Vault, for every path that isn't `k8s/…` or `files/…`
    #[arg(
        long,
        env = "TOWLINE_VAULT_ADDR",
        value_name = "URL",
        requires = "login"
    )]
    pub vault_addr: Option<Url>,
    /// Namespace in Vault Enterprise
    #[arg(long, env = "TOWLINE_VAULT_NAMESPACE", value_name = "NAME")]
    pub vault_namespace: Option<String>,
    /// CA certificates of Vault, PEM; the system's without
    #[arg(long, env = "TOWLINE_VAULT_CA", value_name = "FILE")]
    pub vault_ca: Option<PathBuf>,
    /// File with a token; read again when Vault refuses the one in use
    #[arg(
        long,
        env = "TOWLINE_VAULT_TOKEN_FILE",
        value_name = "FILE",
        group = "login"
    )]
    pub vault_token_file: Option<PathBuf>,
    /// A token. Give it by environment: arguments are visible to every user of the machine
    #[arg(
        long,
        env = "TOWLINE_VAULT_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true,
        value_parser = sensitive,
        group = "login"
    )]
    pub vault_token: Option<Sensitive>,
    /// Role to log in as by auth method `jwt` or `kubernetes`, with the token of `--vault-jwt-file`
    #[arg(
        long,
        env = "TOWLINE_VAULT_JWT_ROLE",
        value_name = "ROLE",
        group = "login"
    )]
    pub vault_jwt_role: Option<String>,
    /// File with the JWT, read at each login: the pod's service account token
    #[arg(
        long,
        env = "TOWLINE_VAULT_JWT_FILE",
        value_name = "FILE",
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    )]
    pub vault_jwt_file: PathBuf,
    /// Where the auth method for --vault-jwt-role is mounted
    #[arg(
        long,
        env = "TOWLINE_VAULT_JWT_MOUNT",
        value_name = "PATH",
        default_value = "jwt"
    )]
    pub vault_jwt_mount: String,
    /// Role id to log in with by auth method `approle`, with the secret id of `--vault-approle-secret-id-file`
    #[arg(
        long,
        env = "TOWLINE_VAULT_APPROLE_ROLE_ID",
        value_name = "ID",
        group = "login",
        requires = "vault_approle_secret_id_file"
    )]
    pub vault_approle_role_id: Option<String>,
    /// File with the secret id, read at each login
    #[arg(
        long,
        env = "TOWLINE_VAULT_APPROLE_SECRET_ID_FILE",
        value_name = "FILE",
        requires = "vault_approle_role_id"
    )]
    pub vault_approle_secret_id_file: Option<PathBuf>,
    /// Client certificate to log in with, PEM, with its chain; read at each login
    #[arg(
        long,
        env = "TOWLINE_VAULT_CERT",
        value_name = "FILE",
        group = "login",
        requires = "vault_cert_key"
    )]
    pub vault_cert: Option<PathBuf>,
    /// Key of --vault-cert, PEM
    #[arg(
        long,
        env = "TOWLINE_VAULT_CERT_KEY",
        value_name = "FILE",
        requires = "vault_cert"
    )]
    pub vault_cert_key: Option<PathBuf>,
    /// Role to log in as with --vault-cert; without, any that Vault finds for the certificate
    #[arg(
        long,
        env = "TOWLINE_VAULT_CERT_ROLE",
        value_name = "ROLE",
        requires = "vault_cert"
    )]
    pub vault_cert_role: Option<String>,
    /// Where auth method `cert` is mounted
    #[arg(
        long,
        env = "TOWLINE_VAULT_CERT_MOUNT",
        value_name = "PATH",
        default_value = "cert"
    )]
    pub vault_cert_mount: String,
    /// Where auth method `approle` is mounted
    #[arg(
        long,
        env = "TOWLINE_VAULT_APPROLE_MOUNT",
        value_name = "PATH",
        default_value = "approle"
    )]
    pub vault_approle_mount: String,
    /// Token role by which a project's applications are read for, with {project}: `towline-{project}`. The agent then needs `update` on
    /// `auth/token/create/<role>`, and no right to read. Without, it reads for all projects as what it is logged in as
    #[arg(
        long,
        env = "TOWLINE_VAULT_PROJECT_ROLE",
        value_name = "ROLE",
        value_parser = project_role
    )]
    pub vault_project_role: Option<ProjectRole>,
}

/// The name of a token role with a place for a project's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectRole(String);

const PROJECT: &str = "{project}";

impl ProjectRole {
    /// None where that is no one segment of a path.
    pub(crate) fn of(&self, project: &str) -> Option<String> {
        // As Kubernetes has names: never `..`, which would be another path.
        let is_name = project.starts_with(|first: char| first.is_ascii_alphanumeric())
            && project.len() <= 253
            && project.chars().all(is_plain);
        is_name.then(|| self.0.replace(PROJECT, project))
    }
}

impl std::fmt::Display for ProjectRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_plain(symbol: char) -> bool {
    symbol.is_ascii_alphanumeric() || matches!(symbol, '-' | '_' | '.')
}

fn project_role(text: &str) -> Result<ProjectRole, &'static str> {
    let around: Vec<&str> = text.split(PROJECT).collect();
    if around.len() < 2 {
        return Err("it names no {project}: all projects would share it");
    }
    if around.iter().any(|part| !part.chars().all(is_plain)) {
        return Err("beside {project} it may hold letters, digits, `-`, `_` and `.`");
    }
    Ok(ProjectRole(text.to_owned()))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "clap wants a Result of a value parser"
)]
fn globs(text: &str) -> Result<Globs, std::convert::Infallible> {
    let (mut found, mut current, mut depth) = (Vec::new(), String::new(), 0_usize);
    for symbol in text.chars() {
        match symbol {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if symbol.is_whitespace() || (symbol == ',' && depth == 0) {
            found.push(std::mem::take(&mut current));
        } else {
            current.push(symbol);
        }
    }
    found.push(current);
    found.retain(|glob| !glob.is_empty());
    Ok(found.into())
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "clap wants a Result of a value parser"
)]
fn sensitive(text: &str) -> Result<Sensitive, std::convert::Infallible> {
    Ok(Sensitive::new(text))
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parse(more: &[&str]) -> Result<Args, clap::Error> {
        let (applier, _) = bus::seal::generate().unwrap();
        let given = ["agent", "--seal-key", "f", "--applier-key"];
        let line = given
            .into_iter()
            .chain([applier.public.as_str()])
            .chain(more.iter().copied());
        Command::try_parse_from(line).map(|command| command.args)
    }

    #[test]
    fn the_flags_fit_together() {
        Command::command().debug_assert();
        let args = parse(&[
            "--allow-paths",
            "kv/data/{a,b},x/y",
            "--rotation-interval",
            "5",
        ])
        .unwrap();
        assert_eq!(args.cluster_id, ClusterId::in_cluster());
        assert_eq!(args.allow_paths.len(), 2);
        assert_eq!(args.rotation_interval, Duration::from_secs(5));
        assert!(
            parse(&[]).unwrap().allow_paths.is_empty(),
            "nothing is allowed by default"
        );
    }

    #[test]
    fn there_is_one_way_to_log_in() {
        let address = ["--vault-addr", "https://vault"];
        assert!(parse(&address).is_err());
        assert!(parse(&[&address[..], &["--vault-token-file", "a"]].concat()).is_ok());
        assert!(parse(&["--vault-token-file", "a"]).is_ok());
        assert!(parse(&["--vault-token-file", "a", "--vault-jwt-role", "b"]).is_err());
        let role = ["--vault-approle-role-id", "a"];
        let file = ["--vault-approle-secret-id-file", "b"];
        assert!(parse(&[role, file].concat()).is_ok());
        assert!(parse(&role).is_err());
        assert!(parse(&["--vault-cert", "a", "--vault-cert-key", "b"]).is_ok());
        assert!(parse(&["--vault-cert", "a"]).is_err());
        assert!(parse(&["--vault-cert-role", "a"]).is_err());
        assert!(parse(&file).is_err());
        assert!(parse(&[&role[..], &file, &["--vault-token-file", "c"]].concat()).is_err());
    }

    #[test]
    fn globs_are_apart_by_commas_and_space_but_not_inside_braces() {
        let list = |text| globs(text).unwrap().to_vec();
        assert_eq!(list(""), Vec::<String>::new());
        assert_eq!(
            list("kv/data/{a,b}/*, kv/data/{project}/**\n x/y"),
            ["kv/data/{a,b}/*", "kv/data/{project}/**", "x/y"]
        );
    }

    #[test]
    fn a_role_is_named_for_its_project_and_stays_one_segment() {
        let role = project_role("towline-{project}").unwrap();
        assert_eq!(role.of("shop").as_deref(), Some("towline-shop"));
        for project in ["", ".", "..", "a/b", "a%2fb", "a b", "ü", &"x".repeat(300)] {
            assert_eq!(role.of(project), None, "{project}");
        }
        for text in ["", "towline", "a/{project}", "{project}?x"] {
            assert!(project_role(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_is_not_in_the_debug_of_the_arguments() {
        let shown = format!("{:?}", sensitive("hvs.canary").unwrap());
        assert!(!shown.contains("canary"));
    }
}
