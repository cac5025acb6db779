//! An answer: sealed by the agent to the one-time key of a question, opened by the applier with it, once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpke::{Deserializable as _, OpModeR, OpModeS, Serializable as _};
use zeroize::Zeroizing;

use super::ask::Verified;
use super::frame::{self, MAX_PLAINTEXT, SecretValue};
use super::keys::{AnswererKey, AnswererPublic};
use super::{Aead, INFO, Kdf, Kem, SealError};
use crate::identity::Digest;
use crate::message::secret::{Reference, Sealed};

/// The longest ciphertext that is read, in base64: the largest plaintext and its tag.
const MAX_CIPHERTEXT: usize = (MAX_PLAINTEXT + 16).div_ceil(3) * 4;

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

impl Verified {
    /// Seals the values of the question's references, given in their order, with the version that each has at its backend. Only
    /// an optional reference may be without one.
    pub fn seal(
        &self,
        key: &AnswererKey,
        values: &[Option<&SecretValue>],
        versions: Vec<Option<u64>>,
    ) -> Result<Sealed, SealError> {
        let references = self.question.references.len();
        if values.len() != references || versions.len() != references {
            return Err(SealError::Mismatch {
                values: values.len(),
                references,
            });
        }
        if !complete(&self.question.references, values) {
            return Err(SealError::Mismatch {
                values: values.iter().flatten().count(),
                references,
            });
        }
        let plaintext = frame::write(values)?;
        let mode = OpModeS::Auth((key.secret.clone(), key.public.clone()));
        let associated = associated(&self.digest, &versions);
        let (encapsulated, ciphertext) = hpke::single_shot_seal::<Aead, Kdf, Kem>(
            &mode,
            &self.one_time,
            INFO,
            &plaintext,
            associated.as_bytes(),
        )
        .map_err(SealError::Encrypt)?;
        Ok(Sealed {
            request: self.digest.clone(),
            encapsulated: STANDARD.encode(encapsulated.to_bytes()),
            ciphertext: STANDARD.encode(ciphertext),
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
        if sealed.versions.len() != self.references.len()
            || sealed.ciphertext.len() > MAX_CIPHERTEXT
        {
            return Err(SealError::Malformed);
        }
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| SealError::Malformed);
        let encapsulated =
            <Kem as hpke::Kem>::EncappedKey::from_bytes(&decode(&sealed.encapsulated)?)
                .map_err(|_| SealError::Malformed)?;
        let ciphertext = decode(&sealed.ciphertext)?;
        let associated = associated(&self.request, &sealed.versions);
        let plaintext = pinned
            .iter()
            .find_map(|agent| {
                hpke::single_shot_open::<Aead, Kdf, Kem>(
                    &OpModeR::Auth(agent.0.clone()),
                    &self.secret,
                    &encapsulated,
                    INFO,
                    &ciphertext,
                    associated.as_bytes(),
                )
                .ok()
            })
            .map(Zeroizing::new)
            .ok_or(SealError::Forged)?;
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
