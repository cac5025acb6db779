//! The key of this cluster's digests over resolved objects: compares without keeping, and can't be guessed against.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rand::Rng;
use serde_json::json;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::StoreError;
use crate::cluster::{ApiKind, Cluster};
use crate::object::Key;

const NAME: &str = "towline-digest-key";

pub(crate) struct DigestKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<redacted>")
    }
}

impl DigestKey {
    /// The cluster's key, made at first use.
    pub(crate) async fn load(cluster: &Cluster, namespace: &str) -> Result<Self, StoreError> {
        let kind = ApiKind::core("Secret", "secrets", true);
        let key = Key::new("", "Secret", namespace, NAME);
        // Twice: another process may make it between the two requests.
        for _ in 0..2 {
            let found = cluster
                .get_whole(&kind, &key)
                .await
                .map_err(|source| StoreError::Key { source })?;
            if let Some(object) = found {
                let bytes = object["data"]["key"]
                    .as_str()
                    .and_then(|text| STANDARD.decode(text).ok())
                    .map(Zeroizing::new);
                let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
                return bytes
                    .map(|bytes| Self(Zeroizing::new(bytes)))
                    .ok_or(StoreError::KeyMalformed);
            }
            let mut fresh = Zeroizing::new([0_u8; 32]);
            rand::rng().fill_bytes(fresh.as_mut());
            let body = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME, "namespace": namespace},
                "data": {"key": STANDARD.encode(fresh.as_ref())},
            });
            match cluster
                .create(&kind, &key, Zeroizing::new(body.to_string().into_bytes()))
                .await
            {
                Ok(_) => return Ok(Self(fresh)),
                Err(error) if error.is_conflict() => {}
                Err(source) => return Err(StoreError::Key { source }),
            }
        }
        Err(StoreError::KeyMalformed)
    }

    /// 32 hexadecimal digits.
    pub(crate) fn digest(&self, body: &[u8]) -> Box<str> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.as_ref()) else {
            unreachable!("HMAC takes a key of any length")
        };
        mac.update(body);
        hex::encode(&mac.finalize().into_bytes()[..16]).into()
    }
}
