//! The monitor's API, as the commands use it: with a Kubernetes bearer token, which the monitor has reviewed.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bus::AppId;
use bus::message::check::Report;
use bus::message::command::Action;
use bus::message::diff::Differences;
use bus::message::event::Event;
use bus::message::tree::Tree;
use futures::stream::{Stream, StreamExt as _, TryStreamExt as _};
use monitor::view::{Summary, View};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::state_file::StateFile;

const TIMEOUT: Duration = Duration::from_secs(20);
/// The cluster is asked about each object, or its secrets-agent about each secret.
const COMPARING: Duration = Duration::from_secs(40);
/// The longest line of an event stream that is read, in bytes.
const MAX_LINE: usize = 1 << 20;

/// Where the monitor is, and who asks.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ClientArgs {
    /// Namespace of the Application [default: that of the running `towline up`]
    #[arg(long, short, env = "TOWLINE_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Address of the monitor [default: that of the running `towline up`]
    #[arg(long, env = "TOWLINE_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// File with a bearer token of the control cluster [default: the kubeconfig's]
    #[arg(long, env = "TOWLINE_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    #[arg(long, env = "TOWLINE_STATE", value_name = "FILE", help = HELP)]
    pub state: Option<PathBuf>,
}

const HELP: &str =
    "State file of the running `towline up` [default: $XDG_STATE_HOME/towline/up.json]";

impl ClientArgs {
    /// The kubeconfig of the running `towline up`, if one runs.
    pub(crate) fn kubeconfig(&self) -> Option<PathBuf> {
        self.running()?.kubeconfig
    }

    /// Where Applications are looked for that are named without a namespace.
    pub(crate) fn namespace(&self) -> String {
        let given = self.namespace.clone();
        given
            .or_else(|| Some(self.running()?.namespace))
            .unwrap_or_else(|| "argocd".to_owned())
    }

    fn running(&self) -> Option<StateFile> {
        let path = self.state.clone().or_else(StateFile::default_path)?;
        StateFile::read(&path).ok()
    }
}

/// A client of one monitor.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    server: String,
    token: String,
    namespace: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    hint: Option<String>,
}

#[derive(Deserialize)]
struct Accepted {
    id: String,
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

impl Client {
    pub(crate) async fn from_args(args: &ClientArgs) -> anyhow::Result<Self> {
        let state = if let (Some(_), Some(_)) = (&args.server, &args.token_file) {
            None
        } else {
            let path = args
                .state
                .clone()
                .or_else(StateFile::default_path)
                .context("no home folder: give --server")?;
            Some(StateFile::read(&path)?)
        };
        let server = args
            .server
            .clone()
            .or_else(|| state.as_ref().map(|state| state.monitor.clone()));
        let token = match &args.token_file {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("reading the token file {}", path.display()))?
                .trim()
                .to_owned(),
            None => {
                kubeconfig_token(state.as_ref().and_then(|state| state.kubeconfig.as_deref()))
                    .await?
            }
        };
        let namespace = args
            .namespace
            .clone()
            .or_else(|| state.map(|state| state.namespace))
            .unwrap_or_else(|| "argocd".to_owned());
        Self::new(
            &server.context("no address of the monitor: give --server")?,
            token,
            namespace,
        )
    }

    pub(crate) fn new(server: &str, token: String, namespace: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .connect_timeout(TIMEOUT)
            .build()
            .context("making an HTTP client")?;
        Ok(Self {
            http,
            server: server.trim_end_matches('/').to_owned(),
            token,
            namespace,
        })
    }

    /// `<namespace>/<name>`, or a name alone in the client's namespace.
    pub(crate) fn app(&self, text: &str) -> anyhow::Result<AppId> {
        app_in(&self.namespace, text)
    }

    pub(crate) async fn applications(&self) -> anyhow::Result<Vec<Summary>> {
        let list: List<Summary> = self.get("/api/v1/applications").await?;
        Ok(list.items)
    }

    pub(crate) async fn application(&self, app: &AppId) -> anyhow::Result<View> {
        self.get(&format!("/api/v1/applications/{app}")).await
    }

    /// The events that the monitor still has, oldest first.
    pub(crate) async fn events(&self, app: Option<&AppId>) -> anyhow::Result<Vec<Event>> {
        let list: List<Event> = self.get(&events_path(app, None)).await?;
        Ok(list.items)
    }

    /// Events as they come, behind the newest `past` of those that came before.
    pub(crate) async fn follow(
        &self,
        app: Option<&AppId>,
        past: Option<usize>,
    ) -> anyhow::Result<impl Stream<Item = anyhow::Result<Event>> + use<>> {
        let request = self
            .http
            .get(self.url(&events_path(app, past)))
            .header("accept", "text/event-stream");
        let response = checked(request.bearer_auth(&self.token).send().await, &self.server).await?;
        let lines = futures::stream::try_unfold(
            (response.bytes_stream().boxed(), Vec::new()),
            |(mut bytes, mut rest)| async move {
                loop {
                    if let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
                        let line: Vec<u8> = rest.drain(..=end).collect();
                        return Ok(Some((
                            String::from_utf8_lossy(&line).trim_end().to_owned(),
                            (bytes, rest),
                        )));
                    }
                    match bytes.try_next().await.context("reading events")? {
                        Some(chunk) if rest.len() + chunk.len() <= MAX_LINE => {
                            rest.extend_from_slice(&chunk);
                        }
                        Some(_) => bail!("the monitor sent a line over {MAX_LINE} bytes"),
                        None => return Ok(None),
                    }
                }
            },
        );
        Ok(lines.try_filter_map(|line| async move {
            line.strip_prefix("data:")
                .map(|data| {
                    serde_json::from_str(data.trim())
                        .context("the monitor sent an event that can't be read")
                })
                .transpose()
        }))
    }

    /// Its objects with what they own in turn.
    pub(crate) async fn tree(&self, app: &AppId) -> anyhow::Result<Tree> {
        self.get_within(&format!("/api/v1/applications/{app}/tree"), COMPARING)
            .await
    }

    /// What a release would change, of the application's own manifests or of these.
    pub(crate) async fn differences(
        &self,
        app: &AppId,
        manifests: Option<String>,
    ) -> anyhow::Result<Differences> {
        self.asked(app, "diff", manifests).await
    }

    /// Which secrets are read, by the application's own manifests or by these, and whether they may be and are there.
    pub(crate) async fn secrets(
        &self,
        app: &AppId,
        manifests: Option<String>,
    ) -> anyhow::Result<Report> {
        self.asked(app, "secrets", manifests).await
    }

    /// What the application's cluster answers.
    async fn asked<T: DeserializeOwned>(
        &self,
        app: &AppId,
        what: &str,
        manifests: Option<String>,
    ) -> anyhow::Result<T> {
        let url = self.url(&format!("/api/v1/applications/{app}/{what}"));
        let request = match manifests {
            None => self.http.get(url),
            Some(manifests) => self
                .http
                .post(url)
                .json(&serde_json::json!({ "manifests": manifests })),
        };
        let request = request.bearer_auth(&self.token).timeout(COMPARING);
        let response = checked(request.send().await, &self.server).await?;
        response
            .json()
            .await
            .context("reading the monitor's answer")
    }

    /// Sends a command; its id.
    pub(crate) async fn command(&self, app: &AppId, action: &Action) -> anyhow::Result<String> {
        let body = match serde_json::to_value(action)? {
            serde_json::Value::Object(object) => object
                .into_iter()
                .next()
                .map_or_else(|| serde_json::json!({}), |(_, body)| body),
            _ => serde_json::json!({}),
        };
        let url = self.url(&format!(
            "/api/v1/applications/{app}/{}",
            action.verb().token()
        ));
        let request = self
            .http
            .post(url)
            .bearer_auth(&self.token)
            .timeout(TIMEOUT)
            .json(&body);
        let response = checked(request.send().await, &self.server).await?;
        Ok(response
            .json::<Accepted>()
            .await
            .context("reading the monitor's answer")?
            .id)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.get_within(path, TIMEOUT).await
    }

    async fn get_within<T: DeserializeOwned>(
        &self,
        path: &str,
        time: Duration,
    ) -> anyhow::Result<T> {
        let request = self
            .http
            .get(self.url(path))
            .bearer_auth(&self.token)
            .timeout(time);
        let response = checked(request.send().await, &self.server).await?;
        response
            .json()
            .await
            .context("reading the monitor's answer")
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }
}

fn events_path(app: Option<&AppId>, limit: Option<usize>) -> String {
    let app = app.map(|app| format!("app={app}"));
    let limit = limit.map(|limit| format!("limit={limit}"));
    let query: Vec<String> = app.into_iter().chain(limit).collect();
    format!("/api/v1/events?{}", query.join("&"))
}

async fn checked(sent: Result<Response, reqwest::Error>, server: &str) -> anyhow::Result<Response> {
    let response = sent.with_context(|| format!("asking the monitor at {server}"))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let refusal = response.json::<Refusal>().await.ok();
    let (said, hint) = refusal.map_or((None, None), |refusal| (Some(refusal.error), refusal.hint));
    let what = said.unwrap_or_else(|| status.to_string());
    let todo = hint.or_else(|| match status {
        StatusCode::UNAUTHORIZED => {
            Some("give a valid token of the control cluster with --token-file".to_owned())
        }
        _ => None,
    });
    match todo {
        Some(todo) => bail!("{what}\n{todo}"),
        None => bail!(what),
    }
}

/// `<namespace>/<name>`, or a name alone in this namespace.
pub(crate) fn app_in(namespace: &str, text: &str) -> anyhow::Result<AppId> {
    match text.split_once('/') {
        Some(_) => Ok(text.parse()?),
        None => Ok(AppId::new(namespace, text)?),
    }
}

/// The bearer token of a kubeconfig's current user.
pub(crate) async fn kubeconfig_token(path: Option<&std::path::Path>) -> anyhow::Result<String> {
    use secrecy::ExposeSecret as _;
    let options = kube::config::KubeConfigOptions::default();
    let config = match path {
        Some(path) => {
            let file = kube::config::Kubeconfig::read_from(path)
                .with_context(|| format!("reading the kubeconfig {}", path.display()))?;
            kube::Config::from_custom_kubeconfig(file, &options).await
        }
        None => kube::Config::from_kubeconfig(&options).await,
    };
    let auth = config
        .context("reading the kubeconfig: give --token-file")?
        .auth_info;
    match (auth.token, auth.token_file) {
        (Some(token), _) => Ok(token.expose_secret().to_owned()),
        (None, Some(file)) => Ok(std::fs::read_to_string(&file)
            .with_context(|| format!("reading {file}"))?
            .trim()
            .to_owned()),
        (None, None) => bail!(
            "the kubeconfig's user has no bearer token, and the monitor knows people by theirs.\nMake one with `kubectl create \
             token SERVICEACCOUNT` and give it with --token-file"
        ),
    }
}
