//! What an application's objects own in turn, asked over the bus of a real applier.

use bus::message::state::{HealthStatus, SyncStatus};
use bus::message::tree::{Answer, Node, Question, Tree};
use bus::subject;
use serde_json::json;

use crate::world::{App, PATIENCE, World, cluster, config_map, eventually};

async fn ask(world: &World, app: &App) -> Answer {
    let question = Question {
        app: app.id.clone(),
        cluster: cluster(),
        user: "jane".to_owned(),
    };
    let subject = subject::tree(&cluster());
    world.bus.ask(&subject, &question, PATIENCE).await.unwrap()
}

/// An object of the application's own by its kind, and what follows it.
fn beneath<'t>(tree: &'t Tree, kind: &str) -> &'t [Node] {
    let is_own = |node: &Node| node.depth == 0;
    let is_it = |node: &Node| is_own(node) && node.kind == kind;
    let from = tree.nodes.iter().position(is_it).unwrap();
    let length = tree.nodes[from + 1..].iter().position(is_own);
    let end = length.map_or(tree.nodes.len(), |length| from + 1 + length);
    &tree.nodes[from..end]
}

fn shape(nodes: &[Node]) -> Vec<(u8, &str)> {
    let nodes = nodes.iter();
    nodes.map(|node| (node.depth, node.kind.as_str())).collect()
}

pub(crate) async fn what_objects_own_is_found_when_somebody_asks(world: &World) {
    world.namespace("tree").await;
    let app = App::new("tree", "tree");
    let Answer::Refused { message } = ask(world, &app).await else {
        panic!("nobody released it")
    };
    assert!(message.contains("not known yet"), "{message}");
    let labels = json!({"app": "web"});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [
            {"name": "c", "image": "nginx:1", "env": [{"name": "WORD", "value": "hunter2"}]},
        ]}},
    }});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {
        "selector": labels, "ports": [{"port": 80}],
    }});
    let objects = json!([deployment, service, config_map("beside", "1")]);
    world.release(&app, objects).await;
    world
        .state(&app, "healthy", |state| {
            state.sync == SyncStatus::Synced && state.health.status == HealthStatus::Healthy
        })
        .await;
    let mut found = Tree::default();
    eventually("all of it is found", async || {
        if let Answer::Found(tree) = ask(world, &app).await {
            found = tree;
        }
        found.nodes.len() == 7
    })
    .await;
    assert_eq!(found.problems, Vec::<String>::new());
    assert_eq!(shape(beneath(&found, "ConfigMap")), [(0, "ConfigMap")]);
    assert_eq!(
        shape(beneath(&found, "Service")),
        [(0, "Service"), (1, "EndpointSlice")]
    );
    let web = beneath(&found, "Deployment");
    assert_eq!(
        shape(web),
        [(0, "Deployment"), (1, "ReplicaSet"), (2, "Pod"), (2, "Pod")]
    );
    let is_well = |node: &Node| node.health == Some(HealthStatus::Healthy);
    assert!(web.iter().all(is_well), "{found:#?}");
    let pod = web[3].pod.as_ref().unwrap();
    assert_eq!(
        (pod.status.as_str(), pod.ready, pod.restarts),
        ("Running", 1, 0)
    );
    assert_eq!(pod.images, ["nginx:1"]);
    assert!(web[3].created.is_some());
    assert!(!serde_json::to_string(&found).unwrap().contains("hunter2"));
}
