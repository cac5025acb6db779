//! An answer: sealed by the agent to the one-time key of a question, opened by the applier with it, once.

use super::ask::Verified;
use super::envelope;
use super::frame::{self, SecretValue};
use super::keys::{AnswererKey, AnswererPublic};
use super::{Kem, SealError};
use crate::identity::Digest;
use crate::message::secret::{Reference, Sealed};

/// Opens the one answer to one request. Its secret half never leaves the process, and goes when it was used.
pub struct OneTimeKey {
    pub(super) secret: <Kem as hpke::Kem>::PrivateKey,
    pub(super) request: Digest,
    pub(super) references: Vec<Reference>,
}

/// The values of one request, by reference.
#[derive(Debug)]
pub struct Secrets {
    /// Sorted by reference.
    values: Vec<(Reference, Option<SecretValue>)>,
    versions: Vec<Option<u64>>,
}

impl Verified<'_> {
    /// Seals the values of the question's references, given in their order, with the version that each has at its backend. Only
    /// an optional reference may be without one.
    pub fn seal(
        &self,
        key: &AnswererKey,
        values: &[Option<&SecretValue>],
        versions: Vec<Option<u64>>,
    ) -> Result<Sealed, SealError> {
        let question = self.question();
        let references = question.references.len();
        if values.len() != references || versions.len() != references {
            return Err(SealError::Mismatch {
                values: values.len(),
                references,
            });
        }
        if !complete(&question.references, values) {
            return Err(SealError::Mismatch {
                values: values.iter().flatten().count(),
                references,
            });
        }
        let plaintext = frame::write(values)?;
        let signed = self.signed();
        let associated = associated(&signed.digest, &versions);
        let envelope = envelope::close(key, &signed.one_time, &plaintext, &associated)?;
        Ok(Sealed {
            request: signed.digest.clone(),
            encapsulated: envelope.encapsulated,
            ciphertext: envelope.ciphertext,
            versions,
        })
    }
}

impl OneTimeKey {
    /// Digest of the question that it was made for.
    pub fn request(&self) -> &Digest {
        &self.request
    }

    /// Opens the answer, which must come from one of the pinned agents.
    pub fn open(self, sealed: &Sealed, pinned: &[AnswererPublic]) -> Result<Secrets, SealError> {
        if sealed.request != self.request {
            return Err(SealError::Retargeted);
        }
        if sealed.versions.len() != self.references.len() {
            return Err(SealError::Malformed);
        }
        let plaintext = envelope::open(
            &self.secret,
            pinned,
            &sealed.encapsulated,
            &sealed.ciphertext,
            &associated(&self.request, &sealed.versions),
        )?;
        let values = frame::read(&plaintext, self.references.len()).ok_or(SealError::Malformed)?;
        let given: Vec<_> = values.iter().map(Option::as_ref).collect();
        if !complete(&self.references, &given) {
            return Err(SealError::Malformed);
        }
        Ok(Secrets {
            values: self.references.into_iter().zip(values).collect(),
            versions: sealed.versions.clone(),
        })
    }
}

impl Secrets {
    pub fn get(&self, reference: &Reference) -> Option<&SecretValue> {
        let at = self
            .values
            .binary_search_by(|(known, _)| known.cmp(reference))
            .ok()?;
        self.values[at].1.as_ref()
    }

    /// The version of what was read for a reference, whether or not the key was there.
    pub fn version(&self, reference: &Reference) -> Option<u64> {
        let at = self
            .values
            .binary_search_by(|(known, _)| known.cmp(reference))
            .ok()?;
        self.versions[at]
    }

    /// Every reference that has a value, with it and the version that it has, sorted by reference.
    pub fn iter(&self) -> impl Iterator<Item = (&Reference, &SecretValue, Option<u64>)> {
        self.values
            .iter()
            .zip(&self.versions)
            .filter_map(|((reference, value), version)| {
                Some((reference, value.as_ref()?, *version))
            })
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// Whether whatever has to have a value has one.
fn complete(references: &[Reference], values: &[Option<&SecretValue>]) -> bool {
    references
        .iter()
        .zip(values)
        .all(|(reference, value)| reference.optional || value.is_some())
}

/// Binds the answer to its question, and the versions, which travel in plain text, to the answer.
fn associated(request: &Digest, versions: &[Option<u64>]) -> String {
    let mut text = request.to_string();
    for version in versions {
        text.push(' ');
        text.push_str(&version.map_or_else(|| "-".to_owned(), |version| version.to_string()));
    }
    text
}
