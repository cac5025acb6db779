//! HPKE in Auth mode, from the agent's static key to the one-time key of a question.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpke::{Deserializable as _, OpModeR, OpModeS, Serializable as _};
use zeroize::Zeroizing;

use super::frame::MAX_PLAINTEXT;
use super::keys::{AnswererKey, AnswererPublic};
use super::{Aead, INFO, Kdf, Kem, SealError};

/// The longest ciphertext that is read, in base64: the largest plaintext and its tag.
const MAX_CIPHERTEXT: usize = (MAX_PLAINTEXT + 16).div_ceil(3) * 4;

/// Both parts in base64.
pub(super) struct Envelope {
    pub(super) encapsulated: String,
    pub(super) ciphertext: String,
}

pub(super) fn close(
    from: &AnswererKey,
    to: &<Kem as hpke::Kem>::PublicKey,
    plaintext: &[u8],
    associated: &str,
) -> Result<Envelope, SealError> {
    let mode = OpModeS::Auth((from.secret.clone(), from.public.clone()));
    let (encapsulated, ciphertext) =
        hpke::single_shot_seal::<Aead, Kdf, Kem>(&mode, to, INFO, plaintext, associated.as_bytes())
            .map_err(SealError::Encrypt)?;
    Ok(Envelope {
        encapsulated: STANDARD.encode(encapsulated.to_bytes()),
        ciphertext: STANDARD.encode(ciphertext),
    })
}

/// What one of the pinned agents put in.
pub(super) fn open(
    key: &<Kem as hpke::Kem>::PrivateKey,
    pinned: &[AnswererPublic],
    encapsulated: &str,
    ciphertext: &str,
    associated: &str,
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    if ciphertext.len() > MAX_CIPHERTEXT {
        return Err(SealError::Malformed);
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| SealError::Malformed);
    let encapsulated = <Kem as hpke::Kem>::EncappedKey::from_bytes(&decode(encapsulated)?)
        .map_err(|_| SealError::Malformed)?;
    let ciphertext = decode(ciphertext)?;
    pinned
        .iter()
        .find_map(|agent| {
            hpke::single_shot_open::<Aead, Kdf, Kem>(
                &OpModeR::Auth(agent.0.clone()),
                key,
                &encapsulated,
                INFO,
                &ciphertext,
                associated.as_bytes(),
            )
            .ok()
        })
        .map(Zeroizing::new)
        .ok_or(SealError::Forged)
}
