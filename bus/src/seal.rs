//! Secrets on their way from agent to applier: the broker carries them and can neither read, forge nor replay them.
//!
//! The applier signs what it asks ([`ask`]) with a static Ed25519 key that the agent has pinned; the question holds a one-time
//! X25519 key. The agent checks it ([`verify`]) and answers with HPKE in Auth mode ([`Verified::seal`]) from its own static X25519
//! key, which the applier has pinned, to that one-time key; the associated data is the digest of the question. So an answer
//! opens once, by who asked, for what was asked ([`OneTimeKey::open`]). What the agent says instead of values, such as why it gives
//! none, goes the same way ([`Signed::state`], [`OneTimeKey::read`]); only what isn't its applier's is refused in the open.
//!
//! Both pins are lists: to replace a key, add the new public key on the other side, swap the key file, remove the old one.

mod answer;
mod ask;
mod envelope;
mod frame;
mod keys;
mod statement;
#[cfg(test)]
mod tests;
mod window;

pub use answer::{OneTimeKey, Secrets};
pub use ask::{Signed, Verified, ask, ask_whether, verify};
pub use frame::{Form, SecretValue};
pub use keys::{
    AnswererKey, AnswererPublic, AskerKey, AskerPublic, KeyError, KeyTexts, generate, write_key,
};
pub use window::ReplayWindow;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;

type Kem = X25519HkdfSha256;
type Kdf = HkdfSha256;
type Aead = ChaCha20Poly1305;

/// What is signed begins with this, so that no other signature by the same key can be passed off as a question.
const SIGNED: &[u8] = b"towline.dev/v1 secret question\n";
/// HPKE's `info`: this protocol and no other.
const INFO: &[u8] = b"towline.dev/v1 secret answer";

/// Why a question can't be made, or an answer can't be made or opened. Never says anything of a value.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("{count} references are more than the {limit} that one request may have")]
    TooMany { count: usize, limit: usize },
    #[error("the values take {size} bytes, more than the {limit} that one answer may have")]
    TooLarge { size: usize, limit: usize },
    #[error("{values} values were given for {references} references")]
    Mismatch { values: usize, references: usize },
    #[error("cannot sign a question for secrets")]
    Sign(#[source] nkeys::error::Error),
    #[error("cannot encode a question for secrets")]
    Encode(#[source] serde_json::Error),
    #[error("cannot encrypt an answer")]
    Encrypt(#[source] hpke::HpkeError),
    #[error("the answer is for another request")]
    Retargeted,
    #[error("the answer is not readable as one")]
    Malformed,
    #[error("the answer does not come from a pinned secrets-agent, or was altered")]
    Forged,
}
