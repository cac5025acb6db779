use api::Sensitive;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use deploy::{Stack, StackOptions, VaultPart};
use prometheus::Registry;
use secrets_agent::VaultArgs;
use secrets_agent::backend::{Backend, BackendError, Document, Vault};
use secrets_agent::metrics::Metrics;
use secrets_agent::policy::SecretPath;
use serde_json::json;

use crate::setup::Root;

async fn start() -> (Stack, Root) {
    let options = StackOptions {
        vault: VaultPart::DevServer,
        ..StackOptions::default()
    };
    let stack = Stack::start(&options).await.unwrap();
    let root = Root::of(stack.vault.as_ref().unwrap());
    (stack, root)
}

fn connect(args: &VaultArgs) -> Vault {
    Vault::new(args, Metrics::new(&Registry::new()).unwrap()).unwrap()
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

async fn read(vault: &Vault, text: &str, version: Option<u64>) -> Result<Document, BackendError> {
    vault.read(&path(text), version).await
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
        vault.newest_version(&path("secret/data/team/a")).await,
        Ok(Some(2))
    );
    assert_eq!(vault.newest_version(&path("old/plain")).await, Ok(None));

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
async fn a_token_that_was_revoked_is_replaced_from_its_file() {
    let (stack, root) = start().await;
    root.put("secret/data/team/a", json!({"k": "v"})).await;
    let (first, second) = (
        root.token(&["secret/data/team/*"]).await,
        root.token(&["secret/data/team/*"]).await,
    );
    let file = stack.folder().join("token");
    std::fs::write(&file, format!("{first}\n")).unwrap();
    let vault = connect(&VaultArgs {
        vault_token_file: Some(file.clone()),
        ..root.args()
    });
    assert!(read(&vault, "secret/data/team/a", None).await.is_ok());
    root.post("auth/token/revoke", &json!({"token": first}))
        .await;
    let refused = read(&vault, "secret/data/team/a", None).await.unwrap_err();
    assert!(
        matches!(refused, BackendError::Denied { .. }),
        "{refused:?}"
    );
    std::fs::write(&file, &second).unwrap();
    assert!(read(&vault, "secret/data/team/a", None).await.is_ok());
    std::fs::remove_file(&file).unwrap();
    root.post("auth/token/revoke", &json!({"token": second}))
        .await;
    let gone = read(&vault, "secret/data/team/a", None).await.unwrap_err();
    assert!(matches!(gone, BackendError::Login { .. }), "{gone:?}");
    assert!(!format!("{gone:?}").contains(&second));
}

#[tokio::test]
async fn a_service_account_token_is_exchanged_and_again_when_vault_forgets_it() {
    let (stack, root) = start().await;
    root.put("secret/data/team/a", json!({"k": "v"})).await;
    root.token(&["secret/data/team/*"]).await;
    let issuer = nkeys::KeyPair::new_service();
    let (_, public) = nkeys::from_public_key(&issuer.public_key()).unwrap();
    root.post("sys/auth/jwt", &json!({"type": "jwt"})).await;
    root.post(
        "auth/jwt/config",
        &json!({"jwt_validation_pubkeys": [pem(&public)], "jwt_supported_algs": ["EdDSA"]}),
    )
    .await;
    root.post(
        "auth/jwt/role/agent",
        &json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": ["agent"], "token_ttl": "1h"}),
    )
    .await;
    let file = stack.folder().join("jwt");
    let args = VaultArgs {
        vault_jwt_role: Some("agent".to_owned()),
        vault_jwt_file: file.clone(),
        ..root.args()
    };
    std::fs::write(&file, jwt(&nkeys::KeyPair::new_service())).unwrap();
    let vault = connect(&args);
    let refused = read(&vault, "secret/data/team/a", None).await.unwrap_err();
    assert!(matches!(refused, BackendError::Login { .. }), "{refused:?}");
    std::fs::write(&file, jwt(&issuer)).unwrap();
    assert!(read(&vault, "secret/data/team/a", None).await.is_ok());
    root.post("sys/leases/revoke-prefix/auth/jwt/login", &json!({}))
        .await;
    assert!(read(&vault, "secret/data/team/a", None).await.is_ok());
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

fn pem(public: &[u8; 32]) -> String {
    let header = [
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
    ];
    let der = [&header[..], public].concat();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(der)
    )
}

fn jwt(issuer: &nkeys::KeyPair) -> String {
    let now = bus::clock::now_ms() / 1000;
    let claims = json!({"sub": "system:serviceaccount:towline:agent", "aud": "vault", "iat": now, "nbf": now - 5, "exp": now + 600});
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!(
        "{}.{}",
        part(&json!({"alg": "EdDSA", "typ": "JWT"})),
        part(&claims)
    );
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
