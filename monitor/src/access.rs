//! Who may do what: Kubernetes' own answer. `TokenReview` says who it is, `SubjectAccessReview` whether they may.
//!
//! Towline has no users of its own. Answers are remembered for seconds, by digest of the token, and few of them.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::Sensitive;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use bus::{AppId, Digest};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// The cookie that carries the token of somebody who logged in on the page.
pub const COOKIE_NAME: &str = "towline_token";
/// Longest token; what is longer is not asked about.
pub const MAX_TOKEN: usize = 8 * 1_024;

const REMEMBERED: usize = 1_024;
const KNOWN_FOR: Duration = Duration::from_secs(20);
const UNKNOWN_FOR: Duration = Duration::from_secs(5);
const ALLOWED_FOR: Duration = Duration::from_secs(10);
const DENIED_FOR: Duration = Duration::from_secs(2);
/// Questions to the API server at a time, so that strangers can't flood it through us.
const AT_ONCE: usize = 16;

/// A person or program, as the API server knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct User {
    pub name: String,
    uid: Option<String>,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

/// Why a question could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error("asking the API server whose token it is")]
    TokenReview(#[source] kube::Error),
    #[error("asking the API server whether `{user}` may {verb} {object}")]
    SubjectAccessReview {
        user: String,
        verb: &'static str,
        object: String,
        #[source]
        source: kube::Error,
    },
}

/// What somebody wants to do with Applications: a verb on one, or on all of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wish {
    pub verb: &'static str,
    pub namespace: String,
    pub name: Option<String>,
}

impl Wish {
    pub fn on(verb: &'static str, app: &AppId) -> Self {
        Self {
            verb,
            namespace: app.namespace().to_owned(),
            name: Some(app.name().to_owned()),
        }
    }

    pub fn on_all(verb: &'static str, namespace: &str) -> Self {
        Self {
            verb,
            namespace: namespace.to_owned(),
            name: None,
        }
    }

    fn object(&self) -> String {
        match &self.name {
            Some(name) => format!("Application {}/{name}", self.namespace),
            None => format!("Applications in namespace {}", self.namespace),
        }
    }
}

pub struct Access {
    client: kube::Client,
    users: Remembered<Digest, Option<Arc<User>>>,
    rights: Remembered<(Arc<User>, Wish), bool>,
    questions: Semaphore,
}

impl Access {
    pub fn new(client: kube::Client) -> Self {
        Self {
            client,
            users: Remembered::default(),
            rights: Remembered::default(),
            questions: Semaphore::new(AT_ONCE),
        }
    }

    /// Whose token it is, if anybody's.
    pub async fn authenticate(&self, token: &Sensitive) -> Result<Option<Arc<User>>, AccessError> {
        if token.is_empty() || token.expose().len() > MAX_TOKEN {
            return Ok(None);
        }
        let key = Digest::of(token.expose().as_bytes());
        if let Some(known) = self.users.get(&key) {
            return Ok(known);
        }
        let _turn = self.questions.acquire().await;
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.expose().to_owned(),
                ..TokenReviewSpec::default()
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let answer = reviews.create(&PostParams::default(), &review).await;
        let status = answer
            .map_err(AccessError::TokenReview)?
            .status
            .unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true));
        let user = user.and_then(|info| {
            let name = info.username.filter(|name| !name.is_empty())?;
            let (groups, extra) = (
                info.groups.unwrap_or_default(),
                info.extra.unwrap_or_default(),
            );
            Some(Arc::new(User {
                name,
                uid: info.uid,
                groups,
                extra,
            }))
        });
        let valid = if user.is_some() {
            KNOWN_FOR
        } else {
            UNKNOWN_FOR
        };
        self.users.put(key, user.clone(), valid);
        Ok(user)
    }

    pub async fn may(&self, user: &Arc<User>, wish: &Wish) -> Result<bool, AccessError> {
        let key = (Arc::clone(user), wish.clone());
        if let Some(known) = self.rights.get(&key) {
            return Ok(known);
        }
        let _turn = self.questions.acquire().await;
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user.name.clone()),
                uid: user.uid.clone(),
                groups: Some(user.groups.clone()),
                extra: Some(user.extra.clone()),
                resource_attributes: Some(ResourceAttributes {
                    group: Some(api::GROUP.to_owned()),
                    version: Some(api::VERSION.to_owned()),
                    resource: Some(api::Application::PLURAL.to_owned()),
                    namespace: Some(wish.namespace.clone()),
                    name: wish.name.clone(),
                    verb: Some(wish.verb.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answer = reviews.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|source| AccessError::SubjectAccessReview {
            user: user.name.clone(),
            verb: wish.verb,
            object: wish.object(),
            source,
        })?;
        let allowed = answer.status.is_some_and(|status| status.allowed);
        self.rights
            .put(key, allowed, if allowed { ALLOWED_FOR } else { DENIED_FOR });
        Ok(allowed)
    }

    /// Who it is, or the answer to give.
    pub async fn require_user(&self, token: Option<Sensitive>) -> Result<Arc<User>, Problem> {
        let Some(token) = token else {
            return Err(Problem::unauthorized(
                "no token",
                "send `Authorization: Bearer <token>` with a token of the control cluster (`kubectl create token …`)",
            ));
        };
        let user = self
            .authenticate(&token)
            .await
            .map_err(|error| unavailable(&error))?;
        user.ok_or_else(|| {
            Problem::unauthorized(
                "the control cluster doesn't know this token",
                "take a fresh one: tokens expire",
            )
        })
    }

    /// That the user may do one of the wishes, or the answer to give.
    pub async fn require(&self, user: &Arc<User>, wishes: &[Wish]) -> Result<(), Problem> {
        for wish in wishes {
            if self
                .may(user, wish)
                .await
                .map_err(|error| unavailable(&error))?
            {
                return Ok(());
            }
        }
        let verbs: Vec<_> = wishes
            .iter()
            .map(|wish| format!("`{}`", wish.verb))
            .collect();
        let object = wishes.first().map(Wish::object).unwrap_or_default();
        Err(Problem::forbidden(
            format!("{} may not {} {object}", user.name, verbs.join(" or ")),
            format!(
                "ask for a Role with verb {} on applications.argoproj.io",
                verbs.join(" or ")
            ),
        ))
    }
}

fn unavailable(error: &AccessError) -> Problem {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "access can't be decided"
    );
    Problem::unavailable(
        "the control cluster can't be asked who may do this",
        "try again; the monitor's log says why",
    )
}

/// The token of the header `Authorization: Bearer …`.
pub fn bearer(headers: &HeaderMap) -> Option<Sensitive> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| Sensitive::new(token))
}

/// The token of somebody who logged in on the page.
pub fn cookie(headers: &HeaderMap) -> Option<Sensitive> {
    let all = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let pairs = all
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let own = pairs.filter(|(name, token)| *name == COOKIE_NAME && !token.is_empty());
    own.map(|(_, token)| Sensitive::new(token)).next()
}

/// Answers that hold for a while; few, so that nobody can fill the memory with questions.
struct Remembered<K, V>(Mutex<HashMap<K, (Instant, V)>>);

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq, V: Clone> Remembered<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, value) = known.get(key)?;
        (Instant::now() < *until).then(|| value.clone())
    }

    fn put(&self, key: K, value: V, valid: Duration) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if known.len() >= REMEMBERED {
            known.retain(|_, (until, _)| now < *until);
        }
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, (now + valid, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: axum::http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn only_a_bearer_token_is_a_token() {
        let token =
            |value| bearer(&headers(AUTHORIZATION, value)).map(|token| token.expose().to_owned());
        assert_eq!(token("Bearer abc"), Some("abc".to_owned()));
        assert_eq!(token("bearer  abc "), Some("abc".to_owned()));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("Bearer "), None);
    }

    #[test]
    fn our_cookie_is_found_among_others() {
        let found = cookie(&headers(COOKIE, "a=b; towline_token=xyz; c=d")).unwrap();
        assert_eq!(found.expose(), "xyz");
        assert!(cookie(&headers(COOKIE, "other_towline_token=xyz")).is_none());
    }

    #[test]
    fn the_memory_of_answers_is_bounded() {
        let memory = Remembered::default();
        for number in 0..5_000 {
            memory.put(number, (), KNOWN_FOR);
        }
        assert!(memory.0.lock().unwrap().len() <= REMEMBERED);
        assert!(memory.get(&4_999).is_some());
    }
}
