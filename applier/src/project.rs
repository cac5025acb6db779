//! What the application's project, and this applier's own configuration, allow. The project comes over the bus and only narrows.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use api::application::IN_CLUSTER_SERVER;
use api::project::Destination;
use api::{ApplicationSpec, glob};
use bus::ClusterId;
use bus::message::condition::ConditionType;
use bus::message::desired::Present;
use bus::message::project::Project;

use crate::object::{Finding, Manifest};
use crate::secrets::Placement;

/// The projects as last published, by name.
#[derive(Default)]
pub(crate) struct Projects(RwLock<BTreeMap<String, Arc<Project>>>);

impl Projects {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Project>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// Whether it says something new.
    pub(crate) fn put(&self, project: Project) -> bool {
        let mut projects = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if projects
            .get(&project.name)
            .is_some_and(|known| **known == project)
        {
            return false;
        }
        projects.insert(project.name.clone(), Arc::new(project));
        true
    }

    pub(crate) fn remove(&self, name: &str) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
    }
}

/// What nobody on the bus can widen.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// Globs of namespaces that objects may be put into.
    pub(crate) namespaces: Vec<String>,
    /// Whether cluster-scoped objects may be put in.
    pub(crate) cluster_objects: bool,
    /// Globs of service accounts, `namespace:name`, that may be acted as.
    pub(crate) accounts: Vec<String>,
    /// Kinds that may hold placeholders beside the data of Secrets, as a project's annotation names them.
    pub(crate) secret_kinds: Vec<String>,
}

/// One mistake in a project can concern every object: a person needs to see a few.
const MOST: usize = 10;

/// The cluster as projects know it: by its API server and by its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) server: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> Place<'a> {
    /// The application's destination, which says one of the two; the watcher the other.
    pub(crate) fn of(present: &'a Present, cluster: &'a ClusterId) -> Self {
        let destination = &present.spec.destination;
        let own = if cluster.as_str() == ClusterId::IN_CLUSTER {
            IN_CLUSTER_SERVER
        } else {
            ""
        };
        Self {
            server: destination
                .server()
                .or(present.server.as_deref())
                .unwrap_or(own),
            name: destination
                .name()
                .or(present.cluster_name.as_deref())
                .unwrap_or(cluster.as_str()),
        }
    }
}

/// Why manifests may not be applied; empty when they may.
pub(crate) fn check(
    project: Option<&Project>,
    spec: &ApplicationSpec,
    place: Place<'_>,
    bounds: &Bounds,
    manifests: &[Manifest],
) -> Vec<Finding> {
    let name = spec.project();
    let Some(project) = project else {
        return vec![refused(format!(
            "project {name} is not known (yet): nothing is applied until it is"
        ))];
    };
    let mut findings = Vec::new();
    let cluster = place.name;
    let permits = |namespace: &str| {
        project.spec.permits_destination(Destination {
            server: place.server,
            name: place.name,
            namespace,
        })
    };
    let mut namespaces: BTreeMap<&str, bool> = BTreeMap::new();
    let destination = spec.destination.namespace();
    if !destination.is_empty() && !permits(destination) {
        // Also where no object is in it: CreateNamespace=true would make it.
        findings.push(refused(format!(
            "project {name} doesn't allow namespace {destination} of cluster {cluster}; see its destinations"
        )));
        namespaces.insert(destination, true);
    }
    for manifest in manifests {
        let key = &manifest.key;
        findings.extend(misplaced(manifest, project, bounds));
        if key.namespace.is_empty() {
            if !project
                .spec
                .permits_cluster_resource(&key.group, &key.kind, &key.name)
            {
                findings.push(refused(format!(
                    "{key}: project {name} doesn't allow the cluster-scoped kind {}; add it to clusterResourceWhitelist",
                    kind(manifest)
                )));
            } else if !bounds.cluster_objects {
                findings.push(refused(format!(
                    "{key}: this applier was started without leave for cluster-scoped objects"
                )));
            }
            continue;
        }
        if !project
            .spec
            .permits_namespace_resource(&key.group, &key.kind)
        {
            findings.push(refused(format!(
                "{key}: project {name} doesn't allow the kind {}; see its namespaceResourceWhitelist and -Blacklist",
                kind(manifest)
            )));
        }
        let namespace = &*key.namespace;
        if !*namespaces
            .entry(namespace)
            .or_insert_with(|| permits(namespace))
        {
            findings.push(refused(format!(
                "{key}: project {name} doesn't allow namespace {namespace} of cluster {cluster}; see its destinations"
            )));
        } else if !bounds
            .namespaces
            .iter()
            .any(|pattern| glob::matches(pattern, namespace, None) == Some(true))
        {
            findings.push(refused(format!(
                "{key}: this applier was started without leave for namespace {namespace}"
            )));
        }
    }
    if findings.len() > MOST {
        let more = findings.len() - MOST;
        findings.truncate(MOST);
        findings.push(refused(format!(
            "and {more} more objects that aren't allowed"
        )));
    }
    findings
}

/// Why the placeholders of a manifest may not stand where they do.
pub(crate) fn misplaced(
    manifest: &Manifest,
    project: &Project,
    bounds: &Bounds,
) -> Option<Finding> {
    match manifest.placeholders {
        Placement::Nowhere | Placement::SecretData => return None,
        Placement::Elsewhere => {}
    }
    let key = &manifest.key;
    let permits = |kinds| api::project::kinds_include(kinds, &key.group, &key.kind);
    let message = if !permits(&project.secret_kinds) {
        format!(
            "{key}: a secret's placeholder stands outside of the data of a Secret, where more people read it; if that is meant, add {} to \
             annotation {} of project {}",
            kind(manifest),
            api::annotations::SECRET_KINDS,
            project.name
        )
    } else if !permits(&bounds.secret_kinds) {
        format!(
            "{key}: this applier was started without leave for secrets in {}; see --allow-secret-kinds",
            kind(manifest)
        )
    } else {
        return None;
    };
    Some(Finding::blocking(ConditionType::SecretError, message))
}

fn refused(message: String) -> Finding {
    Finding::blocking(ConditionType::InvalidSpecError, message)
}

fn kind(manifest: &Manifest) -> String {
    let key = &manifest.key;
    if key.group.is_empty() {
        key.kind.to_string()
    } else {
        format!("{}/{}", key.group, key.kind)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::{Body, Key, Options};

    const IN_CLUSTER: Place<'static> = Place {
        server: IN_CLUSTER_SERVER,
        name: ClusterId::IN_CLUSTER,
    };

    fn manifest(kind: &str, namespace: &str) -> Manifest {
        Manifest {
            key: Key::new("", kind, namespace, "a"),
            version: "v1".into(),
            body: Body::from(&json!({})),
            digest: "d".into(),
            wave: 0,
            hook: None,
            options: Options::default(),
            filled: None,
            placeholders: Placement::Nowhere,
        }
    }

    fn findings(project: serde_json::Value, allow: &str, manifest: Manifest) -> Vec<Finding> {
        let project = Project {
            name: "p".to_owned(),
            spec: serde_json::from_value(project).unwrap(),
            ..Project::default()
        };
        let spec: ApplicationSpec =
            serde_json::from_value(json!({"project": "p", "destination": {"server": IN_CLUSTER_SERVER, "namespace": "shop"}}))
                .unwrap();
        let bounds = Bounds {
            namespaces: vec![allow.to_owned()],
            cluster_objects: true,
            accounts: vec!["*".to_owned()],
            secret_kinds: vec!["*".to_owned()],
        };
        check(Some(&project), &spec, IN_CLUSTER, &bounds, &[manifest])
    }

    #[test]
    fn a_namespace_outside_the_destinations_is_refused() {
        let project = json!({"destinations": [{"server": "*", "namespace": "shop"}]});
        assert!(findings(project.clone(), "*", manifest("ConfigMap", "shop")).is_empty());
        assert!(findings(project, "*", manifest("ConfigMap", "kube-system"))[0].blocks);
    }

    #[test]
    fn a_destination_by_name_is_also_its_server() {
        let project = Project {
            name: "p".to_owned(),
            spec: serde_json::from_value(
                json!({"destinations": [{"server": "https://edge:6443", "namespace": "shop"}]}),
            )
            .unwrap(),
            ..Project::default()
        };
        let spec: ApplicationSpec = serde_json::from_value(
            json!({"project": "p", "destination": {"name": "edge", "namespace": "shop"}}),
        )
        .unwrap();
        let bounds = Bounds {
            namespaces: vec!["*".to_owned()],
            cluster_objects: true,
            accounts: vec!["*".to_owned()],
            secret_kinds: vec!["*".to_owned()],
        };
        let judged = |server| {
            let place = Place {
                server,
                name: "edge",
            };
            check(Some(&project), &spec, place, &bounds, &[])
        };
        assert!(judged("https://edge:6443").is_empty());
        assert!(judged("https://other:6443")[0].blocks);
        assert!(judged("")[0].blocks);
    }

    #[test]
    fn the_project_cannot_widen_what_this_applier_may() {
        let project = json!({"destinations": [{"server": "*", "namespace": "*"}]});
        assert!(findings(project.clone(), "shop", manifest("ConfigMap", "shop")).is_empty());
        assert_eq!(
            findings(project, "team-*", manifest("ConfigMap", "shop")).len(),
            1
        );
    }

    #[test]
    fn cluster_scoped_kinds_need_the_projects_word() {
        let project = json!({"destinations": [{"server": "*", "namespace": "*"}]});
        assert!(
            findings(project, "*", manifest("Namespace", ""))[0]
                .message
                .contains("clusterResourceWhitelist")
        );
    }

    #[test]
    fn placeholders_outside_of_secrets_need_the_word_of_project_and_applier() {
        let judged = |kinds: &[&str], allowed: &[&str], placeholders| {
            let strings = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect();
            let project = Project {
                name: "p".to_owned(),
                secret_kinds: strings(kinds),
                ..Project::default()
            };
            let bounds = Bounds {
                namespaces: Vec::new(),
                cluster_objects: true,
                accounts: Vec::new(),
                secret_kinds: strings(allowed),
            };
            let manifest = Manifest {
                placeholders,
                ..manifest("ConfigMap", "shop")
            };
            misplaced(&manifest, &project, &bounds).map(|finding| finding.message)
        };
        assert_eq!(judged(&[], &[], Placement::SecretData), None);
        let refused = judged(&["apps/Deployment"], &["*"], Placement::Elsewhere).unwrap();
        assert!(refused.contains("ConfigMap") && refused.contains("towline.dev/secret-kinds"));
        let bounded = judged(&["ConfigMap"], &["Ingress"], Placement::Elsewhere).unwrap();
        assert!(bounded.contains("--allow-secret-kinds"));
        assert_eq!(judged(&["ConfigMap"], &["*"], Placement::Elsewhere), None);
    }

    #[test]
    fn without_a_project_nothing_is_applied() {
        let spec: ApplicationSpec = serde_json::from_value(json!({"destination": {}})).unwrap();
        let bounds = Bounds {
            namespaces: vec!["*".to_owned()],
            cluster_objects: true,
            accounts: Vec::new(),
            secret_kinds: Vec::new(),
        };
        assert!(check(None, &spec, IN_CLUSTER, &bounds, &[])[0].blocks);
    }
}
