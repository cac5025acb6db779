//! A question: made and signed by the applier, checked by the agent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpke::{Deserializable as _, Kem as _, Serializable as _};

use super::answer::OneTimeKey;
use super::keys::{AskerKey, AskerPublic};
use super::window::{ReplayWindow, Verdict};
use super::{Kem, SIGNED, SealError};
use crate::identity::{AppId, ClusterId, Digest, Generation};
use crate::message::secret::{Purpose, Question, Reference, Refusal, RefusalReason, Request};

/// The longest question that is read, in bytes.
const MAX_QUESTION: usize = 384 * 1024;
/// The longest path or key, in bytes: no placeholder is longer.
const MAX_NAME: usize = api::placeholder::MAX_LENGTH;

/// A question that comes from a pinned applier: what is said of it can be proven to whoever asked.
pub struct Signed {
    question: Question,
    pub(super) digest: Digest,
    pub(super) one_time: <Kem as hpke::Kem>::PublicKey,
}

/// One that is heard for the first time, and in time: it may be answered with values.
pub struct Verified<'q>(&'q Signed);

/// Makes a request for the values of `references`, and the key that opens its answer. Order and duplicates don't matter.
pub fn ask(
    key: &AskerKey,
    cluster: &ClusterId,
    app: &AppId,
    generation: Generation,
    references: &[Reference],
    now_ms: u64,
) -> Result<(Request, OneTimeKey), SealError> {
    let mut references = references.to_vec();
    references.sort();
    references.dedup();
    request(
        key,
        Question {
            cluster: cluster.clone(),
            app: app.clone(),
            generation,
            references,
            one_time_key: String::new(),
            time: now_ms,
            purpose: Purpose::Values,
        },
    )
}

/// Makes a request that is answered with what is found at each of `references`, which are sorted and without duplicates, and no value.
pub fn ask_whether(
    key: &AskerKey,
    cluster: &ClusterId,
    app: &AppId,
    generation: Generation,
    references: Vec<Reference>,
    now_ms: u64,
) -> Result<(Request, OneTimeKey), SealError> {
    request(
        key,
        Question {
            cluster: cluster.clone(),
            app: app.clone(),
            generation,
            references,
            one_time_key: String::new(),
            time: now_ms,
            purpose: Purpose::Check,
        },
    )
}

/// Signs a question, with a one-time key of its own.
fn request(key: &AskerKey, mut question: Question) -> Result<(Request, OneTimeKey), SealError> {
    if question.references.len() > Question::MAX_REFERENCES {
        return Err(SealError::TooMany {
            count: question.references.len(),
            limit: Question::MAX_REFERENCES,
        });
    }
    let (secret, public) = Kem::gen_keypair();
    question.one_time_key = STANDARD.encode(public.to_bytes());
    let text = serde_json::to_string(&question).map_err(SealError::Encode)?;
    let signature = key.0.sign(&signed(&text)).map_err(SealError::Sign)?;
    let one_time = OneTimeKey {
        secret,
        request: Digest::of(text.as_bytes()),
        references: question.references,
    };
    let request = Request {
        question: text,
        signature: STANDARD.encode(signature),
    };
    Ok((request, one_time))
}

/// Checks that a request is from one of the pinned appliers, and well formed. Whoever made one that isn't has no key that a refusal
/// could be sealed to.
pub fn verify(request: &Request, pinned: &[AskerPublic]) -> Result<Signed, Refusal> {
    if request.question.len() > MAX_QUESTION || request.signature.len() > 128 {
        return Err(refusal(
            RefusalReason::Malformed,
            "the request is over the limit",
        ));
    }
    let signature = STANDARD
        .decode(&request.signature)
        .map_err(|_| refusal(RefusalReason::Malformed, "the signature is not base64"))?;
    let text = signed(&request.question);
    if !pinned
        .iter()
        .any(|key| key.0.verify(&text, &signature).is_ok())
    {
        return Err(refusal(
            RefusalReason::Signature,
            "the request is not signed by an applier that this agent has pinned (--applier-key)",
        ));
    }
    let question: Question = serde_json::from_str(&request.question)
        .map_err(|_| refusal(RefusalReason::Malformed, "the question is not readable"))?;
    let one_time =
        well_formed(&question).map_err(|what| refusal(RefusalReason::Malformed, what))?;
    Ok(Signed {
        question,
        digest: Digest::of(request.question.as_bytes()),
        one_time,
    })
}

impl Signed {
    /// Checks that it is new, and heard for the first time. What it asks for is judged by who knows the policy.
    pub fn admit(&self, now_ms: u64, window: &mut ReplayWindow) -> Result<Verified<'_>, Refusal> {
        let (reason, message) = match window.admit(&self.digest, self.question.time, now_ms) {
            Verdict::New => return Ok(Verified(self)),
            Verdict::Heard => (RefusalReason::Replayed, "the request was answered before"),
            Verdict::TooOld => (
                RefusalReason::Replayed,
                "the request is too old: it was held up, or the clocks of applier and agent differ",
            ),
            Verdict::TooNew => (
                RefusalReason::Replayed,
                "the request is from the future: the clocks of applier and agent differ",
            ),
            Verdict::Full => (
                RefusalReason::Unavailable,
                "too many requests within a minute",
            ),
        };
        Err(refusal(reason, message))
    }
}

impl Verified<'_> {
    pub fn question(&self) -> &Question {
        &self.0.question
    }

    pub(super) fn signed(&self) -> &Signed {
        self.0
    }
}

impl Refusal {
    pub fn new(
        reason: RefusalReason,
        message: impl Into<String>,
        references: Vec<Reference>,
    ) -> Self {
        Self {
            reason,
            message: message.into(),
            references,
        }
    }
}

fn refusal(reason: RefusalReason, message: &str) -> Refusal {
    Refusal::new(reason, message, Vec::new())
}

fn signed(question: &str) -> Vec<u8> {
    [SIGNED, question.as_bytes()].concat()
}

fn well_formed(question: &Question) -> Result<<Kem as hpke::Kem>::PublicKey, &'static str> {
    if question.references.len() > Question::MAX_REFERENCES {
        return Err("the question has too many references");
    }
    if !question.references.is_sorted_by(|one, two| one < two) {
        return Err("the references are not sorted, or one is there twice");
    }
    if question
        .references
        .iter()
        .any(|reference| reference.path.len() > MAX_NAME || reference.key.len() > MAX_NAME)
    {
        return Err("a path or key is over the limit");
    }
    let key = STANDARD
        .decode(&question.one_time_key)
        .map_err(|_| "the one-time key is not base64")?;
    <Kem as hpke::Kem>::PublicKey::from_bytes(&key).map_err(|_| "the one-time key is not one")
}
