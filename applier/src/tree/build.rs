//! Puts objects beneath their owners.

use std::collections::{HashMap, HashSet};

use bus::message::tree::{Node, Pod, Tree};
use serde_json::Value;

use super::Root;
use crate::health::Health;
use crate::secrets::Words;

/// The deepest that is looked: an operator's Deployment, its `ReplicaSet`, its Pod, and some more.
const MAX_DEPTH: u8 = 8;
/// The most objects of an answer.
const MAX_NODES: usize = 2_000;
/// The longest text of one answer, in bytes: what surrounds it has to fit into a message, too.
const MAX_BYTES: usize = 600 * 1024;
/// The longest message, and so many images, of one object.
const MAX_MESSAGE: usize = 300;
const MAX_IMAGES: usize = 10;
/// What a pod's phase may be: no text of anybody's.
const PHASES: [&str; 5] = ["Pending", "Running", "Succeeded", "Failed", "Unknown"];

/// `found` are objects as the server has them; `health` says how one is.
pub(super) fn build(
    roots: &[Root],
    found: &[Value],
    health: impl Fn(&Value) -> Option<Health>,
    problems: Vec<String>,
) -> Tree {
    let mut owned: HashMap<&str, Vec<&Value>> = HashMap::new();
    for object in found {
        for owner in object["metadata"]["ownerReferences"]
            .as_array()
            .into_iter()
            .flatten()
        {
            if let Some(uid) = owner["uid"].as_str() {
                owned.entry(uid).or_default().push(object);
            }
        }
    }
    for children in owned.values_mut() {
        children.sort_by_key(|object| (text(object, "/kind"), text(object, "/metadata/name")));
    }
    let mut tree = Tree {
        problems,
        ..Tree::default()
    };
    let mut walk = Walk {
        withheld: withheld(roots, &owned),
        owned,
        health,
        // What an application has itself is shown once, there.
        seen: roots.iter().map(|root| &*root.uid).collect(),
        bytes: 0,
    };
    for root in roots {
        let words = walk.words(&root.uid);
        walk.put(&mut tree, root_node(root, words));
        walk.beneath(&mut tree, &root.uid, 1);
    }
    tree
}

/// What has a root above it whose words are withheld, and that root, by their uids: whoever else owns it, and however deep it is.
fn withheld<'a>(roots: &'a [Root], owned: &HashMap<&'a str, Vec<&'a Value>>) -> HashSet<&'a str> {
    let from = roots.iter().filter(|root| root.words == Words::Withheld);
    let mut next: Vec<&str> = from.map(|root| &*root.uid).collect();
    let mut all = HashSet::new();
    while let Some(uid) = next.pop() {
        if all.insert(uid) {
            let children = owned.get(uid).into_iter().flatten();
            next.extend(children.filter_map(|child| child["metadata"]["uid"].as_str()));
        }
    }
    all
}

struct Walk<'a, H> {
    withheld: HashSet<&'a str>,
    owned: HashMap<&'a str, Vec<&'a Value>>,
    health: H,
    seen: HashSet<&'a str>,
    bytes: usize,
}

impl<'a, H: Fn(&Value) -> Option<Health>> Walk<'a, H> {
    fn words(&self, uid: &str) -> Words {
        if self.withheld.contains(uid) {
            Words::Withheld
        } else {
            Words::Shown
        }
    }

    fn put(&mut self, tree: &mut Tree, node: Node) {
        let size = serde_json::to_vec(&node).map_or(0, |text| text.len() + 1);
        if tree.nodes.len() < MAX_NODES && self.bytes + size <= MAX_BYTES {
            self.bytes += size;
            tree.nodes.push(node);
        } else {
            tree.omitted += 1;
        }
    }

    fn beneath(&mut self, tree: &mut Tree, uid: &str, depth: u8) {
        if depth > MAX_DEPTH {
            return;
        }
        for object in self.owned.get(uid).cloned().unwrap_or_default() {
            let Some(uid) = object["metadata"]["uid"].as_str() else {
                continue;
            };
            if self.seen.insert(uid) {
                let node = self.node(object, depth, self.words(uid));
                self.put(tree, node);
                self.beneath(tree, uid, depth + 1);
            }
        }
    }

    fn node(&self, object: &'a Value, depth: u8, words: Words) -> Node {
        let health = (self.health)(object);
        let api_version = text(object, "/apiVersion");
        let created: Option<jiff::Timestamp> =
            text(object, "/metadata/creationTimestamp").parse().ok();
        let is_pod = api_version == "v1" && text(object, "/kind") == "Pod";
        Node {
            depth,
            group: api_version
                .split_once('/')
                .map_or("", |(group, _)| group)
                .to_owned(),
            kind: text(object, "/kind").to_owned(),
            namespace: text(object, "/metadata/namespace").to_owned(),
            name: text(object, "/metadata/name").to_owned(),
            health: health.as_ref().map(|health| health.status),
            message: health.map_or_else(String::new, |health| cut(words.of(&health.message))),
            created: created.and_then(|time| u64::try_from(time.as_millisecond()).ok()),
            pod: is_pod.then(|| pod(object, words)),
        }
    }
}

fn root_node(root: &Root, words: Words) -> Node {
    Node {
        depth: 0,
        group: root.key.group.to_string(),
        kind: root.key.kind.to_string(),
        namespace: root.key.namespace.to_string(),
        name: root.key.name.to_string(),
        health: root.health.as_ref().map(|health| health.status),
        message: root
            .health
            .as_ref()
            .map_or_else(String::new, |health| cut(words.of(&health.message))),
        created: None,
        pod: None,
    }
}

fn pod(object: &Value, words: Words) -> Pod {
    let list = |path: &str| {
        let list = object.pointer(path).and_then(Value::as_array);
        list.map_or(&[][..], Vec::as_slice)
    };
    let statuses = list("/status/containerStatuses");
    let all = || list("/status/initContainerStatuses").iter().chain(statuses);
    let phase = text(object, "/status/phase");
    let waits = all().find_map(|status| {
        let reason = status.pointer("/state/waiting/reason")?.as_str()?;
        (reason != "PodInitializing").then_some(reason)
    });
    let status = if !text(object, "/metadata/deletionTimestamp").is_empty() {
        "Terminating"
    } else if words == Words::Withheld {
        PHASES
            .into_iter()
            .find(|one| *one == phase)
            .unwrap_or_default()
    } else {
        waits.unwrap_or_else(|| match text(object, "/status/reason") {
            "" => phase,
            reason => reason,
        })
    };
    let shown = match words {
        Words::Shown => MAX_IMAGES,
        Words::Withheld => 0,
    };
    let images = list("/spec/containers")
        .iter()
        .take(shown)
        .map(|container| cut(text(container, "/image")));
    Pod {
        status: cut(status),
        ready: statuses
            .iter()
            .filter(|status| status["ready"] == true)
            .count(),
        containers: list("/spec/containers").len(),
        restarts: all()
            .filter_map(|status| status["restartCount"].as_u64())
            .sum(),
        images: images.collect(),
    }
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_MESSAGE)].to_owned()
}

#[cfg(test)]
mod tests {
    use bus::message::state::HealthStatus;
    use serde_json::json;

    use super::*;
    use crate::object::Key;

    fn root() -> Root {
        Root {
            key: Key::new("apps", "Deployment", "shop", "web"),
            uid: "d".into(),
            health: None,
            words: Words::Shown,
        }
    }

    fn object(kind: &str, uid: &str, owner: &str) -> Value {
        json!({
            "apiVersion": if kind == "Pod" { "v1" } else { "apps/v1" }, "kind": kind,
            "metadata": {
                "name": uid, "namespace": "shop", "uid": uid, "creationTimestamp": "1970-01-01T00:00:02Z",
                "ownerReferences": [{"uid": owner}],
            },
        })
    }

    fn names(tree: &Tree) -> Vec<(u8, &str)> {
        let nodes = tree.nodes.iter();
        nodes.map(|node| (node.depth, node.name.as_str())).collect()
    }

    #[test]
    fn each_object_is_followed_by_what_it_owns_and_strangers_are_left_out() {
        let found = [
            object("Pod", "p2", "r1"),
            object("Pod", "p1", "r1"),
            object("ReplicaSet", "r1", "d"),
            object("ReplicaSet", "r0", "d"),
            object("Pod", "other", "elsewhere"),
        ];
        let tree = build(&[root()], &found, crate::health::assess, Vec::new());
        assert_eq!(
            names(&tree),
            [(0, "web"), (1, "r0"), (1, "r1"), (2, "p1"), (2, "p2")]
        );
        assert_eq!(tree.nodes[1].created, Some(2_000));
        assert_eq!(tree.nodes[1].health, Some(HealthStatus::Healthy));
    }

    #[test]
    fn owners_in_a_circle_and_owners_without_end_come_to_an_end() {
        let mut circle = vec![object("Pod", "a", "d"), object("Pod", "b", "a")];
        circle.push(object("Pod", "a", "b"));
        let tree = build(&[root()], &circle, |_| None, Vec::new());
        assert_eq!(names(&tree), [(0, "web"), (1, "a"), (2, "b")]);
        let many: Vec<Value> = (0..3_000)
            .map(|at| object("Pod", &format!("p{at}"), "d"))
            .collect();
        let tree = build(&[root()], &many, |_| None, Vec::new());
        assert_eq!(tree.nodes.len(), MAX_NODES);
        assert_eq!(tree.omitted, 1_001);
    }

    #[test]
    fn a_pod_tells_what_keeps_it_from_running_and_nothing_of_its_contents() {
        let mut object = object("Pod", "p", "d");
        object["spec"] = json!({"containers": [{"name": "app", "image": "x:1", "env": [{"name": "A", "value": "hunter2"}]}, {"name": "b", "image": "y"}]});
        object["status"] = json!({"phase": "Pending", "containerStatuses": [
            {"name": "app", "ready": false, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
            {"name": "b", "ready": true, "restartCount": 1, "state": {"running": {}}},
        ]});
        let tree = build(&[root()], &[object], crate::health::assess, Vec::new());
        let pod = tree.nodes[1].pod.as_ref().unwrap();
        assert_eq!(pod.status, "CrashLoopBackOff");
        assert_eq!((pod.ready, pod.containers, pod.restarts), (1, 2, 4));
        assert_eq!(pod.images, ["x:1", "y"]);
        assert!(!serde_json::to_string(&tree).unwrap().contains("hunter2"));
    }

    #[test]
    fn where_a_secret_stands_in_an_object_nothing_beneath_it_repeats_it() {
        let health = |_: &Value| {
            Some(Health {
                status: HealthStatus::Degraded,
                message: "canary".to_owned(),
            })
        };
        let mut pod = object("Pod", "p", "r");
        pod["spec"] = json!({"containers": [{"name": "app", "image": "canary:1"}]});
        pod["status"] = json!({"phase": "Running", "reason": "canary", "containerStatuses": [
            {"name": "app", "ready": true, "restartCount": 3, "state": {"waiting": {"reason": "canary"}}},
        ]});
        let mut strange = pod.clone();
        strange["metadata"]["uid"] = "strange".into();
        strange["metadata"]["name"] = "strange".into();
        strange["status"] = json!({"phase": "canary"});
        // It has an owner without a secret, too, which comes first.
        pod["metadata"]["ownerReferences"] = json!([{"uid": "plain"}, {"uid": "r"}]);
        let plain = Root {
            uid: "plain".into(),
            ..root()
        };
        let marked = Root {
            words: Words::Withheld,
            health: health(&Value::Null),
            ..root()
        };
        let found = [object("ReplicaSet", "r", "d"), pod, strange];
        let tree = build(&[plain, marked], &found, health, Vec::new());
        assert!(!serde_json::to_string(&tree).unwrap().contains("canary"));
        let expected = [(0, "web"), (1, "p"), (0, "web"), (1, "r"), (2, "strange")];
        assert_eq!(names(&tree), expected);
        for node in &tree.nodes[1..] {
            assert_eq!(node.health, Some(HealthStatus::Degraded));
            assert!(node.message.contains("withheld"), "{node:?}");
        }
        let pod = tree.nodes[1].pod.as_ref().unwrap();
        assert_eq!(pod.status, "Running");
        assert_eq!((pod.ready, pod.containers, pod.restarts), (1, 1, 3));
        assert_eq!(tree.nodes[1].created, Some(2_000));
    }

    #[test]
    fn an_object_with_a_secret_silences_nothing_beside_it() {
        let mut pod = object("Pod", "p", "plain");
        pod["spec"] = json!({"containers": [{"name": "app", "image": "x:1"}]});
        let plain = Root {
            uid: "plain".into(),
            ..root()
        };
        let marked = Root {
            words: Words::Withheld,
            ..root()
        };
        let tree = build(&[marked, plain], &[pod], |_| None, Vec::new());
        assert_eq!(tree.nodes[2].pod.as_ref().unwrap().images, ["x:1"]);
    }
}
