//! Whether a webhook comes from whom it says: signatures and shared values, compared in constant time.
//!
//! A key that argocd-secret doesn't have is not asked for, as in Argo CD: all that a webhook can cause is one look at a repository
//! that is looked at anyway. Registries without a header or a signature of their own are the exception.

use api::Sensitive;
use api::settings::{WebhookKey, WebhookSecret, WebhookSecrets};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::error::WebhookError;

/// The secret to check with, if there is one.
pub(super) fn secret(
    secrets: &WebhookSecrets,
    key: WebhookKey,
) -> Result<Option<&Sensitive>, WebhookError> {
    match secrets.get(key) {
        WebhookSecret::Absent => Ok(None),
        WebhookSecret::Is(secret) => Ok(Some(secret)),
        WebhookSecret::Unusable => Err(WebhookError::Unusable(key)),
    }
}

/// The secret of a sender that is not believed without.
pub(super) fn required(
    secrets: &WebhookSecrets,
    key: WebhookKey,
) -> Result<&Sensitive, WebhookError> {
    secret(secrets, key)?.ok_or(WebhookError::NotConfigured(key))
}

/// Checks a hexadecimal HMAC-SHA256 of the body.
pub(super) fn signature(
    (key, secret): (WebhookKey, &Sensitive),
    what: &'static str,
    hex: Option<&str>,
    body: &[u8],
) -> Result<(), WebhookError> {
    let hex = hex.ok_or(WebhookError::Unsigned { what, key })?;
    let mismatch = WebhookError::Mismatch { what, key };
    let signature = hex::decode(hex).map_err(|_| mismatch)?;
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).map_err(|_| mismatch)?;
    mac.update(body);
    mac.verify_slice(&signature).map_err(|_| mismatch)
}

/// Checks a value that the sender was given.
pub(super) fn value(
    (key, secret): (WebhookKey, &Sensitive),
    what: &'static str,
    given: Option<&str>,
) -> Result<(), WebhookError> {
    let given = given.ok_or(WebhookError::Unsigned { what, key })?;
    if same(given, secret.expose()) {
        Ok(())
    } else {
        Err(WebhookError::Mismatch { what, key })
    }
}

/// In a time that says neither where two texts differ nor how long the secret is.
fn same(given: &str, secret: &str) -> bool {
    Sha256::digest(given).ct_eq(&Sha256::digest(secret)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: WebhookKey = WebhookKey::GitHub;

    #[test]
    fn a_signature_fits_its_own_body_and_secret_only() {
        let secret = Sensitive::new("It's a Secret to Everybody");
        // The example of GitHub's documentation.
        let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let check = |hex: Option<&str>, body: &[u8]| signature((KEY, &secret), "x", hex, body);
        assert_eq!(check(Some(hex), b"Hello, World!"), Ok(()));
        let mismatch = Err(WebhookError::Mismatch {
            what: "x",
            key: KEY,
        });
        assert_eq!(check(Some(hex), b"Hello, World?"), mismatch);
        for odd in ["", "zz", "00", &hex[..62], &hex[..63]] {
            assert_eq!(check(Some(odd), b"Hello, World!"), mismatch, "{odd}");
        }
        let unsigned = Err(WebhookError::Unsigned {
            what: "x",
            key: KEY,
        });
        assert_eq!(check(None, b"Hello, World!"), unsigned);
    }

    #[test]
    fn a_value_is_the_same_or_not() {
        let secret = Sensitive::new("abc");
        let check = |given| value((KEY, &secret), "x", given);
        assert_eq!(check(Some("abc")), Ok(()));
        for odd in ["", "ab", "abcd", "ABC"] {
            assert!(check(Some(odd)).is_err(), "{odd}");
        }
        assert!(check(None).is_err());
    }
}
