//! Requests to the API server. kube's own helpers print bodies that they can't read; these don't.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use lease::Lead;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::gate::Gate;
use super::resend::{self, Repeat};
use super::window::Answer;
use super::{ApiKind, ClusterError};
use crate::account::Account;
use crate::metrics::{Metrics, RequestKind};
use crate::object::Key;

/// Our field manager.
pub(crate) const MANAGER: &str = "towline";
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer that is read.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// A body on its way out; cleared from memory when it was sent.
pub(crate) type Content = Zeroizing<Vec<u8>>;

#[derive(Clone)]
pub(crate) struct Cluster {
    client: kube::Client,
    gate: Gate,
    metrics: Arc<Metrics>,
    /// Who writes asks it first, once there is a Lease.
    lead: Option<Lead>,
    /// Whom writes are made as; none is this applier itself.
    writer: Option<Arc<Account>>,
}

/// The server's answer to an apply.
pub(crate) struct Applied {
    pub(crate) object: Value,
    /// Whether it wasn't there before.
    pub(crate) created: bool,
}

pub(crate) struct Deletion<'a> {
    /// Only this very object, not another of its name.
    pub(crate) uid: Option<&'a str>,
    /// Only as it was at this resource version.
    pub(crate) version: Option<u64>,
    /// `Foreground` or `Background`.
    pub(crate) propagation: &'a str,
}

/// What became of a deletion that the server took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Accepted,
    NotThere,
    /// It isn't as it was, or is another one.
    Changed,
}

impl Cluster {
    pub(crate) fn new(client: kube::Client, in_flight: u16, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            gate: Gate::new(in_flight),
            metrics,
            lead: None,
            writer: None,
        }
    }

    /// From now on nothing is written unless this process leads. A leader that can't renew its Lease waits until it can.
    #[must_use]
    pub(crate) fn led_by(mut self, lead: Lead) -> Self {
        self.lead = Some(lead);
        self
    }

    /// The same cluster; what is written is written as this account. Reads stay this applier's own.
    pub(crate) fn writing_as(&self, account: Option<&Account>) -> Self {
        Self {
            writer: account.cloned().map(Arc::new),
            ..self.clone()
        }
    }

    /// Whom writes are made as, if not as this applier.
    pub(crate) fn writer(&self) -> Option<&Account> {
        self.writer.as_deref()
    }

    /// For watches, which are bounded by the number of kinds and wait for no turn.
    pub(crate) fn client(&self) -> &kube::Client {
        &self.client
    }

    /// The object (of a Secret its metadata), or none when the server says that there is none.
    pub(crate) async fn get(
        &self,
        kind: &ApiKind,
        key: &Key,
    ) -> Result<Option<Value>, ClusterError> {
        let answer = self
            .send_for(
                RequestKind::Get,
                Method::GET,
                &kind.path(key),
                None,
                accept(key),
            )
            .await;
        optional(answer.and_then(|(_, bytes)| parse(&bytes)))
    }

    /// As [`Cluster::get`], Secrets with their values.
    pub(crate) async fn get_whole(
        &self,
        kind: &ApiKind,
        key: &Key,
    ) -> Result<Option<Value>, ClusterError> {
        let answer = self
            .send(RequestKind::Get, Method::GET, &kind.path(key), None)
            .await;
        optional(answer.and_then(|(_, bytes)| parse(&bytes)))
    }

    pub(crate) async fn list(&self, path: &str) -> Result<Vec<Value>, ClusterError> {
        let (_, bytes) = self
            .send(RequestKind::List, Method::GET, path, None)
            .await?;
        match parse(&bytes)?["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }

    /// One page of a list, and the token of the next one.
    pub(crate) async fn page(
        &self,
        path: &str,
    ) -> Result<(Vec<Value>, Option<String>), ClusterError> {
        let (_, bytes) = self
            .send(RequestKind::List, Method::GET, path, None)
            .await?;
        Ok(split_page(parse(&bytes)?))
    }

    /// One page of the metadata of a kind's objects in a namespace, and the token of the next one.
    pub(crate) async fn metadata_page(
        &self,
        kind: &ApiKind,
        namespace: &str,
        token: Option<&str>,
    ) -> Result<(Vec<Value>, Option<String>), ClusterError> {
        let path = page_path(kind, namespace, token);
        let (_, bytes) = self
            .send_for(RequestKind::List, Method::GET, &path, None, METADATA_LIST)
            .await?;
        Ok(split_page(parse(&bytes)?))
    }

    /// The same of whole objects.
    pub(crate) async fn whole_page(
        &self,
        kind: &ApiKind,
        namespace: &str,
        token: Option<&str>,
    ) -> Result<(Vec<Value>, Option<String>), ClusterError> {
        self.page(&page_path(kind, namespace, token)).await
    }

    /// Server-side apply by our manager, with force.
    pub(crate) async fn apply(
        &self,
        kind: &ApiKind,
        key: &Key,
        body: Content,
        parameters: ApplyParameters,
    ) -> Result<Applied, ClusterError> {
        self.apply_as(MANAGER, kind, key, body, parameters).await
    }

    /// Server-side apply by another manager of ours, with force.
    pub(crate) async fn apply_as(
        &self,
        manager: &str,
        kind: &ApiKind,
        key: &Key,
        body: Content,
        parameters: ApplyParameters,
    ) -> Result<Applied, ClusterError> {
        let mut path = format!("{}?fieldManager={manager}&force=true", kind.path(key));
        if parameters.dry_run {
            path.push_str("&dryRun=All");
        }
        if parameters.lenient {
            path.push_str("&fieldValidation=Ignore");
        }
        let content = Some(("application/apply-patch+yaml", body));
        let (status, bytes) = self
            .send_for(
                RequestKind::Apply,
                Method::PATCH,
                &path,
                content,
                accept(key),
            )
            .await?;
        Ok(Applied {
            object: parse(&bytes)?,
            created: status == StatusCode::CREATED,
        })
    }

    /// What a write would make of the object, Secrets with their values: asked of the server, which changes nothing.
    pub(crate) async fn dry_run(
        &self,
        kind: &ApiKind,
        key: &Key,
        write: DryRun,
        body: Content,
    ) -> Result<Value, ClusterError> {
        let path = format!("{}?fieldManager={MANAGER}&dryRun=All", kind.path(key));
        let (what, method, path, content_type) = match write {
            DryRun::Apply { lenient } => {
                let lenient = if lenient {
                    "&fieldValidation=Ignore"
                } else {
                    ""
                };
                let path = format!("{path}&force=true{lenient}");
                (
                    RequestKind::Apply,
                    Method::PATCH,
                    path,
                    "application/apply-patch+yaml",
                )
            }
            DryRun::Merge => (
                RequestKind::Patch,
                Method::PATCH,
                path,
                PatchForm::Merge.content_type(),
            ),
            DryRun::Replace => (RequestKind::Replace, Method::PUT, path, "application/json"),
        };
        let (_, bytes) = self
            .send(what, method, &path, Some((content_type, body)))
            .await?;
        parse(&bytes)
    }

    pub(crate) async fn patch(
        &self,
        kind: &ApiKind,
        key: &Key,
        form: PatchForm,
        body: Content,
    ) -> Result<Value, ClusterError> {
        let path = format!("{}?fieldManager={MANAGER}", kind.path(key));
        let (_, bytes) = self
            .send_for(
                RequestKind::Patch,
                Method::PATCH,
                &path,
                Some((form.content_type(), body)),
                accept(key),
            )
            .await?;
        parse(&bytes)
    }

    pub(crate) async fn create(
        &self,
        kind: &ApiKind,
        key: &Key,
        body: Content,
    ) -> Result<Value, ClusterError> {
        let path = format!("{}?fieldManager={MANAGER}", kind.collection(&key.namespace));
        let content = Some(("application/json", body));
        let (_, bytes) = self
            .send_for(
                RequestKind::Create,
                Method::POST,
                &path,
                content,
                accept(key),
            )
            .await?;
        parse(&bytes)
    }

    /// Whether the server would make the object if none of its name were there: the refusal if it wouldn't.
    pub(crate) async fn could_create(
        &self,
        kind: &ApiKind,
        key: &Key,
        body: Content,
    ) -> Result<(), ClusterError> {
        let path = format!(
            "{}?fieldManager={MANAGER}&dryRun=All",
            kind.collection(&key.namespace)
        );
        let content = Some(("application/json", body));
        let answer = self
            .send_for(
                RequestKind::Create,
                Method::POST,
                &path,
                content,
                accept(key),
            )
            .await;
        match answer {
            Ok(_) => Ok(()),
            // What is wrong with the object itself is found before its name is.
            Err(error) if error.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn replace(
        &self,
        kind: &ApiKind,
        key: &Key,
        body: Content,
    ) -> Result<Value, ClusterError> {
        let path = format!("{}?fieldManager={MANAGER}", kind.path(key));
        let content = Some(("application/json", body));
        let (_, bytes) = self
            .send_for(
                RequestKind::Replace,
                Method::PUT,
                &path,
                content,
                accept(key),
            )
            .await?;
        parse(&bytes)
    }

    /// Gone already, or replaced by another object of its name, is no error.
    pub(crate) async fn delete(
        &self,
        kind: &ApiKind,
        key: &Key,
        deletion: Deletion<'_>,
    ) -> Result<Removal, ClusterError> {
        let mut options = json!({
            "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": deletion.propagation,
        });
        if let Some(uid) = deletion.uid {
            options["preconditions"]["uid"] = uid.into();
        }
        if let Some(version) = deletion.version {
            options["preconditions"]["resourceVersion"] = version.to_string().into();
        }
        let body = Zeroizing::new(options.to_string().into_bytes());
        match self
            .send(
                RequestKind::Delete,
                Method::DELETE,
                &kind.path(key),
                Some(("application/json", body)),
            )
            .await
        {
            Ok(_) => Ok(Removal::Accepted),
            Err(error) if error.is_not_found() => Ok(Removal::NotThere),
            Err(error) if error.is_conflict() && deletion.version.is_some() => Ok(Removal::Changed),
            Err(error) if error.is_conflict() && deletion.uid.is_some() => Ok(Removal::NotThere),
            Err(error) => Err(error),
        }
    }

    async fn send(
        &self,
        what: RequestKind,
        method: Method,
        path: &str,
        body: Option<(&'static str, Content)>,
    ) -> Result<(StatusCode, Bytes), ClusterError> {
        self.send_for(what, method, path, body, "application/json")
            .await
    }

    async fn send_for(
        &self,
        what: RequestKind,
        method: Method,
        path: &str,
        body: Option<(&'static str, Content)>,
        accept: &'static str,
    ) -> Result<(StatusCode, Bytes), ClusterError> {
        let repeat = match method {
            Method::POST => Repeat::Ambiguous,
            _ => Repeat::Harmless,
        };
        let content =
            body.map(|(content_type, content)| (content_type, Bytes::from_owner(content)));
        let asked = Instant::now();
        let mut tried = 0;
        loop {
            let request = self.request(&method, path, content.clone(), accept)?;
            let answer = self.send_once(what, &method, request).await;
            let Err(error) = &answer else { return answer };
            let spread = rand::random();
            let Some(delay) = resend::wait(error, repeat, tried, asked.elapsed(), spread) else {
                return answer;
            };
            tracing::debug!(%method, path, error = %error.label(), ?delay, "a request is sent again");
            tried += 1;
            tokio::time::sleep(delay).await;
        }
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        content: Option<(&'static str, Bytes)>,
        accept: &'static str,
    ) -> Result<Request<Body>, ClusterError> {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header("accept", accept);
        if let Some(account) = self.writer.as_ref().filter(|_| *method != Method::GET) {
            // The server adds the groups of service accounts by itself.
            request = request.header("impersonate-user", account.user());
        }
        let body = match content {
            Some((content_type, content)) => {
                request = request.header("content-type", content_type);
                Body::from(content)
            }
            None => Body::empty(),
        };
        request.body(body).map_err(|_| ClusterError::Malformed)
    }

    async fn send_once(
        &self,
        what: RequestKind,
        method: &Method,
        request: Request<Body>,
    ) -> Result<(StatusCode, Bytes), ClusterError> {
        let mut turn = self.gate.turn().await;
        if let Some(lead) = self.lead.as_ref().filter(|_| *method != Method::GET) {
            lead.acts().await;
        }
        turn.begins();
        let started = Instant::now();
        let answer = tokio::time::timeout(TIMEOUT, self.exchange(request))
            .await
            .unwrap_or(Err(ClusterError::Timeout));
        turn.answered(
            answer
                .as_ref()
                .map_or_else(ClusterError::answer, |_| Answer::Given),
        );
        self.metrics.in_flight(self.gate.size());
        self.metrics
            .request(what, answer.as_ref().map(|_| ()), started.elapsed());
        answer
    }

    async fn exchange(&self, request: Request<Body>) -> Result<(StatusCode, Bytes), ClusterError> {
        let response = self
            .client
            .send(request)
            .await
            .map_err(ClusterError::Unreachable)?;
        let status = response.status();
        let after = retry_after(response.headers());
        let bytes = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|_| ClusterError::TooLarge { limit: MAX_ANSWER })?
            .to_bytes();
        if status.is_success() {
            return Ok((status, bytes));
        }
        let said: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let word = |field: &str| {
            said.get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Err(ClusterError::Refused {
            code: status.as_u16(),
            reason: word("reason"),
            message: word("message"),
            after,
        })
    }
}

/// In seconds, as the API server says it; a date is not understood.
fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    let seconds = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

#[derive(Clone, Copy, Default)]
pub(crate) struct ApplyParameters {
    pub(crate) dry_run: bool,
    /// `Validate=false`.
    pub(crate) lenient: bool,
}

/// A write that isn't carried out.
#[derive(Clone, Copy)]
pub(crate) enum DryRun {
    Apply { lenient: bool },
    Merge,
    Replace,
}

#[derive(Clone, Copy)]
pub(crate) enum PatchForm {
    Merge,
    Json,
}

impl PatchForm {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Merge => "application/merge-patch+json",
            Self::Json => "application/json-patch+json",
        }
    }
}

/// Of a Secret only the metadata comes back: its values have no business here.
fn accept(key: &Key) -> &'static str {
    if key.is_secret() {
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    } else {
        "application/json"
    }
}

/// Of each object of a list only the metadata comes back.
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

fn page_path(kind: &ApiKind, namespace: &str, token: Option<&str>) -> String {
    let mut path = format!("{}?limit=500", kind.collection(namespace));
    if let Some(token) = token {
        path.push_str("&continue=");
        path.extend(utf8_percent_encode(token, NON_ALPHANUMERIC));
    }
    path
}

fn split_page(mut list: Value) -> (Vec<Value>, Option<String>) {
    let token = list["metadata"]["continue"]
        .as_str()
        .filter(|token| !token.is_empty())
        .map(str::to_owned);
    match list["items"].take() {
        Value::Array(items) => (items, token),
        _ => (Vec::new(), token),
    }
}

fn parse(bytes: &Bytes) -> Result<Value, ClusterError> {
    serde_json::from_slice(bytes).map_err(ClusterError::Unreadable)
}

fn optional(answer: Result<Value, ClusterError>) -> Result<Option<Value>, ClusterError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
