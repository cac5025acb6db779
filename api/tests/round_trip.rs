//! Reading an object and writing it changes nothing.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use api::{AppProject, Application};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn application() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": "web", "namespace": "argocd", "uid": "u", "resourceVersion": "7",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "annotations": {"argocd.argoproj.io/refresh": "hard"},
            "finalizers": ["resources-finalizer.argocd.argoproj.io"],
        },
        "spec": {
            "project": "",
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "web"},
            "source": {
                "repoURL": "https://example.org/a.git", "path": "apps/web", "targetRevision": "main",
                "ref": "r", "name": "n", "tagPrefix": "p/",
                "helm": {
                    "valueFiles": [], "values": "a: 1\n", "valuesObject": {"a": {"b": [1, 2.5, null, "x"]}},
                    "parameters": [{"name": "a", "value": "b", "forceString": true}],
                    "fileParameters": [{"name": "f", "path": "p"}],
                    "releaseName": "r", "version": "v3", "passCredentials": false, "skipCrds": true,
                    "ignoreMissingValueFiles": true, "namespace": "n", "kubeVersion": "1.30",
                    "apiVersions": ["v1"], "skipTests": true, "skipSchemaValidation": false,
                },
                "kustomize": {
                    "images": ["a=b:c"], "commonLabels": {"a": "b"}, "namePrefix": "x-", "nameSuffix": "-y",
                    "replicas": [{"name": "a", "count": 3}, {"name": "b", "count": "4"}],
                    "patches": [{"path": "p", "target": {"kind": "Deployment", "labelSelector": "a=b"}, "options": {"allowNameChange": true}}],
                    "components": ["../c"], "forceCommonLabels": true, "commonAnnotationsEnvsubst": true,
                    "labelWithoutSelector": false, "labelIncludeTemplates": true, "ignoreMissingComponents": true,
                },
                "directory": {"recurse": true, "include": "*.yaml", "exclude": "x", "disableExtensionFilter": true,
                    "jsonnet": {"extVars": [{"name": "a", "value": "b", "code": true}], "tlas": [{"name": "c", "value": ""}], "libs": ["l"]}},
                "plugin": {"name": "p", "env": [{"name": "A", "value": "b"}],
                    "parameters": [{"name": "s", "string": "x"}, {"name": "m", "map": {"a": "b"}}, {"name": "l", "array": []}]},
            },
            "sources": [{"repoURL": "oci://r/c", "chart": "c"}],
            "syncPolicy": {
                "automated": {"prune": true, "selfHeal": false, "allowEmpty": true, "enabled": false},
                "syncOptions": ["CreateNamespace=true"],
                "retry": {"limit": -1, "backoff": {"duration": "5s", "factor": 2, "maxDuration": "3m"}, "refresh": true},
                "managedNamespaceMetadata": {"labels": {"a": "b"}, "annotations": {}},
            },
            "ignoreDifferences": [{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"], "jqPathExpressions": [], "managedFieldsManagers": ["x"]}],
            "info": [{"name": "url", "value": "https://example.org"}],
            "revisionHistoryLimit": 0,
            "sourceHydrator": {"drySource": {"repoURL": "a", "targetRevision": "b", "path": "c"}, "syncSource": {"targetBranch": "d", "path": "e"}, "hydrateTo": {"targetBranch": "f"}},
        },
        "operation": {"sync": {"revision": "abc", "prune": true, "syncStrategy": {"hook": {"force": true}, "apply": {}}, "resources": [{"kind": "Job", "name": "j"}], "autoHealAttemptsCount": 1}, "initiatedBy": {"username": "u", "automated": true}, "retry": {}},
        "status": {
            "sync": {"status": "OutOfSync", "revision": "abc", "revisions": ["a"], "comparedTo": {"destination": {}, "source": {"repoURL": "a"}}},
            "health": {"status": "Perplexed", "message": "m", "lastTransitionTime": "2026-01-02T03:04:05.678+02:00"},
            "resources": [{"kind": "Pod", "version": "v1", "name": "p", "status": "Synced", "health": {"status": "Healthy"}, "hook": true, "requiresPruning": true, "syncWave": -3, "requiresDeletionConfirmation": true}],
            "conditions": [{"type": "SyncError", "message": "m", "lastTransitionTime": "2026-01-02T03:04:05Z"}],
            "history": [{"id": 0, "deployedAt": "2026-01-02T03:04:05Z", "deployStartedAt": "2026-01-02T03:04:05Z", "revision": "a", "source": {"repoURL": "a"}, "initiatedBy": {}}],
            "operationState": {"operation": {}, "phase": "Succeeded", "startedAt": "2026-01-02T03:04:05Z", "finishedAt": "2026-01-02T03:04:06Z", "message": "m", "retryCount": 2,
                "syncResult": {"revision": "a", "resources": [{"group": "", "version": "v1", "kind": "Pod", "namespace": "n", "name": "p", "status": "Synced", "message": "m", "hookType": "PreSync", "hookPhase": "Running", "syncPhase": "Sync", "images": ["i"]}]}},
            "reconciledAt": "2026-01-02T03:04:05Z", "observedAt": "2026-01-02T03:04:05Z", "sourceType": "Helm", "sourceTypes": ["Helm", "Directory"],
            "summary": {"externalURLs": ["u"], "images": ["i"], "isAppOfApps": true}, "controllerNamespace": "argocd", "resourceHealthSource": "appTree",
            "sourceHydrator": {"currentOperation": {"phase": "Hydrating", "message": "", "startedAt": "2026-01-02T03:04:05Z", "drySHA": "a"}, "lastComparedDryRevision": "b"},
        },
    })
}

fn project() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "team", "namespace": "argocd"},
        "spec": {
            "description": "d", "sourceRepos": ["*", "!https://x/**"],
            "destinations": [{"server": "*", "namespace": "team-*", "name": "n"}],
            "roles": [{"name": "r", "description": "d", "policies": ["p, x"], "groups": ["g"], "jwtTokens": [{"iat": 1, "exp": 2, "id": "i"}]}],
            "clusterResourceWhitelist": [{"group": "", "kind": "Namespace", "name": "team-*"}],
            "clusterResourceBlacklist": [], "namespaceResourceWhitelist": [], "namespaceResourceBlacklist": [{"group": "", "kind": "ResourceQuota"}],
            "orphanedResources": {"warn": false, "ignore": [{"kind": "ConfigMap"}]},
            "syncWindows": [{"kind": "allow", "schedule": "* * * * *", "duration": "1h", "applications": ["*"], "namespaces": [], "clusters": [], "manualSync": true, "timeZone": "UTC", "andOperator": true, "description": "d", "syncOverrun": true}],
            "signatureKeys": [{"keyID": "k"}], "sourceNamespaces": ["a"], "permitOnlyProjectScopedClusters": true,
            "destinationServiceAccounts": [{"server": "s", "namespace": "n", "defaultServiceAccount": "d"}],
            "sourceIntegrity": {"git": {"policies": [{"repos": [{"url": "u"}], "gpg": {"mode": "head", "keys": ["k"]}}]}},
        },
        "status": {"jwtTokensByRole": {"r": {"items": [{"iat": 1}]}}},
    })
}

fn again<T: serde::Serialize + serde::de::DeserializeOwned>(value: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<T>(value.clone()).unwrap()).unwrap()
}

/// Every object in the value gets a field that nobody knows.
fn sprinkle(value: &mut Value, free: bool) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields.iter_mut() {
                // Maps of strings and the server's own metadata have no room for other values.
                let map = matches!(
                    key.as_str(),
                    "commonLabels"
                        | "labels"
                        | "annotations"
                        | "options"
                        | "map"
                        | "metadata"
                        | "jwtTokensByRole"
                );
                sprinkle(inner, !map);
            }
            if free {
                fields.insert("zzzUnknown".to_owned(), json!({"deep": [1, {"er": null}]}));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| sprinkle(item, free)),
        _ => {}
    }
}

#[test]
fn an_application_with_every_field_survives() {
    assert_eq!(again::<Application>(&application()), application());
}

#[test]
fn a_project_with_every_field_survives() {
    assert_eq!(again::<AppProject>(&project()), project());
}

#[test]
fn unknown_fields_survive_at_every_level() {
    let mut value = application();
    sprinkle(&mut value, true);
    assert_eq!(again::<Application>(&value), value);
    let mut value = project();
    sprinkle(&mut value, true);
    assert_eq!(again::<AppProject>(&value), value);
}

#[test]
fn no_known_field_is_taken_for_an_unknown_one() {
    let app: Application = serde_json::from_value(application()).unwrap();
    assert_eq!(
        app.spec.unknown_fields().into_iter().collect::<Vec<_>>(),
        Vec::<String>::new()
    );
    assert!(app.extra.is_empty());
    assert!(app.status.unwrap().extra.is_empty());
}

/// The object with some of its fields left out, chosen by the bits.
fn thin(value: &Value, bits: &mut impl Iterator<Item = bool>, required: &[&str]) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .filter_map(|(key, inner)| {
                    let keep = required.contains(&key.as_str()) || bits.next().unwrap_or(true);
                    keep.then(|| (key.clone(), thin(inner, bits, required)))
                })
                .collect::<Map<_, _>>(),
        ),
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| thin(item, bits, required))
                .collect(),
        ),
        other => other.clone(),
    }
}

const REQUIRED: &[&str] = &[
    "metadata",
    "spec",
    "destination",
    "repoURL",
    "name",
    "value",
    "kind",
    "count",
    "drySource",
    "syncSource",
    "targetRevision",
    "path",
    "targetBranch",
    "operation",
    "phase",
    "startedAt",
    "revision",
    "group",
    "version",
    "namespace",
    "status",
    "deployedAt",
    "id",
    "type",
    "message",
    "iat",
    "url",
    "keyID",
    "server",
    "defaultServiceAccount",
];

proptest! {
    #[test]
    fn absent_stays_absent(bits in prop::collection::vec(any::<bool>(), 0..200)) {
        let app = thin(&application(), &mut bits.iter().copied(), REQUIRED);
        prop_assert_eq!(again::<Application>(&app), app);
        let project = thin(&project(), &mut bits.iter().copied(), REQUIRED);
        prop_assert_eq!(again::<AppProject>(&project), project);
    }
}
