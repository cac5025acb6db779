//! Git's smart HTTP protocol for libgit2, over the watcher's own HTTP client: so a repository's proxy, certificates, client certificate
//! and login count for Git as they do for charts, and every answer is bounded.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Instant, SystemTime};

use bytes::{Buf as _, Bytes};
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Client, Response, StatusCode, redirect};
use tokio::runtime::Handle;
use url::Url;

use super::access::Access;
use super::bounds::Limits;
use super::busy::{Busy, busy};
use super::error::FetchError;
use super::github::App;
use super::http::{self, Failure};
use super::location::Location;

const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";
const REQUEST: &str = "application/x-git-upload-pack-request";
const RESULT: &str = "application/x-git-upload-pack-result";
const LIST: &str = "info/refs?service=git-upload-pack";
const MAX_REDIRECTS: usize = 5;
/// What a fetch may receive beside its pack: lists of references, negotiation.
const BESIDE: usize = 256 << 20;

thread_local! {
    /// The exchange that this thread's connections belong to: libgit2 has no way to hand it to a transport.
    static CURRENT: RefCell<Option<Arc<Exchange>>> = const { RefCell::new(None) };
}

/// One fetch's HTTP.
pub(super) struct Exchange {
    location: Location,
    access: Access,
    limits: Limits,
    client: Client,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Where the repository turned out to be.
    base: Option<Url>,
    authorization: Option<HeaderValue>,
    received: usize,
    failed: Option<FetchError>,
}

/// While it lives, this thread's connections belong to its exchange.
pub(super) struct Within(Option<Arc<Exchange>>);

impl Drop for Within {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

impl Exchange {
    /// Prepares a fetch.
    pub(super) fn new(
        location: &Location,
        access: &Access,
        limits: Limits,
    ) -> Result<Arc<Self>, FetchError> {
        register();
        let unusable = |reason: String| FetchError::Settings {
            url: location.shown(),
            reason,
        };
        let client = access
            .client()
            .map_err(|error| unusable(error.to_string()))?
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| unusable(error.without_url().to_string()))?;
        let runtime = Handle::try_current().map_err(|error| unusable(error.to_string()))?;
        Ok(Arc::new(Self {
            location: location.clone(),
            access: access.clone(),
            limits,
            client,
            runtime,
            state: Mutex::default(),
        }))
    }

    pub(super) fn enter(self: &Arc<Self>) -> Within {
        Within(CURRENT.replace(Some(Arc::clone(self))))
    }

    /// Why a connection failed: libgit2 keeps only a text.
    pub(super) fn failed(&self) -> Option<FetchError> {
        self.state().failed.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what the network does, within the fetch's time.
    fn wait<T>(&self, work: impl Future<Output = Result<T, FetchError>>) -> Result<T, FetchError> {
        let deadline = tokio::time::Instant::from_std(self.limits.deadline);
        let late = || FetchError::Timeout {
            url: self.location.shown(),
        };
        if Instant::now() >= self.limits.deadline {
            return Err(late());
        }
        self.runtime.block_on(async {
            tokio::time::timeout_at(deadline, work)
                .await
                .unwrap_or_else(|_| Err(late()))
        })
    }

    fn remember<T>(&self, result: Result<T, FetchError>) -> Result<T, FetchError> {
        if let Err(error) = &result {
            self.state().failed = Some(error.clone());
        }
        result
    }

    /// The list of references. The first answer may send us elsewhere; where we end up is where the rest happens.
    async fn list(&self) -> Result<Response, FetchError> {
        let written = self.written()?;
        let login = self.access.authorization(&self.client, &written).await;
        let login = login.map_err(|reason| FetchError::App {
            url: self.location.shown(),
            reason,
        })?;
        let mut base = written.clone();
        for _ in 0..=MAX_REDIRECTS {
            let at = format!("{}/{LIST}", base.as_str().trim_end_matches('/'));
            let mut request = self.client.get(at).header(ACCEPT, ADVERTISEMENT);
            // A login is for the host that it was given for, and never leaves TLS.
            let authorization = login.clone().filter(|_| same_host(&written, &base));
            if let Some(authorization) = &authorization {
                request = request.header(AUTHORIZATION, authorization);
            }
            let answer = request
                .send()
                .await
                .map_err(|error| self.unreachable(error))?;
            if answer.status().is_redirection() {
                base = self.redirected(&base, &answer)?;
                continue;
            }
            let answer = self
                .check(answer, ADVERTISEMENT, authorization.is_some())
                .await?;
            let mut state = self.state();
            state.base = Some(base);
            state.authorization = authorization;
            return Ok(answer);
        }
        Err(self.broken(format!(
            "its host redirects more than {MAX_REDIRECTS} times"
        )))
    }

    async fn ask(&self, body: Vec<u8>) -> Result<Response, FetchError> {
        let (base, authorization) = {
            let state = self.state();
            (state.base.clone(), state.authorization.clone())
        };
        let base = base.map_or_else(|| self.written(), Ok)?;
        let at = format!("{}/git-upload-pack", base.as_str().trim_end_matches('/'));
        let mut request = self
            .client
            .post(at)
            .header(ACCEPT, RESULT)
            .header(CONTENT_TYPE, REQUEST)
            .body(body);
        let known = authorization.is_some();
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| self.unreachable(error))?;
        self.check(answer, RESULT, known).await
    }

    fn written(&self) -> Result<Url, FetchError> {
        Url::parse(self.location.url())
            .map_err(|error| self.broken(format!("its URL can't be read ({error})")))
    }

    fn redirected(&self, from: &Url, answer: &Response) -> Result<Url, FetchError> {
        let to = answer
            .headers()
            .get(LOCATION)
            .and_then(|to| to.to_str().ok());
        let to = to.and_then(|to| {
            let at = format!("{}/{LIST}", from.as_str().trim_end_matches('/'));
            Url::parse(&at).ok()?.join(to).ok()
        });
        let to = to
            .filter(|to| to.scheme() == "https" || to.scheme() == from.scheme())
            .ok_or_else(|| {
                self.broken("its host redirects to nowhere that can be used".to_owned())
            })?;
        to.as_str()
            .strip_suffix(LIST)
            .and_then(|base| Url::parse(base.trim_end_matches('/')).ok())
            .ok_or_else(|| {
                let to = format!("{}://{}{}", to.scheme(), to.authority(), to.path());
                let to = api::git_url::without_credentials(&to);
                self.broken(format!(
                    "its host redirects to {to}, which is no repository"
                ))
            })
    }

    async fn check(
        &self,
        answer: Response,
        expected: &str,
        known: bool,
    ) -> Result<Response, FetchError> {
        let url = || self.location.shown();
        if let Some(Busy { after }) = busy(answer.status(), answer.headers(), SystemTime::now()) {
            return Err(FetchError::Busy {
                url: url(),
                reason: format!("it answers {}", answer.status().as_u16()),
                after,
            });
        }
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                if let Ok(written) = self.written()
                    && let Some(app) = App::of(&self.access.credentials, &written)
                {
                    app.forget().await;
                }
                return Err(FetchError::Denied {
                    url: url(),
                    reason: self.denial(answer.status(), known),
                });
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                return Err(FetchError::NotFound {
                    url: url(),
                    reason: format!("its host answers {}", answer.status().as_u16()),
                });
            }
            status => return Err(self.broken(format!("its host answers {}", status.as_u16()))),
        }
        let kind = answer
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        if kind != Some(expected) {
            return Err(FetchError::NotFound {
                url: url(),
                reason: "its host doesn't answer in Git's smart HTTP protocol".to_owned(),
            });
        }
        Ok(answer)
    }

    fn denial(&self, status: StatusCode, known: bool) -> String {
        let status = status.as_u16();
        if known {
            return format!("the host refuses the login ({status})");
        }
        match self.access.credentials.unsupported {
            Some(field) => format!(
                "the host asks for credentials ({status}), and {field} isn't supported: give it username and password, or a token"
            ),
            None => format!(
                "the host asks for credentials ({status}), and no repository or repo-creds Secret has any that fit"
            ),
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> FetchError {
        let url = self.location.shown();
        match http::failure(error) {
            Failure::Certificate(reason) => FetchError::Certificate { url, reason },
            Failure::Timeout => FetchError::Timeout { url },
            Failure::Other(reason) => FetchError::Unreachable { url, reason },
        }
    }

    fn broken(&self, reason: String) -> FetchError {
        FetchError::Unreachable {
            url: self.location.shown(),
            reason,
        }
    }

    async fn chunk(&self, answer: &mut Response) -> Result<Option<Bytes>, FetchError> {
        let chunk = answer
            .chunk()
            .await
            .map_err(|error| self.unreachable(error))?;
        let mut state = self.state();
        state.received = state
            .received
            .saturating_add(chunk.as_ref().map_or(0, Bytes::len));
        if state.received > self.limits.bytes.saturating_add(BESIDE) {
            return Err(FetchError::TooLarge {
                url: self.location.shown(),
                limit: self.limits.bytes,
            });
        }
        Ok(chunk)
    }
}

/// Whether a login for one URL may go to another.
pub(super) fn same_host(known: &Url, other: &Url) -> bool {
    known.host() == other.host()
        && (known.port_or_known_default() == other.port_or_known_default()
            && known.scheme() == other.scheme()
            || known.scheme() == "http" && other.scheme() == "https" && other.port().is_none())
}

/// libgit2 asks us for every connection over HTTP, once for the whole process.
fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        for scheme in ["http", "https"] {
            // SAFETY: transports are made only for fetches, and each of those comes through here first.
            let registered = unsafe {
                git2::transport::register(scheme, |remote| {
                    let exchange = CURRENT
                        .with_borrow(Clone::clone)
                        .ok_or_else(|| git2::Error::from_str("a connection outside of a fetch"))?;
                    Transport::smart(remote, true, Subtransport(exchange))
                })
            };
            if let Err(error) = registered {
                tracing::error!(%error, scheme, "libgit2 takes no transport");
            }
        }
    });
}

struct Subtransport(Arc<Exchange>);

impl SmartSubtransport for Subtransport {
    fn action(
        &self,
        _url: &str,
        action: Service,
    ) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let exchange = Arc::clone(&self.0);
        let turn = match action {
            Service::UploadPackLs => Turn::List,
            Service::UploadPack => Turn::Ask(Vec::new()),
            Service::ReceivePackLs | Service::ReceivePack => {
                return Err(git2::Error::from_str("nothing is ever pushed"));
            }
        };
        Ok(Box::new(Stream { exchange, turn }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

struct Stream {
    exchange: Arc<Exchange>,
    turn: Turn,
}

enum Turn {
    /// The list is asked for when it is read.
    List,
    /// What is to be asked, until the answer is read.
    Ask(Vec<u8>),
    Answer(Response, Bytes),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let exchange = &self.exchange;
        let answered = match &mut self.turn {
            Turn::List => Some(exchange.wait(exchange.list())),
            Turn::Ask(body) => Some(exchange.wait(exchange.ask(std::mem::take(body)))),
            Turn::Answer(..) => None,
        };
        if let Some(answered) = answered {
            let answer = exchange.remember(answered).map_err(io::Error::other)?;
            self.turn = Turn::Answer(answer, Bytes::new());
        }
        let Turn::Answer(answer, rest) = &mut self.turn else {
            return Ok(0);
        };
        while rest.is_empty() {
            let chunk = exchange.wait(exchange.chunk(answer));
            match exchange.remember(chunk).map_err(io::Error::other)? {
                Some(chunk) => *rest = chunk,
                None => return Ok(0),
            }
        }
        let length = rest.len().min(buffer.len());
        rest.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.turn {
            Turn::Ask(body) => body.extend_from_slice(bytes),
            // The next round of a negotiation.
            Turn::List | Turn::Answer(..) => self.turn = Turn::Ask(bytes.to_vec()),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
