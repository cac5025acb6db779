//! The one token in use: had by a login, prolonged before its end, replaced when Vault refuses it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use tokio::sync::{Notify, RwLock};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Reply};
use super::health::Health;
use super::lease::Lease;
use super::login::Login;
use super::session::{Granted, Session};
use crate::backend::BackendError;
use crate::metrics::{Metrics, VaultRequest};

/// How old a token must be for a refused right, and not for its own end, to be worth a new login. Else each refusal would make one
/// more token, and without it a role that is given another policy would take effect at the token's end only.
const AGED: Duration = Duration::from_mins(1);
/// Between attempts to get or prolong a token.
const PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Token {
    /// Marked so that no log of headers shows it.
    pub(super) header: HeaderValue,
    pub(super) session: Session,
    pub(super) lease: Lease,
    connection: Connection,
    granted: Instant,
}

pub(super) struct Tokens {
    login: Login,
    held: RwLock<Option<Arc<Token>>>,
    replaced: Notify,
    metrics: Metrics,
}

impl Token {
    pub(super) fn new(connection: &Connection, text: &str) -> Result<Self, BackendError> {
        let failed = |why: &str| BackendError::Login {
            why: why.to_owned(),
        };
        let mut header = HeaderValue::from_str(text)
            .map_err(|_| failed("the token holds characters that no header may hold"))?;
        header.set_sensitive(true);
        Ok(Self {
            header,
            session: Session::new(connection, text)
                .map_err(|_| failed("the address of Vault is not usable"))?,
            lease: Lease::unknown(),
            connection: connection.clone(),
            granted: Instant::now(),
        })
    }

    pub(super) fn granted(
        connection: &Connection,
        granted: &Granted,
    ) -> Result<Self, BackendError> {
        let mut token = Self::new(connection, granted.token.expose())?;
        token.lease = granted.lease;
        Ok(token)
    }
}

impl Tokens {
    pub(super) fn new(login: Login, metrics: Metrics) -> Self {
        Self {
            login,
            held: RwLock::new(None),
            replaced: Notify::new(),
            metrics,
        }
    }

    /// The token in use, or that of a new login.
    pub(super) async fn current(&self) -> Result<Arc<Token>, BackendError> {
        let usable = |token: &&Arc<Token>| !token.lease.is_over(token.granted, Instant::now());
        if let Some(token) = self.held.read().await.as_ref().filter(usable) {
            return Ok(Arc::clone(token));
        }
        let mut held = self.held.write().await;
        // Another request may have logged in while this one waited.
        if let Some(token) = held.as_ref().filter(usable) {
            return Ok(Arc::clone(token));
        }
        let fresh = Arc::new(self.login.log_in().await?);
        Ok(self.put(&mut held, fresh))
    }

    /// Another token than the one that Vault `refused`; none if there is no other, or if it is the right that lacks: Vault says the
    /// same of both.
    pub(super) async fn instead_of(
        &self,
        refused: &Arc<Token>,
    ) -> Result<Option<Arc<Token>>, BackendError> {
        let mut held = self.held.write().await;
        if let Some(token) = held.as_ref().filter(|held| !held.is_same(refused)) {
            return Ok(Some(Arc::clone(token)));
        }
        if self.login.makes_tokens() && refused.granted.elapsed() < AGED {
            let lookup = refused.session.look_up();
            let found = self.metrics.timed(VaultRequest::Lookup, lookup).await?;
            if matches!(found, Reply::Found(_)) {
                return Ok(None);
            }
        }
        let fresh = Arc::new(self.login.log_in().await?);
        let is_other = !fresh.is_same(refused);
        Ok(Some(self.put(&mut held, fresh)).filter(|_| is_other))
    }

    /// Logs in, and prolongs or replaces each token before its end, so that no request waits for that and none meets the end.
    pub(super) async fn keep(&self, health: &Health, shutdown: CancellationToken) {
        let keeping = async {
            loop {
                self.keep_one(health).await;
            }
        };
        shutdown.run_until_cancelled(keeping).await;
    }

    /// Until the token in use is another one, or an attempt at it failed.
    async fn keep_one(&self, health: &Health) {
        let replaced = self.replaced.notified();
        let mut replaced = std::pin::pin!(replaced);
        replaced.as_mut().enable();
        let token = match self.current().await {
            Ok(token) => token,
            Err(error) => {
                let error = health.explain(error).await;
                tracing::warn!(%error, "no token of Vault");
                tokio::select! {
                    () = replaced => {}
                    () = tokio::time::sleep(PAUSE.mul_f64(rand::random_range(0.5..1.5))) => {}
                }
                return;
            }
        };
        let due = async {
            match token.lease.due(token.granted) {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = replaced => return,
            () = due => {}
        }
        match self.prolong(&token).await {
            Ok(fresh) => {
                let mut held = self.held.write().await;
                if held.as_ref().is_some_and(|held| held.is_same(&token)) {
                    self.put(&mut held, Arc::new(fresh));
                }
            }
            Err(error) => {
                let error = health.explain(error).await;
                tracing::warn!(%error, "the token of Vault was not prolonged");
                tokio::time::sleep(token.pause()).await;
            }
        }
    }

    async fn prolong(&self, token: &Token) -> Result<Token, BackendError> {
        if token.lease.is_renewable {
            let renewal = token.session.renew();
            if let Reply::Found(granted) = self.metrics.timed(VaultRequest::Renew, renewal).await?
                && !token.lease.is_worn(granted.lease)
            {
                return Token::granted(&token.connection, &granted);
            }
        }
        self.login.log_in().await
    }

    fn put(&self, held: &mut Option<Arc<Token>>, fresh: Arc<Token>) -> Arc<Token> {
        *held = Some(Arc::clone(&fresh));
        self.metrics.leased(fresh.lease.lasts);
        self.replaced.notify_waiters();
        fresh
    }
}

impl Token {
    /// After a failure to prolong it: short enough for several more attempts before the end.
    fn pause(&self) -> Duration {
        let left = self.lease.left(self.granted, Instant::now());
        PAUSE.min(left / 4).max(Duration::from_millis(200))
    }

    fn is_same(&self, other: &Self) -> bool {
        self.header == other.header
    }
}
