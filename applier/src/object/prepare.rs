//! Rendered objects → manifests: each read once, put into its namespace, and stamped with whose it is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use api::annotations;
use api::project::VaultSecrets;
use api::tracking::{TrackingId, instance_label};
use api::vault_secret::{VaultSecret, is_vault_secret};
use bus::Generation;
use bus::message::condition::ConditionType;
use bus::message::desired::Tracking;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::hook::{Hook, Phase, Role, role, wave};
use super::key::group_version;
use super::{Body, Key, Manifest, Options};
use crate::secrets::Placement;

/// Everything about the application that its objects are marked by.
pub(crate) struct Stamp<'a> {
    pub(crate) tracking: &'a Tracking,
    /// Value of the label `towline.dev/application`.
    pub(crate) hash: &'a str,
    /// `destination.namespace`; may be empty.
    pub(crate) namespace: &'a str,
    /// The application's sync options.
    pub(crate) options: &'a [String],
    pub(crate) generation: Generation,
    /// As its project says.
    pub(crate) vault_secrets: VaultSecrets,
}

/// What a person should know about the manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) kind: ConditionType,
    pub(crate) message: String,
    /// Whether nothing of the release may be applied.
    pub(crate) blocks: bool,
    /// A kind that the cluster doesn't know yet, as (group, kind): worth another look when it does.
    pub(crate) unknown_kind: bool,
}

impl Finding {
    pub(crate) fn blocking(kind: ConditionType, message: String) -> Self {
        Self {
            kind,
            message,
            blocks: true,
            unknown_kind: false,
        }
    }

    pub(crate) fn warning(kind: ConditionType, message: String) -> Self {
        Self {
            kind,
            message,
            blocks: false,
            unknown_kind: false,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) manifests: Vec<Manifest>,
    pub(crate) findings: Vec<Finding>,
}

/// `namespaced` answers for (group, version, kind); none when the cluster doesn't know the kind.
pub(crate) fn prepare(
    objects: Vec<Value>,
    stamp: &Stamp<'_>,
    namespaced: impl Fn(&str, &str, &str) -> Option<bool>,
) -> Prepared {
    let brought = kinds_brought(&objects);
    let scope = |group: &str, version: &str, kind: &str| {
        namespaced(group, version, kind)
            .or_else(|| brought.get(&(group.to_owned(), kind.to_owned())).copied())
    };
    let mut prepared = Prepared::default();
    let mut seen: HashMap<Key, usize> = HashMap::new();
    for (object, phase) in objects.into_iter().flat_map(runs) {
        match manifest(object, phase, stamp, scope, &mut prepared.findings) {
            Ok(Some(manifest)) => {
                if let Some(&at) = seen.get(&manifest.key) {
                    prepared.findings.push(Finding::warning(
                        ConditionType::RepeatedResourceWarning,
                        format!(
                            "{} is rendered more than once; the last one counts",
                            manifest.key
                        ),
                    ));
                    prepared.manifests[at] = manifest;
                } else {
                    seen.insert(manifest.key.clone(), prepared.manifests.len());
                    prepared.manifests.push(manifest);
                }
            }
            Ok(None) => {}
            Err(finding) => prepared.findings.push(finding),
        }
    }
    prepared
}

/// A hook without a name of its own is another object in each of its phases; the phase is then said.
fn runs(object: Value) -> Vec<(Value, Option<Phase>)> {
    let metadata = &object["metadata"];
    let named = text(metadata, "name").is_some_and(|name| !name.is_empty());
    match role(&strings(&metadata["annotations"])) {
        Role::Hook(hook) if !named && hook.phases.len() > 1 => hook
            .phases
            .into_iter()
            .map(|phase| (object.clone(), Some(phase)))
            .collect(),
        _ => vec![(object, None)],
    }
}

fn manifest(
    body: Value,
    phase: Option<Phase>,
    stamp: &Stamp<'_>,
    scope: impl Fn(&str, &str, &str) -> Option<bool>,
    findings: &mut Vec<Finding>,
) -> Result<Option<Manifest>, Finding> {
    let invalid = |what: &str| Finding::blocking(ConditionType::InvalidSpecError, what.to_owned());
    let (mut body, filled) = taken(body, stamp.vault_secrets)?;
    let api_version = text(&body, "apiVersion")
        .ok_or_else(|| invalid("a rendered object has no apiVersion"))?
        .to_owned();
    let kind = text(&body, "kind")
        .ok_or_else(|| invalid(&format!("a rendered object of {api_version} has no kind")))?
        .to_owned();
    let (group, version) = group_version(&api_version);
    let notes = strings(&body["metadata"]["annotations"]);
    let hook = match role(&notes) {
        Role::Member => None,
        Role::Hook(hook) => Some(Hook {
            phases: phase.map_or(hook.phases, |phase| vec![phase]),
            renamed: text(&body["metadata"], "name").is_none_or(str::is_empty),
            ..hook
        }),
        Role::Skipped => return Ok(None),
        Role::Unsupported(words) => {
            let name = text(&body["metadata"], "name").unwrap_or_default();
            findings.push(Finding::warning(
                ConditionType::InvalidSpecError,
                format!("{kind} {name} is a hook of {words}, which nothing runs; it is left out"),
            ));
            return Ok(None);
        }
    };
    let wave = wave(&notes);
    let options = Options::read(&notes, stamp.options);
    let own_options: Vec<&str> = notes
        .get(annotations::SYNC_OPTIONS)
        .map(|text| text.split(',').collect())
        .unwrap_or_default();
    let option_warning = super::option_warning(&kind, &own_options);
    let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Err(invalid(&format!("a rendered {kind} has no metadata")));
    };
    let name = match (
        metadata.get("name").and_then(Value::as_str),
        metadata.get("generateName").and_then(Value::as_str),
    ) {
        (Some(name), _) if !name.is_empty() => name.to_owned(),
        // The same release after a restart must find its own hook again: the name is made of what both know.
        (_, Some(prefix)) if hook.is_some() => {
            let phase = phase.map_or(String::new(), |phase| {
                format!("-{}", phase.as_str().to_ascii_lowercase())
            });
            let name = format!("{prefix}{:x}{phase}", stamp.generation.0);
            metadata.remove("generateName");
            metadata.insert("name".to_owned(), name.clone().into());
            name
        }
        (_, Some(_)) => {
            return Err(invalid(&format!(
                "a {kind} has generateName, which only hooks may have: give it a name"
            )));
        }
        _ => return Err(invalid(&format!("a rendered {kind} has no name"))),
    };
    if let Some(warning) = option_warning {
        findings.push(Finding::warning(
            ConditionType::UnknownFieldWarning,
            format!("{name}: {warning}"),
        ));
    }
    let known = scope(group, version, &kind);
    let what = format!("{kind} {name}");
    let namespaced = known_scope(known, &what, &api_version, options.awaits_kind, findings)?;
    let namespace = if namespaced {
        let own = metadata
            .get("namespace")
            .and_then(Value::as_str)
            .filter(|own| !own.is_empty());
        let namespace = own.unwrap_or(stamp.namespace).to_owned();
        if namespace.is_empty() {
            return Err(invalid(&format!(
                "{kind} {name} names no namespace, and the application has no destination.namespace"
            )));
        }
        metadata.insert("namespace".to_owned(), namespace.clone().into());
        namespace
    } else {
        metadata.remove("namespace");
        String::new()
    };
    metadata.remove("creationTimestamp");
    metadata.remove("managedFields");
    let key = Key::new(group, &kind, &namespace, &name);
    let version: Box<str> = version.into();
    stamp.mark(metadata, &key);
    Ok(Some(Manifest {
        key,
        version,
        digest: digest(&body, filled.as_ref()),
        placeholders: placeholders(&body, filled.as_ref()),
        body: Body::from(&body),
        wave,
        hook,
        options,
        filled: filled.map(Arc::new),
    }))
}

fn placeholders(body: &Value, filled: Option<&VaultSecret>) -> Placement {
    let own = Placement::of(body);
    filled.map_or(own, |_| own.max(Placement::SecretData))
}

/// The Secret in the place of a `VaultSecret`, where that is wanted, and what its data is.
fn taken(object: Value, wanted: VaultSecrets) -> Result<(Value, Option<VaultSecret>), Finding> {
    if wanted == VaultSecrets::Apply || !is_vault_secret(&object) {
        return Ok((object, None));
    }
    let name = text(&object["metadata"], "name")
        .unwrap_or_default()
        .to_owned();
    match VaultSecret::take(object) {
        Ok((secret, source)) => Ok((secret, Some(source))),
        Err(error) => Err(Finding::blocking(
            ConditionType::SecretError,
            format!("VaultSecret {name}: {error}"),
        )),
    }
}

/// Whether the kind of `what` is namespaced. One that the cluster doesn't know blocks, unless the object `awaits` it.
fn known_scope(
    known: Option<bool>,
    what: &str,
    api_version: &str,
    awaits: bool,
    findings: &mut Vec<Finding>,
) -> Result<bool, Finding> {
    if let Some(namespaced) = known {
        return Ok(namespaced);
    }
    let unknown = format!("{what}: the cluster doesn't know this kind of {api_version}");
    let finding = |message: String| Finding {
        kind: ConditionType::SyncError,
        message,
        blocks: !awaits,
        unknown_kind: true,
    };
    if !awaits {
        return Err(finding(format!(
            "{unknown}; install its CustomResourceDefinition first"
        )));
    }
    findings.push(finding(format!(
        "{unknown} yet; the release waits for it where it comes to it"
    )));
    // What most kinds are. When the kind is there, the manifests are prepared anew.
    Ok(true)
}

impl Stamp<'_> {
    fn mark(&self, metadata: &mut Map<String, Value>, key: &Key) {
        let labels = child(metadata, "labels");
        labels.insert(annotations::APPLICATION.to_owned(), self.hash.into());
        if self.tracking.method.labels() {
            labels.insert(
                self.tracking.label_key.clone(),
                instance_label(&self.tracking.instance).into(),
            );
        }
        if self.tracking.method.annotates() {
            let namespace = if key.namespace.is_empty() {
                self.namespace
            } else {
                &key.namespace
            };
            let id = TrackingId {
                application: self.tracking.instance.clone(),
                group: key.group.to_string(),
                kind: key.kind.to_string(),
                namespace: namespace.to_owned(),
                name: key.name.to_string(),
            };
            child(metadata, "annotations")
                .insert(annotations::TRACKING_ID.to_owned(), id.to_string().into());
        }
    }
}

fn child<'a>(metadata: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let slot = metadata.entry(name).or_insert(Value::Null);
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    match slot {
        Value::Object(map) => map,
        _ => unreachable!("made an object just above"),
    }
}

/// Kinds that `CustomResourceDefinitions` among the objects will bring, as (group, kind) → namespaced.
fn kinds_brought(objects: &[Value]) -> HashMap<(String, String), bool> {
    objects
        .iter()
        .filter(|object| text(object, "kind") == Some("CustomResourceDefinition"))
        .filter_map(|object| {
            let spec = object.get("spec")?;
            let kind = text(spec.get("names")?, "kind")?;
            Some((
                (text(spec, "group")?.to_owned(), kind.to_owned()),
                text(spec, "scope")? == "Namespaced",
            ))
        })
        .collect()
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str()
}

/// The entries of labels or annotations.
pub(super) fn strings(map: &Value) -> BTreeMap<&str, &str> {
    map.as_object()
        .map(|map| {
            map.iter()
                .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
                .collect()
        })
        .unwrap_or_default()
}

/// 32 hexadecimal digits of SHA-256 over the object's JSON, and over what its data is filled from.
fn digest(body: &Value, filled: Option<&VaultSecret>) -> Box<str> {
    let mut hasher = Sha256::new();
    // Writing JSON into a hasher can't fail; if it ever did, the digest would only differ.
    let _ = serde_json::to_writer(HashWriter(&mut hasher), body);
    if let Some(source) = filled {
        let _ = serde_json::to_writer(HashWriter(&mut hasher), source);
    }
    hex::encode(&hasher.finalize()[..16]).into()
}

struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use api::tracking::TrackingMethod;
    use serde_json::json;

    use super::*;

    fn run(objects: Value) -> Prepared {
        run_with(objects, VaultSecrets::Apply)
    }

    fn run_with(objects: Value, vault_secrets: VaultSecrets) -> Prepared {
        let tracking = Tracking {
            method: TrackingMethod::AnnotationAndLabel,
            label_key: "app.kubernetes.io/instance".to_owned(),
            instance: "web".to_owned(),
        };
        let stamp = Stamp {
            tracking: &tracking,
            hash: "abc",
            namespace: "shop",
            options: &[],
            generation: Generation(255),
            vault_secrets,
        };
        let Value::Array(objects) = objects else {
            panic!("an array")
        };
        prepare(objects, &stamp, |_, _, kind| match kind {
            "ConfigMap" | "Job" | "Secret" => Some(true),
            "ClusterRole" => Some(false),
            _ => None,
        })
    }

    #[test]
    fn an_object_gets_its_namespace_and_says_whose_it_is() {
        let prepared =
            run(json!([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}]));
        let metadata = &prepared.manifests[0].body.value()["metadata"];
        assert_eq!(metadata["namespace"], "shop");
        assert_eq!(metadata["labels"]["towline.dev/application"], "abc");
        assert_eq!(metadata["labels"]["app.kubernetes.io/instance"], "web");
        assert_eq!(
            metadata["annotations"]["argocd.argoproj.io/tracking-id"],
            "web:/ConfigMap:shop/a"
        );
    }

    #[test]
    fn a_cluster_scoped_object_keeps_no_namespace() {
        let prepared = run(
            json!([{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "a", "namespace": "x"}}]),
        );
        assert_eq!(
            prepared.manifests[0].body.value()["metadata"].get("namespace"),
            None
        );
        assert!(prepared.manifests[0].key.namespace.is_empty());
    }

    #[test]
    fn a_vault_secret_is_the_secret_that_it_stands_for_where_the_project_says_so() {
        let objects = |path: &str| {
            json!([{"apiVersion": "ricoberger.de/v1alpha1", "kind": "VaultSecret", "metadata": {"name": "a",
                "annotations": {"argocd.argoproj.io/sync-wave": "-1"}}, "spec": {"path": path, "type": "Opaque"}}])
        };
        let prepared = run_with(objects("secret/app"), VaultSecrets::Resolve);
        let manifest = &prepared.manifests[0];
        assert_eq!(
            manifest.key.to_string(),
            Key::new("", "Secret", "shop", "a").to_string()
        );
        assert_eq!(manifest.wave, -1);
        assert_eq!(manifest.body.value().get("data"), None);
        assert_eq!(manifest.placeholders, Placement::SecretData);
        assert!(manifest.filled.is_some() && manifest.is_sensitive());
        let other = run_with(objects("secret/other"), VaultSecrets::Resolve);
        assert_ne!(manifest.digest, other.manifests[0].digest);
        // The cluster doesn't know the kind, and nobody takes it for something else.
        assert!(run(objects("secret/app")).findings[0].unknown_kind);
    }

    #[test]
    fn a_vault_secret_that_only_the_operator_understands_blocks() {
        let object = json!([{"apiVersion": "ricoberger.de/v1alpha1", "kind": "VaultSecret", "metadata": {"name": "a"},
            "spec": {"path": "pki", "secretEngine": "pki"}}]);
        let prepared = run_with(object, VaultSecrets::Resolve);
        assert!(prepared.findings[0].blocks);
        assert_eq!(prepared.findings[0].kind, ConditionType::SecretError);
        assert!(prepared.findings[0].message.contains("VaultSecret a"));
    }

    #[test]
    fn an_unknown_kind_blocks_and_says_what_to_do() {
        let prepared =
            run(json!([{"apiVersion": "x.io/v1", "kind": "Widget", "metadata": {"name": "a"}}]));
        assert!(prepared.findings[0].blocks && prepared.findings[0].unknown_kind);
        assert!(
            prepared.findings[0]
                .message
                .contains("CustomResourceDefinition")
        );
    }

    #[test]
    fn an_unknown_kind_is_waited_for_where_the_object_says_so() {
        let prepared = run(
            json!([{"apiVersion": "x.io/v1", "kind": "Widget", "metadata": {"name": "a",
            "annotations": {"argocd.argoproj.io/sync-options": "SkipDryRunOnMissingResource=true"}}}]),
        );
        assert!(!prepared.findings[0].blocks && prepared.findings[0].unknown_kind);
        assert_eq!(prepared.manifests.len(), 1);
    }

    #[test]
    fn a_kind_that_the_release_itself_brings_is_known() {
        let prepared = run(json!([
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}},
            {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "w"},
             "spec": {"group": "x.io", "scope": "Namespaced", "names": {"kind": "Widget"}}},
            {"apiVersion": "x.io/v1", "kind": "Widget", "metadata": {"name": "a"}},
        ]));
        assert!(
            prepared
                .manifests
                .iter()
                .any(|manifest| &*manifest.key.kind == "Widget")
        );
    }

    #[test]
    fn the_last_of_two_equal_objects_counts_with_a_warning() {
        let prepared = run(json!([
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"n": "1"}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"n": "2"}},
        ]));
        assert_eq!(prepared.manifests.len(), 1);
        assert_eq!(prepared.manifests[0].body.value()["data"]["n"], "2");
        assert_eq!(
            prepared.findings[0].kind,
            ConditionType::RepeatedResourceWarning
        );
    }

    #[test]
    fn a_generated_name_is_the_same_each_time_the_release_is_planned() {
        let job = json!([{"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"generateName": "migrate-", "annotations": {"argocd.argoproj.io/hook": "PreSync"}}}]);
        assert_eq!(&*run(job.clone()).manifests[0].key.name, "migrate-ff");
        assert_eq!(
            run(job.clone()).manifests[0].digest,
            run(job).manifests[0].digest
        );
    }

    #[test]
    fn a_generated_hook_of_several_phases_is_an_object_in_each() {
        let prepared = run(json!([{"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"generateName": "tell-", "annotations": {"argocd.argoproj.io/hook": "SyncFail,PostSync"}}}]));
        let names: Vec<&str> = prepared
            .manifests
            .iter()
            .map(|manifest| &*manifest.key.name)
            .collect();
        assert_eq!(names, ["tell-ff-postsync", "tell-ff-syncfail"]);
    }
}
