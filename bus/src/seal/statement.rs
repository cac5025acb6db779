//! What the agent says instead of values, sealed like them, so that nobody else can say it.

use super::SealError;
use super::answer::OneTimeKey;
use super::ask::Signed;
use super::envelope;
use super::frame::MAX_PLAINTEXT;
use super::keys::{AnswererKey, AnswererPublic};
use crate::identity::Digest;
use crate::message::secret::{Stated, Statement};

impl Signed {
    /// Seals a statement for whoever asked.
    pub fn state(&self, key: &AnswererKey, statement: &Statement) -> Result<Stated, SealError> {
        let plaintext = serde_json::to_vec(statement).map_err(SealError::Encode)?;
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(SealError::TooLarge {
                size: plaintext.len(),
                limit: MAX_PLAINTEXT,
            });
        }
        let associated = associated(&self.digest);
        let envelope = envelope::close(key, &self.one_time, &plaintext, &associated)?;
        Ok(Stated {
            request: self.digest.clone(),
            encapsulated: envelope.encapsulated,
            ciphertext: envelope.ciphertext,
        })
    }
}

impl OneTimeKey {
    /// Opens a statement, which must come from one of the pinned agents.
    pub fn read(self, stated: &Stated, pinned: &[AnswererPublic]) -> Result<Statement, SealError> {
        if stated.request != self.request {
            return Err(SealError::Retargeted);
        }
        let plaintext = envelope::open(
            &self.secret,
            pinned,
            &stated.encapsulated,
            &stated.ciphertext,
            &associated(&self.request),
        )?;
        serde_json::from_slice(&plaintext).map_err(|_| SealError::Malformed)
    }
}

/// Binds a statement to its question, and tells it from values.
fn associated(request: &Digest) -> String {
    format!("{request} statement")
}
