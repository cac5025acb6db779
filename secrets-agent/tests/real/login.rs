//! Getting a token, and keeping one, on a real Vault.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::Sensitive;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use deploy::Stack;
use prometheus::Registry;
use secrets_agent::VaultArgs;
use secrets_agent::backend::{Backend as _, BackendError, Vault};
use secrets_agent::metrics::Metrics;
use secrets_agent::policy::SecretPath;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::root::Root;
use crate::setup::soon;
use crate::vault::{connect, read, start};

/// A Vault connection whose requests are counted.
struct Counted {
    vault: Arc<Vault>,
    registry: Registry,
}

impl Counted {
    fn new(args: &VaultArgs) -> Self {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        Self {
            vault: Arc::new(Vault::new(args, metrics).unwrap().unwrap()),
            registry,
        }
    }

    /// How many requests of a kind Vault answered.
    fn count(&self, request: &str) -> u64 {
        let families = self.registry.gather();
        let series = families
            .iter()
            .filter(|family| family.name() == "towline_secrets_vault_request_seconds")
            .flat_map(prometheus::proto::MetricFamily::get_metric);
        series
            .filter(|metric| {
                let has = |value: &str| {
                    metric
                        .get_label()
                        .iter()
                        .any(|label| label.value() == value)
                };
                has(request) && has("answered")
            })
            .map(|metric| metric.get_histogram().get_sample_count())
            .sum()
    }

    async fn until(&self, request: &str, count: u64) {
        let reached = async {
            while self.count(request) < count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon(&format!("{count} × {request}"), reached).await;
    }

    fn keep(&self) -> JoinHandle<()> {
        let vault = Arc::clone(&self.vault);
        tokio::spawn(async move {
            let Ok(()) = vault.keep_logged_in(CancellationToken::new()).await;
        })
    }
}

async fn with_app_role(
    stack: &Stack,
    root: &Root,
    role: serde_json::Value,
) -> (VaultArgs, PathBuf) {
    root.put("secret/data/team/a", json!({"k": "v"})).await;
    root.allow(&["secret/data/team/*"]).await;
    let (role_id, secret_id) = root.app_role(role).await;
    let file = stack.folder().join("secret-id");
    std::fs::write(&file, &secret_id).unwrap();
    let args = VaultArgs {
        vault_approle_role_id: Some(role_id),
        vault_approle_secret_id_file: Some(file.clone()),
        ..root.args()
    };
    (args, file)
}

#[tokio::test]
async fn a_role_id_and_a_secret_id_are_exchanged_for_a_token() {
    let (stack, root) = start().await;
    let (args, file) = with_app_role(&stack, &root, json!({})).await;
    assert!(
        read(&connect(&args), "secret/data/team/a", None)
            .await
            .is_ok()
    );
    let nowhere = connect(&VaultArgs {
        vault_approle_mount: "nowhere".to_owned(),
        ..args.clone()
    });
    let secret = "11111111-2222-3333-4444-555555555555";
    std::fs::write(&file, secret).unwrap();
    for vault in [nowhere, connect(&args)] {
        let refused = read(&vault, "secret/data/team/a", None).await.unwrap_err();
        assert!(matches!(refused, BackendError::Login { .. }), "{refused:?}");
        assert!(!format!("{refused:?}").contains(secret));
    }
}

#[tokio::test]
async fn a_token_is_prolonged_and_replaced_when_it_may_live_no_longer() {
    let (stack, root) = start().await;
    let role = json!({"token_ttl": "2s", "token_max_ttl": "5s"});
    let (args, _) = with_app_role(&stack, &root, role).await;
    let agent = Counted::new(&args);
    let keeping = agent.keep();
    agent.until("renew", 1).await;
    assert_eq!(agent.count("login"), 1);
    agent.until("login", 2).await;
    assert!(read(&agent.vault, "secret/data/team/a", None).await.is_ok());
    assert_eq!(
        agent.count("login"),
        2,
        "the request met a token that lives"
    );
    keeping.abort();
}

#[tokio::test]
async fn a_token_that_others_made_lives_on_without_requests() {
    let (_stack, root) = start().await;
    root.put("secret/data/team/a", json!({"k": "v"})).await;
    root.allow(&["secret/data/team/*"]).await;
    let token = root
        .token_of(&json!({"policies": ["agent"], "period": "2s"}))
        .await;
    let agent = Counted::new(&VaultArgs {
        vault_token: Some(api::Sensitive::new(token)),
        ..root.args()
    });
    let keeping = agent.keep();
    agent.until("renew", 3).await;
    assert!(read(&agent.vault, "secret/data/team/a", None).await.is_ok());
    keeping.abort();
}

#[tokio::test]
async fn a_revoked_token_is_replaced_and_a_lacking_right_makes_no_more_tokens() {
    let (stack, root) = start().await;
    let (args, _) = with_app_role(&stack, &root, json!({})).await;
    let agent = Counted::new(&args);
    assert!(read(&agent.vault, "secret/data/team/a", None).await.is_ok());
    for _ in 0..3 {
        let refused = read(&agent.vault, "secret/data/bank/a", None)
            .await
            .unwrap_err();
        assert!(
            matches!(refused, BackendError::Denied { .. }),
            "{refused:?}"
        );
    }
    assert_eq!(agent.count("login"), 1);
    root.post("sys/leases/revoke-prefix/auth/approle/login", &json!({}))
        .await;
    assert!(read(&agent.vault, "secret/data/team/a", None).await.is_ok());
    assert_eq!(agent.count("login"), 2);
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

#[tokio::test]
async fn vault_itself_bounds_what_is_read_for_a_project() {
    let (_stack, root) = start().await;
    for project in ["shop", "bank"] {
        root.put(&format!("secret/data/{project}/a"), json!({"k": project}))
            .await;
        let policy = format!("path \"secret/data/{project}/*\" {{ capabilities = [\"read\"] }}");
        root.post(
            &format!("sys/policies/acl/{project}"),
            &json!({ "policy": policy }),
        )
        .await;
        root.post(
            &format!("auth/token/roles/towline-{project}"),
            &json!({"allowed_policies": [project], "token_no_default_policy": false, "token_explicit_max_ttl": "1h"}),
        )
        .await;
    }
    // The agent itself may read nothing.
    let policy = "path \"auth/token/create/towline-*\" { capabilities = [\"update\"] }";
    root.post("sys/policies/acl/agent", &json!({ "policy": policy }))
        .await;
    let own = root.token_of(&json!({"policies": ["agent"]})).await;
    let counted = Counted::new(&VaultArgs {
        vault_token: Some(Sensitive::new(&own)),
        vault_project_role: Some(project_role()),
        ..root.args()
    });
    let read = async |project: &str, of: &str| {
        let path = SecretPath::parse(&format!("secret/data/{of}/a")).unwrap();
        counted.vault.read(project, &path, None).await
    };
    for project in ["shop", "bank", "shop"] {
        let document = read(project, project).await.unwrap();
        assert_eq!(document.get("k").unwrap().expose(), project.as_bytes());
    }
    assert_eq!(counted.count("login"), 2, "one token for each project");
    for (project, of) in [("shop", "bank"), ("bank", "shop")] {
        let error = read(project, of).await.unwrap_err();
        assert!(
            matches!(error, BackendError::Denied { .. }),
            "{project}: {error:?}"
        );
    }
    let nobody = read("", "shop").await.unwrap_err();
    assert!(
        matches!(nobody, BackendError::Project { .. }),
        "the agent's own token is no project's: {nobody:?}"
    );
    let error = read("none", "shop").await.unwrap_err().to_string();
    assert!(
        error.contains("project `none`") && error.contains("towline-none"),
        "{error}"
    );
}

fn project_role() -> secrets_agent::ProjectRole {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        vault: VaultArgs,
    }
    let line = ["", "--vault-project-role", "towline-{project}"];
    let parsed: Line = clap::Parser::try_parse_from(line).unwrap();
    parsed.vault.vault_project_role.unwrap()
}
