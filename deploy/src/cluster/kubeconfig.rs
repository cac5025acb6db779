//! Kubeconfig files: the cluster's address and authority, and one user's token.
//! Whole in themselves, so that one can be handed to somebody else.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::keys::Keys;

/// The text of a kubeconfig. JSON, which is YAML that needs no quoting rules.
pub(super) fn text(url: &str, keys: &Keys, token: &SecretString) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "local",
            "cluster": {
                "server": url,
                "certificate-authority-data": BASE64_STANDARD.encode(keys.authority()),
            },
        }],
        "users": [{ "name": "local", "user": { "token": token.expose_secret() } }],
        "contexts": [{ "name": "local", "context": { "cluster": "local", "user": "local" } }],
        "current-context": "local",
    });
    format!("{config:#}\n")
}
