//! Secret references and their sealed answers: applier ⇄ secrets-agent, request/reply, never stored.
//!
//! What is in plain text here is who asks for what; values travel only inside [`Answer::Sealed`]. See [`crate::seal`].

use api::placeholder::PathForm;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Message;
use crate::identity::{AppId, ClusterId, Digest, Generation};

/// A secret reference: names a value, never holds one.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// For instance `kv/data/shop`; see `form`.
    pub path: String,
    /// Empty for all keys at once, as one JSON object.
    pub key: String,
    /// The newest version when none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// A path that lacks the key is answered without a value, instead of refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    #[serde(default, skip_serializing_if = "PathForm::is_default")]
    pub form: PathForm,
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = self.form.shown(&self.key);
        write!(f, "{}#{key}", self.path)?;
        self.version
            .map_or(Ok(()), |version| write!(f, "#{version}"))
    }
}

/// What is asked, before the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    pub cluster: ClusterId,
    pub app: AppId,
    pub generation: Generation,
    /// Sorted, without duplicates, at most [`Question::MAX_REFERENCES`].
    pub references: Vec<Reference>,
    /// X25519 public key made for this request, 32 bytes in base64.
    pub one_time_key: String,
    /// Unix milliseconds; the agent refuses what is outside its replay window.
    pub time: u64,
    /// Absent for the values.
    #[serde(default)]
    pub purpose: Purpose,
}

/// What a question is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// The values, all of them or none.
    #[default]
    Values,
    /// Of each reference whether it may be read and is there. The answer holds no value.
    Check,
}

impl Question {
    pub const MAX_REFERENCES: usize = 1_000;
}

/// A signed question. The question travels as the exact bytes that were signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// JSON of [`Question`].
    pub question: String,
    /// Ed25519, 64 bytes in base64.
    pub signature: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    Sealed(Sealed),
    /// Anything else that the agent says of a question that is its applier's.
    Stated(Stated),
    /// Of what is no question of its applier's, or can't be read: in the open, so that whoever gets it knows no more than that
    /// somebody refused.
    Refused(Refusal),
}

/// A [`Statement`] as JSON, HPKE-sealed to the request's one-time key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stated {
    /// Digest of the request's question; the associated data begins with it.
    pub request: Digest,
    /// HPKE encapsulated key, base64.
    pub encapsulated: String,
    /// Base64.
    pub ciphertext: String,
}

/// What the agent says where it gives no values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Statement {
    /// To a question whose purpose is a check, in the order of its references.
    Checked(Vec<Found>),
    Refused(Refusal),
}

/// What was found at one reference, in words for people; never of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Found {
    /// It may be read and is there.
    Present {
        /// Where its backend counts versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
    },
    /// It may be read, and path, key or version aren't there.
    Missing { message: String },
    /// The project, or the agent's own bounds, don't allow the path.
    Forbidden { message: String },
    /// Whether it is there can't be told for the moment.
    Unknown { message: String },
}

/// All values of one request, in the order of its references, HPKE-sealed to its one-time key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sealed {
    /// Digest of the request's question: the associated data.
    pub request: Digest,
    /// HPKE encapsulated key, base64.
    pub encapsulated: String,
    /// Base64.
    pub ciphertext: String,
    /// The version that each value has now, where its backend counts versions.
    pub versions: Vec<Option<u64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    pub reason: RefusalReason,
    /// What, where, what to do.
    pub message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RefusalReason {
    /// Not readable as a request, or over a limit.
    Malformed,
    /// The signature is not the pinned applier's.
    Signature,
    /// Outside the window of time, or seen before.
    Replayed,
    /// Cluster, application or generation don't fit the desired state that the agent knows. Worth a retry: it may lag.
    NotDesired,
    /// The project doesn't allow the path.
    Forbidden,
    /// The backend has no such path, key or version.
    NotFound,
    /// The backend can't be reached, is sealed or refuses the agent. Worth a retry.
    Unavailable,
}

impl RefusalReason {
    /// Whether the same request may succeed later without anybody changing it.
    pub const fn is_passing(self) -> bool {
        match self {
            Self::NotDesired | Self::Unavailable => true,
            Self::Malformed
            | Self::Signature
            | Self::Replayed
            | Self::Forbidden
            | Self::NotFound => false,
        }
    }
}

impl Message for Request {
    const KIND: &'static str = "secret.asked";

    fn about(&self) -> Option<&AppId> {
        None
    }
}

impl Message for Answer {
    const KIND: &'static str = "secret.answered";

    fn about(&self) -> Option<&AppId> {
        None
    }
}
