//! Webhooks of every sender: what is taken, what is refused, and what no bytes may do.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod any_bytes;
mod payloads;
mod port;

use api::Sensitive;
use api::settings::{WebhookKey, WebhookSecrets};
use axum::http::{HeaderMap, StatusCode};
use payloads::{SECRET, Sent};
use serde_json::json;
use watcher::webhook::{Change, Head, Provider, Said, WebhookError, read};

/// Every key is set.
fn secrets() -> WebhookSecrets {
    WebhookSecrets::of(WebhookKey::ALL.map(|key| {
        let value = match key {
            WebhookKey::AzureDevOpsUser => "azure",
            _ => SECRET,
        };
        (key, Sensitive::new(value))
    }))
}

fn take(sent: &Sent, secrets: &WebhookSecrets) -> Result<Said, WebhookError> {
    let body = sent.bytes();
    let headers = sent.proven(&body, SECRET);
    let (provider, said) = read(Head::new(&headers, sent.query.as_deref()), &body, secrets);
    assert_eq!(provider, Some(sent.provider));
    said
}

fn changed(said: Result<Said, WebhookError>) -> Change {
    match said.unwrap() {
        Said::Changed(change) => change,
        Said::Nothing => panic!("nothing changed"),
    }
}

fn of(provider: Provider) -> Sent {
    let mut all = payloads::all().into_iter();
    all.find(|sent| sent.provider == provider).unwrap()
}

#[test]
fn a_good_one_of_each_sender_is_about_its_repository_and_no_other() {
    for sent in payloads::all() {
        let change = changed(take(&sent, &secrets()));
        assert!(change.is_about(sent.about, None), "{sent:?}: {change:?}");
        assert!(
            !change.is_about(&format!("{}-2", sent.about), None),
            "{sent:?}"
        );
        assert!(change.concerns(sent.concerns), "{sent:?}: {change:?}");
        assert!(
            !change.concerns("dev") && !change.concerns("7.0.0"),
            "{sent:?}"
        );
    }
}

#[test]
fn a_wrong_secret_is_refused_for_each_sender() {
    for sent in payloads::all() {
        let (headers, query) = sent.stranger(Some("a guess"));
        let head = Head::new(&headers, query.as_deref());
        let (provider, said) = read(head, &sent.bytes(), &secrets());
        assert_eq!(provider, Some(sent.provider));
        let error = said.expect_err(&format!("{sent:?}"));
        assert!(
            matches!(error, WebhookError::Mismatch { .. }),
            "{sent:?}: {error}"
        );
        assert_eq!(error.status(), StatusCode::UNAUTHORIZED);
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
}

#[test]
fn a_missing_secret_is_refused_for_each_sender() {
    for sent in payloads::all() {
        let (headers, query) = sent.stranger(None);
        // Its UUID is how Bitbucket Cloud is told at all.
        if sent.provider == Provider::Bitbucket {
            continue;
        }
        let head = Head::new(&headers, query.as_deref());
        let error = read(head, &sent.bytes(), &secrets()).1.unwrap_err();
        let is_right = match error {
            WebhookError::Unsigned { .. } => true,
            // GitHub's header, which a Gitea sends besides its own.
            WebhookError::Mismatch { .. } => sent.headers.contains_key("x-hub-signature-256"),
            _ => false,
        };
        assert!(is_right, "{sent:?}: {error}");
    }
}

#[test]
fn a_body_that_was_changed_on_the_way_is_refused_where_there_is_a_signature() {
    for sent in payloads::all() {
        let body = sent.bytes();
        let headers = sent.proven(&body, SECRET);
        let longer = [body.as_slice(), b" "].concat();
        let (_, said) = read(
            Head::new(&headers, sent.query.as_deref()),
            &longer,
            &secrets(),
        );
        let is_signed = headers != sent.headers;
        assert_eq!(said.is_err(), is_signed, "{sent:?}");
    }
}

#[test]
fn without_a_secret_in_argocd_secret_all_but_registries_without_signature_are_believed() {
    for sent in payloads::all() {
        let said = take(&sent, &WebhookSecrets::default());
        match sent.provider {
            Provider::Harbor | Provider::DockerHub => {
                assert!(
                    matches!(said, Err(WebhookError::NotConfigured(_))),
                    "{sent:?}"
                );
            }
            _ => assert!(matches!(said, Ok(Said::Changed(_))), "{sent:?}"),
        }
    }
}

#[test]
fn what_is_malformed_is_refused_for_each_sender() {
    for sent in payloads::all() {
        for body in [
            "",
            "{",
            "null",
            "[]",
            "7",
            "\"x\"",
            "{}",
            "{\"ref\":1}",
            "payload=",
            "\u{0}",
        ] {
            let headers = sent.proven(body.as_bytes(), SECRET);
            let head = Head::new(&headers, sent.query.as_deref());
            let (_, said) = read(head, body.as_bytes(), &secrets());
            // A system hook of another kind, and a package that isn't one.
            let is_nothing = said == Ok(Said::Nothing);
            assert!(said.is_err() || is_nothing, "{body}: {sent:?}: {said:?}");
        }
    }
}

#[test]
fn pings_and_events_of_other_kinds_are_answered_and_cause_nothing() {
    let cases = [
        of(Provider::GitHub)
            .header("x-github-event", "ping")
            .with(json!({"zen": "x"})),
        of(Provider::GitHub)
            .header("x-github-event", "issues")
            .with(json!({})),
        of(Provider::Ghcr).with(json!({"action": "published", "package": {"package_type": "npm"}})),
        of(Provider::GitLab).header("x-gitlab-event", "Issue Hook"),
        of(Provider::GitLab)
            .header("x-gitlab-event", "System Hook")
            .with(json!({"event_name": "user_create"})),
        of(Provider::Bitbucket).header("x-event-key", "repo:fork"),
        of(Provider::BitbucketServer)
            .header("x-event-key", "diagnostics:ping")
            .with(json!({"test": true})),
        of(Provider::BitbucketServer).header("x-event-key", "pr:opened"),
        of(Provider::Gitea).header("x-gitea-event", "issues"),
        of(Provider::Gogs).header("x-gogs-event", "fork"),
        of(Provider::AzureDevOps).with(json!({"eventType": "build.complete"})),
        of(Provider::Harbor).with(json!({"type": "PULL_ARTIFACT", "event_data": {}})),
    ];
    for sent in cases {
        assert_eq!(take(&sent, &secrets()), Ok(Said::Nothing), "{sent:?}");
    }
}

#[test]
fn the_ping_of_bitbucket_server_is_not_signed() {
    let headers: HeaderMap = [(
        "x-event-key".parse().unwrap(),
        "diagnostics:ping".parse().unwrap(),
    )]
    .into_iter()
    .collect();
    let (_, said) = read(Head::new(&headers, None), b"{\"test\":true}", &secrets());
    assert_eq!(said, Ok(Said::Nothing));
}

#[test]
fn a_header_that_is_there_twice_is_refused() {
    let sent = of(Provider::GitHub);
    let body = sent.bytes();
    let mut headers = sent.proven(&body, SECRET);
    headers.append("x-hub-signature-256", "sha256=00".parse().unwrap());
    let (_, said) = read(Head::new(&headers, None), &body, &secrets());
    assert_eq!(said, Err(WebhookError::Ambiguous("x-hub-signature-256")));
    headers.append("x-github-event", "ping".parse().unwrap());
    let (provider, said) = read(Head::new(&headers, None), &body, &secrets());
    assert_eq!(
        (provider, said),
        (None, Err(WebhookError::Ambiguous("x-github-event")))
    );
}

#[test]
fn gitea_has_a_secret_of_its_own_or_argo_cds_for_gogs() {
    let sent = of(Provider::Gitea);
    let of = |pairs: &[(WebhookKey, &str)]| {
        WebhookSecrets::of(
            pairs
                .iter()
                .map(|(key, value)| (*key, Sensitive::new(*value))),
        )
    };
    let (gogs, gitea) = (WebhookKey::Gogs, WebhookKey::Gitea);
    assert!(take(&sent, &of(&[(gogs, SECRET)])).is_ok());
    assert!(take(&sent, &of(&[(gogs, "other"), (gitea, SECRET)])).is_ok());
    assert!(take(&sent, &of(&[(gogs, SECRET), (gitea, "other")])).is_err());
    // Which of the names a sender takes is no way around a secret.
    let body = sent.bytes();
    let headers: HeaderMap = [("x-gogs-event".parse().unwrap(), "push".parse().unwrap())]
        .into_iter()
        .collect();
    let (_, said) = read(Head::new(&headers, None), &body, &of(&[(gogs, SECRET)]));
    assert!(matches!(said, Err(WebhookError::Unsigned { .. })));
}

#[test]
fn github_may_send_a_form_and_gogs_may_tell_of_a_tag_by_create() {
    let sent = of(Provider::GitHub);
    let form: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &sent.body.to_string())
        .finish();
    let headers = sent.proven(form.as_bytes(), SECRET);
    let (_, said) = read(Head::new(&headers, None), form.as_bytes(), &secrets());
    assert!(changed(said).is_about(sent.about, None));

    let mut body = of(Provider::Gogs).body;
    body["ref"] = json!("v1.4.2");
    body["ref_type"] = json!("tag");
    let created = of(Provider::Gogs)
        .header("x-gogs-event", "create")
        .with(body);
    assert!(changed(take(&created, &secrets())).concerns("1.x"));
}

#[test]
fn an_older_bitbucket_server_names_no_url() {
    let mut body = of(Provider::BitbucketServer).body;
    body["repository"]["links"] = json!(null);
    let change = changed(take(&of(Provider::BitbucketServer).with(body), &secrets()));
    assert!(change.is_about("ssh://git@anywhere:7999/acme/web.git", None));
    assert!(!change.is_about("ssh://git@anywhere:7999/acme/web2.git", None));
}

#[test]
fn every_reference_of_a_push_counts() {
    let mut body = of(Provider::BitbucketServer).body;
    body["changes"] = json!([{"refId": "refs/heads/a"}, {"ref": {"id": "refs/tags/v1.0.0"}}]);
    let change = changed(take(&of(Provider::BitbucketServer).with(body), &secrets()));
    assert!(change.concerns("a") && change.concerns("1.0") && !change.concerns("main"));
}
