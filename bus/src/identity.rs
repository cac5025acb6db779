//! Names that travel on the bus: applications, clusters, generations, digests, releases.
//!
//! Each is a type of its own, checked where it is made, so that a subject can be built from one without another look.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Why a text is not the identity it should be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdentityError {
    #[error("`{0}` is not an application's identity: expected <namespace>/<name>")]
    Application(String),
    #[error(
        "`{0}` is not a Kubernetes name: 1 to 253 of a-z, 0-9, `-` and `.`, starting and ending with a letter or digit"
    )]
    Name(String),
    #[error(
        "`{0}` is not a cluster id: a DNS label, 1 to 63 of a-z, 0-9 and `-`, starting and ending with a letter or digit"
    )]
    Cluster(String),
    #[error("`{0}` is not a digest: expected 64 hexadecimal digits")]
    Digest(String),
}

/// The identity of an `Application` object: its namespace and name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppId {
    namespace: String,
    name: String,
}

impl AppId {
    pub fn new(namespace: &str, name: &str) -> Result<Self, IdentityError> {
        for part in [namespace, name] {
            if !is_subdomain(part) {
                return Err(IdentityError::Name(part.to_owned()));
            }
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AppId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, name) = text
            .split_once('/')
            .ok_or_else(|| IdentityError::Application(text.to_owned()))?;
        Self::new(namespace, name)
    }
}

impl TryFrom<String> for AppId {
    type Error = IdentityError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AppId> for String {
    fn from(id: AppId) -> Self {
        id.to_string()
    }
}

/// The id that a cluster's applier was started with; `in-cluster` is the control cluster itself.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterId(String);

impl ClusterId {
    /// What Argo CD calls the cluster that it runs in.
    pub const IN_CLUSTER: &'static str = "in-cluster";

    pub fn new(text: &str) -> Result<Self, IdentityError> {
        if text.len() <= 63 && is_subdomain(text) && !text.contains('.') {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdentityError::Cluster(text.to_owned()))
        }
    }

    pub fn in_cluster() -> Self {
        Self(Self::IN_CLUSTER.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ClusterId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for ClusterId {
    type Error = IdentityError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<ClusterId> for String {
    fn from(id: ClusterId) -> Self {
        id.0
    }
}

/// Orders the desired states of one application; only grows, also across the loss of the broker.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after `last` (in the stream) and `head` (held by the cluster), at `now_ms` (Unix milliseconds).
    #[must_use]
    pub fn next(last: Option<Self>, head: Option<Self>, now_ms: u64) -> Self {
        let floor = last.max(head).map_or(0, |generation| generation.0);
        Self(floor.max(now_ms.saturating_sub(1)).saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a release within its application, as in Argo CD's history: grows by one, starts at 1.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct ReleaseId(pub u64);

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A SHA-256, in lower-case hexadecimal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == 64
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdentityError::Digest(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = IdentityError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

macro_rules! string_schema {
    ($($name:ident: $pattern:literal),*) => {$(
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": $pattern})
            }
        }
    )*};
}

string_schema! {
    AppId: "^[a-z0-9.-]{1,253}/[a-z0-9.-]{1,253}$",
    ClusterId: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    Digest: "^[0-9a-f]{64}$"
}

fn is_subdomain(text: &str) -> bool {
    let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    let edge =
        |byte: Option<u8>| byte.is_some_and(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'));
    text.len() <= 253
        && text.bytes().all(inner)
        && edge(text.bytes().next())
        && edge(text.bytes().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_outgrows_stream_head_and_clock() {
        assert_eq!(Generation::next(None, None, 1_000), Generation(1_000));
        assert_eq!(
            Generation::next(Some(Generation(2_000)), None, 1_000),
            Generation(2_001)
        );
        assert_eq!(
            Generation::next(Some(Generation(5)), Some(Generation(3_000)), 1_000),
            Generation(3_001)
        );
    }

    #[test]
    fn names_that_could_break_a_subject_are_refused() {
        for bad in [
            "a b/c", "a/", "/a", "a/b*", "a/b>", "A/b", "a/_b", "a/b/c", "nothing", "a/.b", "a/b.",
        ] {
            assert!(bad.parse::<AppId>().is_err(), "{bad}");
        }
        assert!("argocd/my.app-1".parse::<AppId>().is_ok());
        assert!(ClusterId::new("a.b").is_err());
        assert!(ClusterId::new(&"a".repeat(64)).is_err());
        assert!("../../etc".parse::<Digest>().is_err());
    }
}
