//! No bytes make a panic or take long: arbitrary ones, arbitrary JSON, and good webhooks with something changed in them.
//!
//! `PROPTEST_CASES` says how many of each; the bounds on time hold for each case.

use std::sync::LazyLock;
use std::time::Duration;

use api::settings::WebhookSecrets;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use nix::sys::resource::{UsageWho, getrusage};
use proptest::prelude::*;
use serde_json::{Value, json};
use watcher::webhook::{Head, Said, read};

use super::payloads::{self, SECRET, Sent};
use super::secrets;

/// Far more than any case of this size takes.
const LONG: Duration = Duration::from_secs(2);

static GOOD: LazyLock<Vec<Sent>> = LazyLock::new(payloads::all);

const HEADERS: [&str; 18] = [
    "x-github-event",
    "x-hub-signature-256",
    "x-hub-signature",
    "x-gitlab-event",
    "x-gitlab-token",
    "x-hook-uuid",
    "x-event-key",
    "x-gogs-event",
    "x-gogs-signature",
    "x-gitea-event",
    "x-gitea-signature",
    "x-forgejo-event",
    "x-forgejo-signature",
    "x-vss-activityid",
    "authorization",
    "content-type",
    "x-github-delivery",
    "user-agent",
];

fn header_value() -> impl Strategy<Value = HeaderValue> {
    let known = prop::sample::select(vec![
        "push",
        "package",
        "registry_package",
        "create",
        "Push Hook",
        "Tag Push Hook",
        "System Hook",
        "repo:push",
        "repo:refs_changed",
        "diagnostics:ping",
        "sha256=00",
        "Basic YTpi",
        "Basic !",
        SECRET,
    ]);
    prop_oneof![
        4 => known.prop_map(HeaderValue::from_static),
        1 => prop::collection::vec(any::<u8>(), 0..40)
            .prop_map(|bytes| {
                HeaderValue::from_bytes(&bytes).unwrap_or(HeaderValue::from_static("x"))
            }),
    ]
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let one = (prop::sample::select(HEADERS.to_vec()), header_value());
    prop::collection::vec(one, 0..5).prop_map(|pairs| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    })
}

/// Values made of the words that the senders use.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "refs/heads/main",
            "refs/tags/v1",
            "https://h/a",
            "git@h:a/b.git",
            "git.push",
            "PUSH_ARTIFACT",
            "published",
            "container",
            "//",
            "oci://[::1]:x/",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let key = prop::sample::select(vec![
            "ref", "refs", "ref_type", "repository", "project", "push", "changes", "new", "old", "name",
            "type", "links", "html", "href", "clone", "resource", "refUpdates", "eventType", "remoteUrl",
            "defaultBranch", "event_data", "data", "resources", "resource_url", "tag", "push_data",
            "repo_name", "package", "registry_package", "package_type", "package_version", "package_url",
            "container_metadata", "action", "owner", "login", "slug", "key", "web_url", "clone_url",
            "specversion", "object_kind", "default_branch",
        ]);
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            3 => prop::collection::vec((key, inner), 0..6).prop_map(|pairs| {
                Value::Object(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

/// What this thread has worked: a busy machine is nobody's fault.
fn worked() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    let time = usage.user_time();
    let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
    Duration::from_micros(u64::try_from(micros).unwrap())
}

fn survives(headers: &HeaderMap, query: Option<&str>, body: &[u8]) {
    let begun = worked();
    for secrets in [secrets(), WebhookSecrets::default()] {
        let (_, said) = read(Head::new(headers, query), body, &secrets);
        if let Ok(Said::Changed(change)) = said {
            for target in ["", "HEAD", "main", "^1.0", "é"] {
                let _ = change.concerns(target);
            }
            let _ = (
                change.is_about("https://h/a", Some("b")),
                change.place().len(),
            );
        }
    }
    let took = worked().saturating_sub(begun);
    assert!(took < LONG, "took {took:?}");
}

proptest! {
    #[test]
    fn arbitrary_bytes(
        headers in headers(),
        query in prop::option::of("\\PC{0,20}"),
        body in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        survives(&headers, query.as_deref(), &body);
    }

    #[test]
    fn arbitrary_json(headers in headers(), body in value()) {
        survives(&headers, None, body.to_string().as_bytes());
    }

    #[test]
    fn good_ones_with_a_value_replaced(
        which in any::<prop::sample::Index>(),
        path in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        put in value(),
    ) {
        let mut sent = which.get(&GOOD).clone();
        replace(&mut sent.body, &path, put);
        let body = sent.bytes();
        survives(&sent.proven(&body, SECRET), sent.query.as_deref(), &body);
    }

    #[test]
    fn good_ones_with_bytes_changed(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let sent = which.get(&GOOD);
        let mut body = sent.bytes();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if cut {
            body.truncate(end.index(body.len()));
        }
        survives(&sent.proven(&body, SECRET), sent.query.as_deref(), &body);
    }
}

/// Puts a value somewhere into another.
fn replace(value: &mut Value, path: &[prop::sample::Index], put: Value) {
    let Some((first, rest)) = path.split_first() else {
        *value = put;
        return;
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let at = first.index(map.len());
            if let Some(inner) = map.values_mut().nth(at) {
                replace(inner, rest, put);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let at = first.index(list.len());
            replace(&mut list[at], rest, put);
        }
        _ => *value = put,
    }
}

#[test]
fn a_body_of_a_hundred_thousand_levels_is_read_or_refused_at_once() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for sent in payloads::all() {
        let good = sent.body.to_string();
        // Where nobody looks, and in place of something that is read.
        let aside = format!("{},\"aside\":{deep}}}", good.trim_end_matches('}'));
        let instead = good
            .replace("\"web\"", &deep)
            .replace("\"refs/heads/main\"", &deep);
        for body in [
            &aside,
            &instead,
            &deep,
            &format!("{{\"push_data\":{deep}}}"),
        ] {
            survives(
                &sent.proven(body.as_bytes(), SECRET),
                sent.query.as_deref(),
                body.as_bytes(),
            );
        }
    }
}

#[test]
fn a_push_of_a_hundred_thousand_references_is_read_at_once() {
    let changes: Vec<Value> = (0..100_000)
        .map(|number| json!({"refId": format!("refs/heads/{number}")}))
        .collect();
    let mut sent = super::of(watcher::webhook::Provider::BitbucketServer);
    sent.body["changes"] = changes.into();
    let body = sent.bytes();
    survives(&sent.proven(&body, SECRET), None, &body);
}
