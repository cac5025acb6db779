use api::Sensitive;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deploy::{Stack, StackOptions, VaultPart};
use prometheus::Registry;
use secrets_agent::VaultArgs;
use secrets_agent::backend::{Backend, BackendError, Document, Vault};
use secrets_agent::metrics::Metrics;
use secrets_agent::policy::SecretPath;
use serde_json::json;

use crate::root::Root;

pub(crate) async fn start() -> (Stack, Root) {
    let options = StackOptions {
        vault: VaultPart::DevServer,
        ..StackOptions::default()
    };
    let stack = Stack::start(&options).await.unwrap();
    let root = Root::of(stack.vault.as_ref().unwrap());
    (stack, root)
}

pub(crate) fn connect(args: &VaultArgs) -> Vault {
    Vault::new(args, Metrics::new(&Registry::new()).unwrap())
        .unwrap()
        .unwrap()
}

fn with_token(root: &Root, token: &str) -> Vault {
    connect(&VaultArgs {
        vault_token: Some(Sensitive::new(token)),
        ..root.args()
    })
}

fn path(text: &str) -> SecretPath {
    SecretPath::parse(text).unwrap()
}

pub(crate) async fn read(
    vault: &Vault,
    text: &str,
    version: Option<u64>,
) -> Result<Document, BackendError> {
    vault.read("", &path(text), version).await
}

fn value<'a>(document: &'a Document, key: &str) -> &'a str {
    std::str::from_utf8(document.get(key).unwrap().expose()).unwrap()
}

#[tokio::test]
async fn kv_is_read_in_both_versions_of_its_engine_with_no_right_but_to_read() {
    let (_stack, root) = start().await;
    root.put(
        "secret/data/team/a",
        json!({"k": "one", "n": 12, "o": {"x": true}}),
    )
    .await;
    root.put("secret/data/team/a", json!({"k": "two\nlines"}))
        .await;
    root.post(
        "sys/mounts/old",
        &json!({"type": "kv", "options": {"version": "1"}}),
    )
    .await;
    root.post("old/plain", &json!({"k": "v1"})).await;
    let token = root
        .token(&["secret/data/team/*", "secret/metadata/team/*", "old/*"])
        .await;
    let vault = with_token(&root, &token);

    let newest = read(&vault, "secret/data/team/a", None).await.unwrap();
    assert_eq!(
        (newest.version, value(&newest, "k")),
        (Some(2), "two\nlines")
    );
    let first = read(&vault, "secret/data/team/a", Some(1)).await.unwrap();
    assert_eq!(
        (first.version, value(&first, "k"), value(&first, "n")),
        (Some(1), "one", "12")
    );
    assert_eq!(value(&first, "o"), r#"{"x":true}"#);
    let plain = read(&vault, "old/plain", None).await.unwrap();
    assert_eq!((plain.version, value(&plain, "k")), (None, "v1"));
    assert_eq!(
        vault.newest_version("", &path("secret/data/team/a")).await,
        Ok(Some(2))
    );
    assert_eq!(vault.newest_version("", &path("old/plain")).await, Ok(None));
    for (short, api) in [
        ("secret/team/a", "secret/data/team/a"),
        ("old/plain", "old/plain"),
    ] {
        assert_eq!(vault.api_path("", &path(short)).await, Ok(path(api)));
    }
    let odd = "secret/data/team/a-b_c.d~e@f:g+h=i,j";
    root.put(odd, json!({"k": "odd"})).await;
    let document = read(&vault, odd, None).await.unwrap();
    assert_eq!(value(&document, "k"), "odd");
    assert_eq!(vault.newest_version("", &path(odd)).await, Ok(Some(1)));

    root.post("secret/delete/team/a", &json!({"versions": [2]}))
        .await;
    for (text, version) in [
        ("secret/data/team/none", None),
        ("secret/data/team/a", None),
        ("secret/data/team/a", Some(2)),
        ("secret/data/team/a", Some(9)),
        ("old/none", None),
    ] {
        let error = read(&vault, text, version).await.unwrap_err();
        assert!(
            matches!(error, BackendError::NoPath { .. }),
            "{text} {version:?}: {error:?}"
        );
    }
    let misspelled = read(&vault, "secret/team/a", None).await.unwrap_err();
    assert!(
        misspelled.to_string().contains("<mount>/data/<path>"),
        "{misspelled}"
    );
    for other in ["secret/data/bank/a", "nowhere/data/x"] {
        let error = read(&vault, other, None).await.unwrap_err();
        assert!(
            matches!(error, BackendError::Denied { .. }),
            "{other}: {error:?}"
        );
    }
    let value = newest.get("k").unwrap();
    assert!(!format!("{newest:?} {value:?}").contains("lines"));
}

#[tokio::test]
async fn any_engine_that_answers_a_get_is_read_and_transit_decrypts() {
    let (_stack, root) = start().await;
    for kind in ["pki", "transit"] {
        root.post(&format!("sys/mounts/{kind}"), &json!({"type": kind}))
            .await;
    }
    root.post(
        "pki/root/generate/internal",
        &json!({"common_name": "test root"}),
    )
    .await;
    for key in ["shop", "bank"] {
        root.post(&format!("transit/keys/{key}"), &json!({})).await;
    }
    let encrypted = root
        .post(
            "transit/encrypt/shop",
            &json!({"plaintext": STANDARD.encode("s3cret\nlines")}),
        )
        .await;
    let ciphertext = encrypted["data"]["ciphertext"].as_str().unwrap();
    root.post(
        "sys/policies/acl/agent",
        &json!({"policy": "path \"pki/cert/ca\" { capabilities = [\"read\"] }
            path \"transit/decrypt/*\" { capabilities = [\"update\"] }"}),
    )
    .await;
    let token = root.token_of(&json!({"policies": ["agent"]})).await;
    let vault = with_token(&root, &token);

    let authority = read(&vault, "pki/cert/ca", None).await.unwrap();
    assert!(value(&authority, "certificate").starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(authority.version, None);
    assert_eq!(
        vault.newest_version("", &path("pki/cert/ca")).await,
        Ok(None)
    );
    let plain = vault
        .decrypt("", &path("transit/decrypt/shop"), ciphertext)
        .await
        .unwrap();
    assert_eq!(plain.expose(), b"s3cret\nlines");

    for (text, encrypted) in [
        ("transit/decrypt/bank", ciphertext),
        ("transit/decrypt/none", ciphertext),
        ("transit/decrypt/shop", "vault:v1:AAAA"),
        ("transit/encrypt/shop", ciphertext),
        ("pki/cert/ca", ciphertext),
        ("secret/data/team/a", ciphertext),
    ] {
        let error = vault.decrypt("", &path(text), encrypted).await.unwrap_err();
        let is_told = matches!(
            error,
            BackendError::Unreadable { .. } | BackendError::Denied { .. }
        );
        assert!(is_told, "{text}: {error:?}");
    }
    let error = read(&vault, "pki/cert/ca", Some(1)).await.unwrap_err();
    assert!(
        matches!(error, BackendError::Unreadable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_vault_that_is_sealed_or_gone_is_told_as_that() {
    let (mut stack, root) = start().await;
    root.put("secret/data/team/a", json!({"k": "v"})).await;
    let token = root.token(&["secret/data/team/*"]).await;
    let vault = with_token(&root, &token);
    assert!(read(&vault, "secret/data/team/a", None).await.is_ok());
    root.post("sys/seal", &json!({})).await;
    assert_eq!(
        read(&vault, "secret/data/team/a", None).await.unwrap_err(),
        BackendError::Sealed
    );
    stack.vault.as_mut().unwrap().kill().await;
    let gone = read(&vault, "secret/data/team/a", None).await.unwrap_err();
    assert!(matches!(gone, BackendError::Unreachable { .. }), "{gone:?}");
}
