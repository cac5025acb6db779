//! Between the applier and the real API server: counts what is asked, and disturbs it as told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use nix::sys::signal::Signal;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub at: Instant,
}

impl Asked {
    pub(crate) fn is_watch(&self) -> bool {
        self.query.contains("watch=true") || self.query.contains("watch=1")
    }

    /// A whole list of what carries our label.
    pub(crate) fn is_list(&self) -> bool {
        self.method == Method::GET
            && !self.is_watch()
            && self.query.contains("labelSelector=towline.dev")
            && !self.query.contains("continue=")
    }

    /// Of anything but the Lease.
    pub(crate) fn is_write(&self) -> bool {
        self.method != Method::GET && !self.path.contains("/leases")
    }
}

/// Before or after the API server does what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

/// What becomes of a request.
pub(crate) enum Disturbance {
    /// Answered by the proxy.
    Refused { code: u16, after: Option<u64> },
    /// The connection ends without an answer.
    Broken(Moment),
    /// As [`Disturbance::Broken`], and who asked is killed first.
    Killed(Moment, u32),
    /// What comes of it comes late.
    Slow(Duration),
}

type Disturb = Box<dyn FnMut(&Asked) -> Option<Disturbance> + Send>;

struct Shared {
    upstream: Client,
    asked: Mutex<Vec<Asked>>,
    disturb: Mutex<Option<Disturb>>,
    /// Who asks must have it.
    token: Mutex<String>,
    cuts: watch::Sender<u64>,
}

pub(crate) struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(upstream: Client, token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream,
            asked: Mutex::default(),
            disturb: Mutex::new(None),
            token: Mutex::new(token.to_owned()),
            cuts: watch::Sender::new(0),
        });
        let serving = shared.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(serving.clone(), stream));
            }
        });
        Self {
            shared,
            address,
            task,
        }
    }

    /// A kubeconfig for the proxy.
    pub(crate) fn kubeconfig(&self, token: &str) -> String {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "proxy", "user": {"token": token}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        })
        .to_string()
    }

    /// From now on each request is shown to `disturb` first.
    pub(crate) fn disturb(
        &self,
        disturb: impl FnMut(&Asked) -> Option<Disturbance> + Send + 'static,
    ) {
        *self.shared.disturb.lock().unwrap() = Some(Box::new(disturb));
    }

    pub(crate) fn calm(&self) {
        *self.shared.disturb.lock().unwrap() = None;
    }

    /// Ends all answers that are under way, watches above all.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    pub(crate) fn expect_token(&self, token: &str) {
        token.clone_into(&mut self.shared.token.lock().unwrap());
    }

    /// Forgets what was asked so far.
    pub(crate) fn forget(&self) {
        self.shared.asked.lock().unwrap().clear();
    }

    pub(crate) fn asked(&self, which: impl Fn(&Asked) -> bool) -> Vec<Asked> {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|asked| which(asked)).cloned().collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let service = service_fn(|request| answer(shared.clone(), request));
    // Connections that break are what this is for.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// An error breaks the connection.
async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, std::io::Error> {
    let asked = Asked {
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        at: Instant::now(),
    };
    shared.asked.lock().unwrap().push(asked.clone());
    let expected = format!("Bearer {}", shared.token.lock().unwrap());
    let given = request.headers().get(header::AUTHORIZATION);
    if given.and_then(|given| given.to_str().ok()) != Some(&*expected) {
        return Ok(refusal(401, None));
    }
    let disturbance = match &mut *shared.disturb.lock().unwrap() {
        Some(disturb) => disturb(&asked),
        None => None,
    };
    match disturbance {
        Some(Disturbance::Refused { code, after }) => Ok(refusal(code, after)),
        Some(Disturbance::Broken(Moment::Before)) => Err(broken()),
        Some(Disturbance::Broken(Moment::After)) => {
            forward(&shared, request).await?;
            Err(broken())
        }
        Some(Disturbance::Killed(moment, pid)) => {
            if moment == Moment::After {
                forward(&shared, request).await?;
            }
            signal(pid, Signal::SIGKILL);
            Err(broken())
        }
        Some(Disturbance::Slow(delay)) => Ok(slowed(forward(&shared, request).await?, delay)),
        None => forward(&shared, request).await,
    }
}

async fn forward(shared: &Shared, request: Request<Incoming>) -> Result<Answer, std::io::Error> {
    let (mut parts, body) = request.into_parts();
    for own in [header::AUTHORIZATION, header::HOST, header::ACCEPT_ENCODING] {
        parts.headers.remove(own);
    }
    let body = body.collect().await.map_err(std::io::Error::other)?;
    let request = Request::from_parts(parts, Body::from(body.to_bytes()));
    let answer = shared.upstream.send(request).await;
    let (mut parts, body) = answer.map_err(std::io::Error::other)?.into_parts();
    parts.headers.remove(header::TRANSFER_ENCODING);
    let mut cuts = shared.cuts.subscribe();
    let cut = async move {
        let _ = cuts.changed().await;
    };
    let frames = body
        .into_data_stream()
        .map(|data| data.map(Frame::data).map_err(std::io::Error::other))
        .take_until(cut);
    Ok(Response::from_parts(
        parts,
        BodyExt::boxed_unsync(StreamBody::new(frames)),
    ))
}

fn slowed(answer: Answer, delay: Duration) -> Answer {
    answer.map(|body| {
        let frames = body.into_data_stream().then(move |data| async move {
            tokio::time::sleep(delay).await;
            data.map(Frame::data)
        });
        BodyExt::boxed_unsync(StreamBody::new(frames))
    })
}

fn refusal(code: u16, after: Option<u64>) -> Answer {
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "reason": if code == 410 { "Expired" } else { "Disturbed" }, "message": "said by the proxy",
    });
    let never = |error: Infallible| match error {};
    let body = Full::new(Bytes::from(status.to_string())).map_err(never);
    let mut answer = Response::builder()
        .status(StatusCode::from_u16(code).unwrap())
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(after) = after {
        answer = answer.header(header::RETRY_AFTER, after);
    }
    answer.body(body.boxed_unsync()).unwrap()
}

fn broken() -> std::io::Error {
    std::io::ErrorKind::ConnectionReset.into()
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, signal).unwrap();
}
