use bus::message::secret::{Found, Reference};
use serde_json::json;

use crate::setup::{World, reference};

const CANARY: &str = "canary-9a71-only-whether-it-is-there";

#[tokio::test]
async fn a_check_tells_of_each_reference_what_stands_against_it_and_gives_no_value() {
    let world = World::start().await;
    let root = world.root();
    for value in ["old", CANARY] {
        root.put("secret/data/team/shop", json!({"password": value}))
            .await;
    }
    world
        .publish(1, &["secret/data/team/{app}", "secret/data/bank/*"])
        .await;
    let pinned = Reference {
        version: Some(1),
        ..reference("secret/data/team/shop", "password")
    };
    let too_new = Reference {
        version: Some(9),
        ..pinned.clone()
    };
    let mut wanted = vec![
        reference("secret/data/team/shop", "password"),
        pinned,
        too_new,
        reference("secret/data/team/shop", "no-such-key"),
        reference("secret/data/team/other", "password"),
        reference("secret/data/bank/shop", "password"),
        reference("secret/data/team/../bank/shop", "password"),
    ];
    wanted.sort();
    let found = world.check(1, &wanted).await;
    let told: Vec<(String, &str, Option<u64>)> = wanted
        .iter()
        .zip(&found)
        .map(|(reference, found)| {
            let (state, version) = match found {
                Found::Present { version } => ("present", *version),
                Found::Missing { .. } => ("missing", None),
                Found::Forbidden { .. } => ("forbidden", None),
                Found::Unknown { .. } => ("unknown", None),
            };
            (reference.to_string(), state, version)
        })
        .collect();
    let expected = [
        // Of the project, and not of the agent.
        ("secret/data/bank/shop#password", "forbidden", None),
        ("secret/data/team/../bank/shop#password", "forbidden", None),
        ("secret/data/team/other#password", "forbidden", None),
        ("secret/data/team/shop#no-such-key", "missing", None),
        ("secret/data/team/shop#password", "present", Some(2)),
        ("secret/data/team/shop#password#1", "present", Some(1)),
        ("secret/data/team/shop#password#9", "missing", None),
    ]
    .map(|(name, state, version)| (name.to_owned(), state, version));
    assert_eq!(told, expected);
    assert!(!format!("{found:?}").contains(CANARY));
    // Nobody used anything by asking.
    assert!(world.metric("towline_secrets_", "resolved").await < 0.5);

    root.post("sys/seal", &json!({})).await;
    let sealed = world.check(1, &wanted).await;
    let Found::Unknown { message } = &sealed[4] else {
        panic!("{sealed:?}")
    };
    assert!(message.contains("sealed"), "{message}");
    assert!(matches!(sealed[0], Found::Forbidden { .. }), "{sealed:?}");
}
