//! GitHub's push webhook: its signature, and what it says. Pure.

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use super::Change;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    #[error("the body is not signed, and argocd-secret has webhook.github.secret")]
    Unsigned,
    #[error("the signature does not fit the body")]
    Signature,
    #[error("the body is not a push that can be read")]
    Body,
    #[error("the push names no repository or reference")]
    Incomplete,
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "ref")]
    reference: Option<String>,
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    html_url: Option<String>,
    clone_url: Option<String>,
    ssh_url: Option<String>,
    git_url: Option<String>,
    url: Option<String>,
    default_branch: Option<String>,
}

/// Checks the value of `X-Hub-Signature-256` in constant time.
pub fn verify(secret: &str, signature: Option<&str>, body: &[u8]) -> Result<(), WebhookError> {
    let signature = signature.ok_or(WebhookError::Unsigned)?;
    let hex = signature
        .strip_prefix("sha256=")
        .ok_or(WebhookError::Signature)?;
    let expected = hex::decode(hex).map_err(|_| WebhookError::Signature)?;
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| WebhookError::Signature)?;
    mac.update(body);
    mac.verify_slice(&expected)
        .map_err(|_| WebhookError::Signature)
}

/// Reads a push event; the body is JSON, or a form with JSON in its field `payload`.
pub fn push(body: &[u8]) -> Result<Change, WebhookError> {
    let form = body.starts_with(b"payload=").then(|| {
        url::form_urlencoded::parse(body)
            .find(|(key, _)| key == "payload")
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    });
    let json = form.as_deref().map_or(body, str::as_bytes);
    let body: Body = serde_json::from_slice(json).map_err(|_| WebhookError::Body)?;
    let (Some(reference), Some(repository)) = (body.reference, body.repository) else {
        return Err(WebhookError::Incomplete);
    };
    let urls = [
        repository.html_url,
        repository.clone_url,
        repository.ssh_url,
        repository.git_url,
        repository.url,
    ];
    Change::push(
        urls.into_iter().flatten(),
        [reference],
        repository.default_branch,
    )
    .ok_or(WebhookError::Incomplete)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn sign(secret: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body);
        format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
    }

    fn body() -> Vec<u8> {
        serde_json::to_vec(&json!({
            "ref": "refs/heads/main",
            "after": "0",
            "repository": {"html_url": "https://h/a", "ssh_url": "git@h:a.git", "default_branch": "main"},
        }))
        .unwrap()
    }

    #[test]
    fn a_signature_fits_its_own_body_and_secret_only() {
        let signature = sign("s", &body());
        assert_eq!(verify("s", Some(&signature), &body()), Ok(()));
        assert_eq!(
            verify("t", Some(&signature), &body()),
            Err(WebhookError::Signature)
        );
        assert_eq!(
            verify("s", Some(&signature), b"{}"),
            Err(WebhookError::Signature)
        );
        assert_eq!(verify("s", None, &body()), Err(WebhookError::Unsigned));
        for odd in ["", "sha256=", "sha256=zz", "sha1=00", &signature[..20]] {
            assert_eq!(
                verify("s", Some(odd), &body()),
                Err(WebhookError::Signature),
                "{odd}"
            );
        }
    }

    #[test]
    fn a_push_is_read_from_json_and_from_a_form() {
        let push = super::push(&body()).unwrap();
        assert!(push.is_about("git@h:a.git", None) && push.concerns("main"));
        let form: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", std::str::from_utf8(&body()).unwrap())
            .finish();
        assert_eq!(super::push(form.as_bytes()).unwrap(), push);
    }

    #[test]
    fn what_is_no_push_is_refused() {
        for body in [
            "",
            "[]",
            "null",
            "{}",
            "payload=",
            r#"{"ref":"x","repository":{}}"#,
            r#"{"ref":1}"#,
        ] {
            assert!(super::push(body.as_bytes()).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_without_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = super::push(&body);
            let _ = verify("s", Some(&String::from_utf8_lossy(&body)), &body);
        }
    }
}
