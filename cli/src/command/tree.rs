//! An application's objects, each above what it owns.

use bus::message::tree::{Node, Tree};

use crate::output;

pub(crate) fn print(tree: &Tree) {
    let branches = branches(&tree.nodes);
    let rows = tree.nodes.iter().zip(branches).map(|(node, branch)| {
        let pod = node.pod.as_ref();
        let ready = pod.map(|pod| format!("{}/{}", pod.ready, pod.containers));
        let restarts = pod.map(|pod| pod.restarts.to_string());
        let status = pod.map(|pod| pod.status.clone());
        let images = pod.map(|pod| pod.images.join(","));
        let health = node.health.map(|health| health.as_str().to_owned());
        vec![
            format!("{branch}{}/{}", node.kind, node.name),
            node.namespace.clone(),
            health.unwrap_or_default(),
            status.unwrap_or_default(),
            ready.unwrap_or_default(),
            restarts.unwrap_or_default(),
            node.created.map_or_else(String::new, output::ago),
            images.unwrap_or_default(),
            output::one_line(&node.message),
        ]
    });
    let head = [
        "OBJECT",
        "NAMESPACE",
        "HEALTH",
        "STATUS",
        "READY",
        "RESTARTS",
        "MADE",
        "IMAGES",
        "MESSAGE",
    ];
    output::table(&head, rows);
    if tree.omitted > 0 {
        output::note(&format!("{} more objects are not shown", tree.omitted));
    }
    for problem in &tree.problems {
        output::note(&format!("not looked at: {problem}"));
    }
}

/// The lines in front of each object, from the last to the first: whether a line goes on depends on what follows.
fn branches(nodes: &[Node]) -> Vec<String> {
    // At which depths something follows that has the same owner.
    let mut follows: Vec<bool> = Vec::new();
    let mut branches: Vec<String> = nodes
        .iter()
        .rev()
        .map(|node| {
            let depth = usize::from(node.depth);
            // What is deeper belongs to this one or to its elders.
            follows.resize(depth + 1, false);
            let line = (1..depth).map(|at| if follows[at] { "│ " } else { "  " });
            let mut branch: String = line.collect();
            if depth > 0 {
                branch.push_str(if follows[depth] { "├─" } else { "└─" });
            }
            follows[depth] = true;
            branch
        })
        .collect();
    branches.reverse();
    branches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(depth: u8) -> Node {
        Node {
            depth,
            group: String::new(),
            kind: "Pod".to_owned(),
            namespace: "shop".to_owned(),
            name: "a".to_owned(),
            health: None,
            message: String::new(),
            created: None,
            pod: None,
        }
    }

    #[test]
    fn lines_go_from_owners_to_what_they_own() {
        let nodes: Vec<Node> = [0, 1, 2, 2, 1, 2, 0].map(node).into();
        assert_eq!(
            branches(&nodes),
            ["", "├─", "│ ├─", "│ └─", "└─", "  └─", ""]
        );
    }
}
