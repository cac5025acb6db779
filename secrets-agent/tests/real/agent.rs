use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use api::placeholder::PathForm;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bus::Update;
use bus::message::secret::{Answer, Reference, RefusalReason, Statement};
use bus::message::state::AgentState;
use bus::seal::{AskerKey, generate};
use bus::subject::{self, Bucket};
use serde_json::{Value, json};

use crate::setup::{World, here, reference, soon};

const CANARY: &str = "canary-7f3b1c0e-never-at-rest";

#[tokio::test]
async fn an_applier_gets_its_values_and_they_are_nowhere_else() {
    let world = World::start().await;
    let root = world.root();
    root.put(
        "secret/data/team/shop",
        json!({"password": CANARY, "user": "shop"}),
    )
    .await;
    world.publish(1, &["secret/data/{project}/{app}"]).await;
    let wanted = [
        reference("secret/data/team/shop", "password"),
        reference("secret/data/team/shop", "user"),
    ];
    let secrets = world.ask_until_it_passes(1, &wanted).await.secrets();
    assert_eq!(secrets.get(&wanted[0]).unwrap().expose(), CANARY.as_bytes());
    assert_eq!(secrets.get(&wanted[1]).unwrap().expose(), b"shop");
    assert!(secrets.iter().all(|(_, _, version)| version == Some(1)));

    // A refusal that comes after the values were read.
    let missing = [
        wanted[0].clone(),
        reference("secret/data/team/shop", "other"),
    ];
    let refusal = world.ask(1, &missing).await.refusal();
    assert_eq!(refusal.reason, RefusalReason::NotFound);
    assert_eq!(refusal.references, [missing[1].clone()]);

    let status = world.agent.stop(Duration::from_secs(20)).await;
    assert!(status.success(), "SIGTERM drains: {status}");
    let log = std::fs::read_to_string(world.agent.log()).unwrap();
    assert!(log.contains("TRACE"), "the log is at its most talkative");
    assert!(
        log.contains("has no key `other`"),
        "this is the agent's log"
    );
    for own in [world.secret_id.as_str(), "hvs."] {
        assert!(!log.contains(own), "its own credentials are not in it");
    }
    for library in ["vaultrs", "rustify"] {
        assert!(!log.contains(library), "{library} logs what Vault says");
    }
    let folder = world.stack.folder();
    assert_eq!(holding_a_piece_of(CANARY, folder), None::<PathBuf>);
    let planted = folder.join("nats").join("planted");
    std::fs::write(&planted, format!("x{}", &STANDARD.encode(CANARY)[4..24])).unwrap();
    assert_eq!(
        holding_a_piece_of(CANARY, folder),
        Some(planted),
        "the search is able to find one"
    );
}

#[tokio::test]
async fn many_references_cost_one_read_per_path() {
    let world = World::start().await;
    let root = world.root();
    let mut wanted = Vec::new();
    for number in 0..20 {
        let path = format!("secret/data/team/{number}");
        let values: serde_json::Map<String, Value> =
            (0..5).map(|key| (format!("k{key}"), json!("v"))).collect();
        root.put(&path, Value::Object(values)).await;
        wanted.extend((0..5).map(|key| reference(&path, &format!("k{key}"))));
    }
    world.publish(1, &["secret/data/team/*"]).await;
    let first = world.ask_until_it_passes(1, &wanted).await.secrets();
    assert_eq!(first.len(), 100);
    let reads = || {
        world.metric(
            "towline_secrets_vault_request_seconds_count",
            "request=\"read\"",
        )
    };
    let before = reads().await;
    let started = Instant::now();
    world.ask(1, &wanted).await.secrets();
    println!("100 references to 20 paths: {:?}", started.elapsed());
    assert!((reads().await - before - 20.0).abs() < 0.5);
}

#[tokio::test]
async fn a_short_path_is_read_where_its_engine_keeps_the_data_all_keys_at_once() {
    let world = World::start().await;
    let root = world.root();
    root.put("secret/data/team/shop", json!({"k": "v", "n": 7}))
        .await;
    root.put("secret/data/team/bank", json!({"k": "v"})).await;
    world.publish(1, &["secret/data/team/shop"]).await;
    let whole = |path: &str| {
        [Reference {
            form: PathForm::Short,
            ..reference(path, "")
        }]
    };
    let wanted = whole("secret/team/shop");
    let secrets = world.ask_until_it_passes(1, &wanted).await.secrets();
    let value = secrets.get(&wanted[0]).unwrap();
    assert_eq!(value.expose(), br#"{"k":"v","n":7}"#);
    let refusal = world.ask(1, &whole("secret/team/bank")).await.refusal();
    assert_eq!(refusal.reason, RefusalReason::Forbidden);
    assert!(
        refusal.message.contains("secret/data/team/bank"),
        "{}",
        refusal.message
    );
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let world = World::start().await;
    let root = world.root();
    root.put("secret/data/team/shop", json!({"k": "v"})).await;
    root.put("secret/data/team/bank", json!({"k": "v"})).await;
    world
        .publish(5, &["secret/data/team/shop", "secret/data/bank/*"])
        .await;
    let own = [reference("secret/data/team/shop", "k")];
    world.ask_until_it_passes(5, &own).await.secrets();
    world.ask(4, &own).await.secrets();

    let newer = world.ask(6, &own).await.refusal();
    assert_eq!(newer.reason, RefusalReason::NotDesired, "{newer:?}");
    let others = world
        .ask(5, &[reference("secret/data/team/bank", "k")])
        .await
        .refusal();
    assert_eq!(others.reason, RefusalReason::Forbidden, "{others:?}");
    let beyond = world
        .ask(5, &[reference("secret/data/bank/x", "k")])
        .await
        .refusal();
    assert_eq!(beyond.reason, RefusalReason::Forbidden);
    assert!(beyond.message.contains("--allow-paths"), "{beyond:?}");
    let tricky = world
        .ask(5, &[reference("secret/data/team/shop/../bank", "k")])
        .await
        .refusal();
    assert_eq!(tricky.reason, RefusalReason::Forbidden, "{tricky:?}");

    let (request, key) = world.question(5, &own);
    assert!(matches!(
        world.send(&request).await.unwrap(),
        Answer::Sealed(_)
    ));
    let Answer::Stated(replayed) = world.send(&request).await.unwrap() else {
        panic!("a request was answered twice");
    };
    let Statement::Refused(replayed) = world.read(key, &replayed) else {
        panic!("no check was asked for");
    };
    assert_eq!(replayed.reason, RefusalReason::Replayed);

    let (stranger, _) = generate().unwrap();
    let stranger = AskerKey::from_seed(&stranger.secret).unwrap();
    let (forged, _) = bus::seal::ask(
        &stranger,
        &here(),
        &crate::setup::shop(),
        bus::Generation(5),
        &own,
        bus::clock::now_ms(),
    )
    .unwrap();
    let Answer::Refused(forged) = world.send(&forged).await.unwrap() else {
        panic!("a stranger was answered");
    };
    assert_eq!(forged.reason, RefusalReason::Signature);

    // A project that stops allowing takes effect without a new generation.
    world.publish(5, &[]).await;
    let denied = async { while let crate::setup::Outcome::Opened(_) = world.ask(5, &own).await {} };
    soon("the narrower project", denied).await;
}

#[tokio::test]
async fn a_new_version_is_told_once_and_a_restarted_agent_goes_on() {
    let mut world = World::start().await;
    let root = world.root();
    let own = [reference("secret/data/team/shop", "k")];
    let mut versions = world
        .applier
        .watch_bucket::<AgentState>(Bucket::State, &subject::versions_of(&here()));
    root.put("secret/data/team/shop", json!({"k": "one"})).await;
    world.publish(1, &["secret/data/team/shop"]).await;
    world.ask_until_it_passes(1, &own).await.secrets();
    for version in [2, 3] {
        root.put("secret/data/team/shop", json!({"k": version.to_string()}))
            .await;
        let mut seen = soon("the rotation", async {
            loop {
                if let Update::Put(stored) = versions.next().await
                    && stored.value.paths["secret/data/team/shop"] == Some(version)
                {
                    return stored.value.paths;
                }
            }
        })
        .await;
        seen.remove("secret/data/team/shop");
        assert!(seen.is_empty(), "{seen:?}");
        // The next version comes when the agent that knew of this one is gone.
        world.ask(1, &own).await.secrets();
        world.agent.kill().await;
        world.restart_agent();
    }
}

#[tokio::test]
async fn the_loss_of_vault_or_broker_passes() {
    let mut world = World::start().await;
    let own = [reference("secret/data/team/shop", "k")];
    world
        .root()
        .put("secret/data/team/shop", json!({"k": "v"}))
        .await;
    world.publish(1, &["secret/data/team/shop"]).await;
    world.ask_until_it_passes(1, &own).await.secrets();

    world.root().post("sys/seal", &json!({})).await;
    let sealed = world.ask(1, &own).await.refusal();
    assert_eq!(sealed.reason, RefusalReason::Unavailable);
    assert!(sealed.message.contains("sealed"), "{sealed:?}");
    world.stack.vault.as_mut().unwrap().kill().await;
    let gone = world.ask(1, &own).await.refusal();
    assert_eq!(gone.reason, RefusalReason::Unavailable);
    assert!(gone.message.contains("cannot be reached"), "{gone:?}");

    world.wipe_broker().await;
    let still_gone = world.ask(1, &own).await.refusal();
    assert_eq!(
        still_gone.reason,
        RefusalReason::Unavailable,
        "{still_gone:?}"
    );
    assert!(world.agent.ended().is_none());
}

/// The first file below `folder` (logs, the broker's store, keys) with 12 bytes in a row of `secret` in some form.
fn holding_a_piece_of(secret: &str, folder: &Path) -> Option<PathBuf> {
    const PIECE: usize = 12;
    let encoded = |skipped: usize| STANDARD.encode(&secret[skipped..]);
    let forms = [
        secret.to_owned(),
        encoded(0),
        encoded(1),
        encoded(2),
        hex::encode(secret),
    ];
    let pieces: HashSet<&[u8]> = forms
        .iter()
        .flat_map(|form| form.as_bytes().windows(PIECE))
        .collect();
    let holds = |path: &Path| {
        std::fs::read(path)
            .is_ok_and(|bytes| bytes.windows(PIECE).any(|window| pieces.contains(window)))
    };
    files(folder).into_iter().find(|path| holds(path))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
