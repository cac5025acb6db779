use serde_json::{Value, json};

use super::*;

fn at(text: &str) -> u64 {
    let time: jiff::Timestamp = text.parse().unwrap();
    u64::try_from(time.as_millisecond()).unwrap()
}

fn windows(list: Value) -> Vec<SyncWindow> {
    serde_json::from_value(list).unwrap()
}

fn spec(destination: &Value) -> ApplicationSpec {
    serde_json::from_value(json!({"destination": destination})).unwrap()
}

fn ask(list: Value, who: Who, begun: Option<&str>, now: &str) -> Verdict {
    let spec = spec(&json!({"server": "https://edge:6443", "namespace": "shop"}));
    let asked = Asked {
        name: "web",
        spec: &spec,
        who,
        begun: begun.map(at),
    };
    verdict(&windows(list), asked, at(now))
}

fn nightly(kind: &str, more: &Value) -> Value {
    let mut window =
        json!({"kind": kind, "schedule": "0 22 * * *", "duration": "2h", "applications": ["*"]});
    for (key, value) in more.as_object().unwrap() {
        window[key] = value.clone();
    }
    json!([window])
}

fn is_open(list: Value, now: &str) -> bool {
    ask(list, Who::Automation, None, now) == Verdict::Open
}

#[test]
fn without_windows_everything_is_open() {
    assert!(is_open(json!([]), "2026-03-01T12:00:00Z"));
}

#[test]
fn a_window_that_denies_is_closed_from_its_start_until_its_duration_is_over() {
    let deny = || nightly("deny", &json!({}));
    for (now, open) in [
        ("2026-03-01T21:59:59Z", true),
        ("2026-03-01T22:00:00Z", false),
        ("2026-03-01T23:59:59Z", false),
        ("2026-03-02T00:00:00Z", true),
    ] {
        assert_eq!(is_open(deny(), now), open, "{now}");
    }
}

#[test]
fn a_window_that_allows_is_the_only_time_that_is_open() {
    let allow = || nightly("allow", &json!({}));
    assert!(!is_open(allow(), "2026-03-01T21:59:00Z"));
    assert!(is_open(allow(), "2026-03-01T22:30:00Z"));
    assert!(!is_open(allow(), "2026-03-02T00:00:00Z"));
}

#[test]
fn what_is_closed_says_which_window_and_until_when() {
    let window = nightly("deny", &json!({"description": "CHG-7"}));
    let Verdict::Closed { why, again } = ask(window, Who::Automation, None, "2026-03-01T22:30:00Z")
    else {
        panic!("open")
    };
    assert_eq!(
        why,
        "sync window \"0 22 * * *\" for 2h in UTC (CHG-7) denies it, until 2026-03-02 00:00 UTC"
    );
    assert_eq!(again, Some(at("2026-03-02T00:00:00Z")));
}

#[test]
fn the_next_opening_counts_all_windows() {
    let list = json!([
        {"kind": "allow", "schedule": "0 22 * * *", "duration": "2h", "applications": ["*"]},
        {"kind": "deny", "schedule": "0 21 * * *", "duration": "90m", "applications": ["*"]},
    ]);
    let Verdict::Closed { again, .. } = ask(list, Who::Automation, None, "2026-03-01T12:00:00Z")
    else {
        panic!("open")
    };
    assert_eq!(again, Some(at("2026-03-01T22:30:00Z")));
}

#[test]
fn denying_wins_over_allowing() {
    let list = json!([
        {"kind": "allow", "schedule": "* * * * *", "duration": "1h", "applications": ["*"]},
        {"kind": "deny", "schedule": "0 22 * * *", "duration": "2h", "applications": ["*"]},
    ]);
    assert!(!is_open(list.clone(), "2026-03-01T22:30:00Z"));
    assert!(is_open(list, "2026-03-01T12:30:00Z"));
}

#[test]
fn people_pass_where_every_window_in_the_way_lets_them() {
    for kind in ["deny", "allow"] {
        let now = if kind == "deny" {
            "2026-03-01T22:30:00Z"
        } else {
            "2026-03-01T12:00:00Z"
        };
        let manual = || nightly(kind, &json!({"manualSync": true}));
        assert_eq!(ask(manual(), Who::Person, None, now), Verdict::Open);
        assert_ne!(ask(manual(), Who::Automation, None, now), Verdict::Open);
        assert_ne!(
            ask(nightly(kind, &json!({})), Who::Person, None, now),
            Verdict::Open
        );
    }
}

#[test]
fn a_release_that_began_in_time_goes_on_only_with_overrun() {
    let now = "2026-03-01T22:30:00Z";
    let begun = Some("2026-03-01T21:59:00Z");
    let overrun = || nightly("deny", &json!({"syncOverrun": true}));
    assert_eq!(ask(overrun(), Who::Automation, begun, now), Verdict::Open);
    assert_ne!(
        ask(nightly("deny", &json!({})), Who::Automation, begun, now),
        Verdict::Open
    );
    // One that began when it wasn't allowed doesn't.
    let late = Some("2026-03-01T22:10:00Z");
    assert_ne!(ask(overrun(), Who::Automation, late, now), Verdict::Open);
    let allow = nightly("allow", &json!({"syncOverrun": true}));
    assert_eq!(
        ask(
            allow,
            Who::Automation,
            Some("2026-03-01T23:59:00Z"),
            "2026-03-02T00:30:00Z"
        ),
        Verdict::Open
    );
}

#[test]
fn a_schedule_is_read_in_its_time_zone_through_the_change_of_clocks() {
    let berlin = || nightly("deny", &json!({"timeZone": "Europe/Berlin"}));
    // Winter: UTC+1; summer: UTC+2.
    assert!(!is_open(berlin(), "2026-01-10T21:00:00Z"));
    assert!(is_open(berlin(), "2026-01-10T20:59:00Z"));
    assert!(!is_open(berlin(), "2026-07-10T20:00:00Z"));
    assert!(is_open(berlin(), "2026-07-10T22:00:00Z"));
    // A zone that isn't known is UTC.
    let nowhere = nightly("deny", &json!({"timeZone": "Mars/Olympus"}));
    assert!(!is_open(nowhere, "2026-01-10T22:00:00Z"));
}

#[test]
fn a_window_that_cannot_be_read_closes_and_is_named() {
    for (broken, sign) in [
        (json!({"schedule": "0 22 * *"}), "0 22 * *"),
        (json!({"schedule": "@daily"}), "@daily"),
        (json!({"schedule": "61 22 * * *"}), "61 22"),
        (json!({"duration": "soon"}), "soon"),
        (json!({"kind": "maybe"}), "maybe"),
    ] {
        let verdict = ask(
            nightly("deny", &broken),
            Who::Automation,
            None,
            "2026-03-01T12:00:00Z",
        );
        assert!(
            matches!(&verdict, Verdict::Closed { why, again: None } if why.contains(sign)),
            "{verdict:?}"
        );
    }
}

#[test]
fn a_schedule_that_never_comes_is_never_open() {
    let never = nightly("deny", &json!({"schedule": "0 0 30 2 *"}));
    assert!(is_open(never, "2026-03-01T12:00:00Z"));
}

#[test]
fn windows_are_chosen_by_application_cluster_or_namespace() {
    let chosen = |window: Value| {
        let window: SyncWindow = serde_json::from_value(window).unwrap();
        let spec = spec(&json!({"server": "https://edge:6443", "namespace": "shop"}));
        applies::applies(&window, "web-eu", &spec)
    };
    for (window, is) in [
        (json!({}), false),
        (json!({"applications": ["web-*"]}), true),
        (json!({"applications": ["api"]}), false),
        (json!({"clusters": ["https://edge*"]}), true),
        (json!({"clusters": ["edge"]}), false),
        (json!({"namespaces": ["shop", "x"]}), true),
        (
            json!({"applications": ["api"], "namespaces": ["shop"]}),
            true,
        ),
        (
            json!({"applications": ["api"], "namespaces": ["shop"], "andOperator": true}),
            false,
        ),
        (
            json!({"applications": ["web-*"], "namespaces": ["shop"], "andOperator": true}),
            true,
        ),
        (
            json!({"applications": ["web-*"], "andOperator": true}),
            true,
        ),
        (json!({"andOperator": true}), false),
    ] {
        assert_eq!(chosen(window.clone()), is, "{window}");
    }
    let window: SyncWindow = serde_json::from_value(json!({"clusters": ["edge"]})).unwrap();
    let by_name = spec(&json!({"name": "edge", "namespace": "shop"}));
    assert!(applies::applies(&window, "web", &by_name));
}
