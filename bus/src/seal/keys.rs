//! The static keys of both sides, and their forms as text: an `NKey` seed for signing, `x25519-secret:` for sealing.
//!
//! The forms differ between sides and between secret and public, so that a file in the wrong place is refused by name.

use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpke::{Deserializable as _, Kem as _, Serializable as _};
use nkeys::{KeyPair, KeyPairType};
use zeroize::Zeroizing;

use super::Kem;

const SECRET: &str = "x25519-secret:";
const PUBLIC: &str = "x25519:";
/// The longest key file that is read, in bytes.
const MAX_FILE: u64 = 1024;

/// Why a text or file is not the key it should be. Holds nothing of the text.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("not an applier's signing key: expected an NKey seed of kind service, `SV…`")]
    AskerSeed,
    #[error("not an applier's public key: expected an NKey of kind service, `V…`")]
    AskerPublic,
    #[error("not a secrets-agent's key: expected `{SECRET}` and 32 bytes in base64")]
    AnswererSecret,
    #[error("not a secrets-agent's public key: expected `{PUBLIC}` and 32 bytes in base64")]
    AnswererPublic,
    #[error("reading the key file {path}")]
    Read { path: String, source: io::Error },
    #[error("the key file {path} holds another key")]
    File {
        path: String,
        #[source]
        source: Box<KeyError>,
    },
    #[error("cannot make a key")]
    Generate(#[source] nkeys::error::Error),
}

/// The applier's static key: signs what it asks.
pub struct AskerKey(pub(super) KeyPair);

/// The public half, pinned at the agent.
#[derive(Clone)]
pub struct AskerPublic(pub(super) KeyPair);

/// The agent's static key: its answers come from it.
pub struct AnswererKey {
    pub(super) secret: <Kem as hpke::Kem>::PrivateKey,
    pub(super) public: <Kem as hpke::Kem>::PublicKey,
}

/// The public half, pinned at the applier.
#[derive(Clone, PartialEq, Eq)]
pub struct AnswererPublic(pub(super) <Kem as hpke::Kem>::PublicKey);

/// A new key pair as text: what goes into the key file, and what the other side pins.
pub struct KeyTexts {
    pub secret: Zeroizing<String>,
    pub public: String,
}

/// Makes a new pair for each side: (applier, secrets-agent).
pub fn generate() -> Result<(KeyTexts, KeyTexts), KeyError> {
    let asker = KeyPair::new_service();
    let asker = KeyTexts {
        secret: Zeroizing::new(asker.seed().map_err(KeyError::Generate)?),
        public: asker.public_key(),
    };
    let (secret, public) = Kem::gen_keypair();
    let secret = Zeroizing::new(<[u8; 32]>::from(secret.to_bytes()));
    let answerer = KeyTexts {
        secret: Zeroizing::new(format!(
            "{SECRET}{}",
            *Zeroizing::new(STANDARD.encode(*secret))
        )),
        public: AnswererPublic(public).to_string(),
    };
    Ok((asker, answerer))
}

/// Writes a key file that only its owner reads. An existing one is left alone: a key that others pinned is not lost by accident.
pub fn write_key(path: &Path, secret: &str) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(secret.as_bytes())?;
    file.write_all(b"\n")
}

impl AskerKey {
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        read(path, Self::from_seed)
    }

    pub fn from_seed(seed: &str) -> Result<Self, KeyError> {
        let pair = KeyPair::from_seed(seed).map_err(|_| KeyError::AskerSeed)?;
        if pair.key_pair_type() == KeyPairType::Service {
            Ok(Self(pair))
        } else {
            Err(KeyError::AskerSeed)
        }
    }
}

impl AnswererKey {
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        read(path, Self::from_secret)
    }

    pub fn from_secret(text: &str) -> Result<Self, KeyError> {
        let bytes = decode(text, SECRET).ok_or(KeyError::AnswererSecret)?;
        let secret = <Kem as hpke::Kem>::PrivateKey::from_bytes(&*bytes)
            .map_err(|_| KeyError::AnswererSecret)?;
        let public = Kem::sk_to_pk(&secret);
        Ok(Self { secret, public })
    }

    pub fn public(&self) -> AnswererPublic {
        AnswererPublic(self.public.clone())
    }
}

impl fmt::Debug for AskerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AskerKey(<redacted>)")
    }
}

impl fmt::Debug for AnswererKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnswererKey(<redacted>)")
    }
}

impl FromStr for AskerPublic {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = KeyPair::from_public_key(text.trim()).map_err(|_| KeyError::AskerPublic)?;
        if key.key_pair_type() == KeyPairType::Service {
            Ok(Self(key))
        } else {
            Err(KeyError::AskerPublic)
        }
    }
}

impl fmt::Display for AskerPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.public_key())
    }
}

impl fmt::Debug for AskerPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AnswererPublic {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = decode(text.trim(), PUBLIC).ok_or(KeyError::AnswererPublic)?;
        <Kem as hpke::Kem>::PublicKey::from_bytes(&*bytes)
            .map(Self)
            .map_err(|_| KeyError::AnswererPublic)
    }
}

impl fmt::Display for AnswererPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", STANDARD.encode(self.0.to_bytes()))
    }
}

impl fmt::Debug for AnswererPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn decode(text: &str, prefix: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(STANDARD.decode(text.strip_prefix(prefix)?).ok()?);
    let mut key = Zeroizing::new([0; 32]);
    (bytes.len() == key.len()).then(|| key.copy_from_slice(&bytes))?;
    Some(key)
}

fn read<K>(path: &Path, parse: impl FnOnce(&str) -> Result<K, KeyError>) -> Result<K, KeyError> {
    use std::io::Read as _;

    let shown = || path.display().to_string();
    let failed = |source| KeyError::Read {
        path: shown(),
        source,
    };
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE)
        .read_to_string(&mut text)
        .map_err(failed)?;
    parse(text.trim()).map_err(|source| KeyError::File {
        path: shown(),
        source: Box::new(source),
    })
}
