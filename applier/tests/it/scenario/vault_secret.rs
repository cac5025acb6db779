//! `VaultSecret`s in a project that has them resolved: the Secret is there without an operator, also where one made it before.

use api::placeholder::PathForm;
use bus::message::condition::ConditionType;
use bus::message::secret::{Answer, Request};
use bus::message::state::SyncStatus;
use bus::seal::{ReplayWindow, SecretValue, verify};
use bus::{clock, subject};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::world::{App, World, cluster, eventually};

const NAMESPACE: &str = "vaulted";

fn vault_secret(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "ricoberger.de/v1alpha1", "kind": "VaultSecret", "metadata": {"name": name, "labels": {"of": "shop"}}, "spec": spec})
}

pub(crate) async fn the_secret_of_a_vault_secret_is_there_without_its_operator(world: &World) {
    world.namespace(NAMESPACE).await;
    let owner = operated(world).await;
    let mut served = world
        .bus
        .serve::<Request>(&subject::resolve(&cluster()))
        .await
        .unwrap();
    let mut window = ReplayWindow::default();
    let answering = async {
        loop {
            let asked = served.next().await.unwrap();
            let pinned = std::slice::from_ref(&world.asker);
            let request = asked.value.as_ref().unwrap();
            let signed = verify(request, pinned).unwrap();
            let verified = signed.admit(clock::now_ms(), &mut window).unwrap();
            let whole = SecretValue::json(br#"{"user":"shop","count":7}"#.to_vec());
            let binary = SecretValue::new(b"AP8=".to_vec());
            let values: Vec<Option<&SecretValue>> = verified
                .question()
                .references
                .iter()
                .map(|reference| {
                    assert_eq!(reference.form, PathForm::Short);
                    match (reference.path.as_str(), reference.key.as_str()) {
                        ("secret/shop", "") => Some(&whole),
                        ("secret/shop", "binary") => Some(&binary),
                        _ => None,
                    }
                })
                .collect();
            let versions = vec![Some(1); values.len()];
            let answer = verified.seal(&world.agent, &values, versions).unwrap();
            asked.reply(&Answer::Sealed(answer)).await.unwrap();
        }
    };
    tokio::select! {
        () = answering => {}
        () = released(world, owner) => {}
    }
}

async fn released(world: &World, owner: Api<DynamicObject>) {
    let app = App::new("vaulted", NAMESPACE);
    let made = vault_secret("made", &json!({"path": "secret/shop", "type": "Opaque"}));
    let binary = json!({"path": "secret/shop", "keys": ["binary", "none"], "isBinary": true, "type": "Opaque"});
    let objects = json!([made, vault_secret("binary", &binary)]);
    world.release(&app, objects).await;
    world
        .state(&app, "synced", |state| {
            state.sync == SyncStatus::Synced && state.history.len() == 1
        })
        .await;
    let secrets = world.objects("Secret", "secrets", "", NAMESPACE);
    let live = secrets.get("made").await.unwrap();
    assert_eq!(
        live.data["data"],
        json!({"user": "c2hvcA==", "count": "Nw=="})
    );
    assert_eq!(live.metadata.labels.as_ref().unwrap()["of"], "shop");
    assert_eq!(live.metadata.owner_references, None);
    let live = secrets.get("binary").await.unwrap();
    assert_eq!(live.data["data"], json!({"binary": "AP8="}));
    // What it was made from goes, and it stays.
    owner
        .delete("made", &DeleteParams::foreground())
        .await
        .unwrap();
    eventually("its VaultSecret is gone", async || {
        owner.get_opt("made").await.unwrap().is_none()
    })
    .await;
    assert!(secrets.get_opt("made").await.unwrap().is_some());

    let refused = vault_secret(
        "made",
        &json!({"path": "pki", "secretEngine": "pki", "type": "Opaque"}),
    );
    world.release(&app, json!([refused])).await;
    world
        .state(&app, "an engine that only the operator has", |state| {
            state.conditions.iter().any(|condition| {
                condition.kind == ConditionType::SecretError && condition.message.contains("pki")
            })
        })
        .await;
    assert!(secrets.get_opt("made").await.unwrap().is_some());
}

/// A `VaultSecret` and the Secret that its operator made of it.
async fn operated(world: &World) -> Api<DynamicObject> {
    let kind = ApiResource {
        group: "apiextensions.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "apiextensions.k8s.io/v1".to_owned(),
        kind: "CustomResourceDefinition".to_owned(),
        plural: "customresourcedefinitions".to_owned(),
    };
    let definitions: Api<DynamicObject> = Api::all_with(world.client.clone(), &kind);
    let definition: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "vaultsecrets.ricoberger.de"},
        "spec": {"group": "ricoberger.de", "scope": "Namespaced", "names": {"kind": "VaultSecret", "plural": "vaultsecrets"}, "versions": [
            {"name": "v1alpha1", "served": true, "storage": true,
             "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    }))
    .unwrap();
    definitions
        .create(&PostParams::default(), &definition)
        .await
        .unwrap();
    let resource = ApiResource {
        group: "ricoberger.de".to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: "ricoberger.de/v1alpha1".to_owned(),
        kind: "VaultSecret".to_owned(),
        plural: "vaultsecrets".to_owned(),
    };
    let owners: Api<DynamicObject> =
        Api::namespaced_with(world.client.clone(), NAMESPACE, &resource);
    let object: DynamicObject = serde_json::from_value(vault_secret("made", &json!({}))).unwrap();
    let mut owner = None;
    eventually("the kind VaultSecret is served", async || {
        owner = owners.create(&PostParams::default(), &object).await.ok();
        owner.is_some()
    })
    .await;
    let uid = owner.unwrap().metadata.uid.unwrap();
    let secrets = world.objects("Secret", "secrets", "", NAMESPACE);
    let secret: DynamicObject = serde_json::from_value(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "made", "ownerReferences": [
        {"apiVersion": "ricoberger.de/v1alpha1", "kind": "VaultSecret", "name": "made", "uid": uid, "controller": true, "blockOwnerDeletion": true}]},
        "data": {"user": "b2xk", "gone": "b2xk"}}))
    .unwrap();
    let operator = PostParams {
        field_manager: Some("manager".to_owned()),
        ..PostParams::default()
    };
    secrets.create(&operator, &secret).await.unwrap();
    // Another who wrote a field keeps it.
    let person = PatchParams {
        field_manager: Some("kubectl-annotate".to_owned()),
        ..PatchParams::default()
    };
    let note = Patch::Merge(json!({"metadata": {"annotations": {"note": "kept"}}}));
    secrets.patch("made", &person, &note).await.unwrap();
    owners
}
