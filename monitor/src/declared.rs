//! What the control cluster says of an `Application`, reduced to what the monitor needs: a thousand of them stay in memory.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use api::annotations;
use api::application::{ApplicationDestination, ApplicationSource, ApplicationSpec};
use bus::AppId;
use kube::api::DynamicObject;
use serde_json::Value;

/// Label that names the environment an application belongs to.
pub const ENVIRONMENT: &str = "towline.dev/environment";
/// Label that names the service an application is an instance of.
pub const SERVICE: &str = "towline.dev/service";

/// Why an object can't be followed.
#[derive(Debug, thiserror::Error)]
pub enum DeclaredError {
    #[error("an Application without a {0}")]
    Incomplete(&'static str),
    #[error("an Application whose name can't be used")]
    Name(#[from] bus::identity::IdentityError),
}

/// An `Application` object.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    pub app: AppId,
    pub uid: String,
    pub resource_version: String,
    pub project: String,
    pub destination: ApplicationDestination,
    pub sources: Arc<Vec<ApplicationSource>>,
    /// Whether the sources stand in `spec.sources`: the status then has them in the plural as well.
    pub plural: bool,
    pub automated: bool,
    pub environment: Option<String>,
    pub service: Option<String>,
    pub finalizers: Vec<String>,
    pub deleting: bool,
    pub refresh: Option<RefreshRequest>,
    /// As it stands in the object.
    pub operation: Option<Value>,
    pub shown: Shown,
}

/// The refresh annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshRequest {
    pub value: String,
    /// `argocd.argoproj.io/refresh-timestamp`, which tells one request from the next.
    pub stamp: Option<String>,
    /// When it was set (Unix milliseconds, in whole seconds), as the object's field managers say.
    pub set: Option<u64>,
    /// The object's version when it was first seen; None if it was there before we looked.
    pub seen: Option<u64>,
}

/// The status that the object shows now: a digest per field, since the monitor writes it but never decides by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub exists: bool,
    pub fields: BTreeMap<String, u64>,
    /// `status.sync.revision` or `.revisions`.
    pub revisions: Vec<String>,
}

impl Declared {
    pub fn read(object: &DynamicObject) -> Result<Self, DeclaredError> {
        let meta = &object.metadata;
        let need = |field: Option<&String>, name| {
            field
                .filter(|text| !text.is_empty())
                .cloned()
                .ok_or(DeclaredError::Incomplete(name))
        };
        let app = AppId::new(
            &need(meta.namespace.as_ref(), "namespace")?,
            &need(meta.name.as_ref(), "name")?,
        )?;
        // A spec that can't be read is the watcher's to report; here it is as if it were empty.
        let spec: ApplicationSpec = object
            .data
            .get("spec")
            .cloned()
            .and_then(|spec| serde_json::from_value(spec).ok())
            .unwrap_or_default();
        let label = |key| {
            let labels = meta.labels.as_ref()?;
            labels.get(key).filter(|text| !text.is_empty()).cloned()
        };
        Ok(Self {
            app,
            uid: need(meta.uid.as_ref(), "uid")?,
            resource_version: need(meta.resource_version.as_ref(), "resourceVersion")?,
            project: spec.project().to_owned(),
            sources: Arc::new(spec.sources().to_vec()),
            plural: spec
                .sources
                .as_ref()
                .is_some_and(|sources| !sources.is_empty()),
            automated: spec.automated(),
            destination: spec.destination,
            environment: label(ENVIRONMENT),
            service: label(SERVICE),
            finalizers: meta.finalizers.clone().unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            refresh: refresh(object),
            operation: object
                .data
                .get("operation")
                .filter(|value| !value.is_null())
                .cloned(),
            shown: Shown::of(object.data.get("status")),
        })
    }

    /// Takes over what only a look at both versions can tell, `before` being the one that this one follows.
    pub fn follows(&mut self, before: &Self) {
        let Some(refresh) = &mut self.refresh else {
            return;
        };
        let same = |known: &&RefreshRequest| {
            (&known.value, &known.stamp, known.set) == (&refresh.value, &refresh.stamp, refresh.set)
        };
        refresh.seen = match before.refresh.as_ref().filter(same) {
            Some(known) => known.seen,
            None => version(&self.resource_version),
        };
    }
}

/// A resource version as a number: versions of one resource can be compared since Kubernetes 1.35, and before in practice.
pub fn version(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn refresh(object: &DynamicObject) -> Option<RefreshRequest> {
    let annotations = object.metadata.annotations.as_ref()?;
    let value = annotations.get(annotations::REFRESH)?.clone();
    let pointer = format!(
        "/f:metadata/f:annotations/f:{}",
        escape(annotations::REFRESH)
    );
    let set = object
        .metadata
        .managed_fields
        .iter()
        .flatten()
        .filter(|entry| {
            let fields = entry.fields_v1.as_ref();
            fields.is_some_and(|fields| fields.0.pointer(&pointer).is_some())
        })
        .filter_map(|entry| u64::try_from(entry.time.as_ref()?.0.as_millisecond()).ok())
        .max();
    Some(RefreshRequest {
        value,
        stamp: annotations.get(annotations::REFRESH_TIMESTAMP).cloned(),
        set,
        seen: None,
    })
}

impl Shown {
    pub fn of(status: Option<&Value>) -> Self {
        let Some(Value::Object(fields)) = status else {
            return Self::default();
        };
        let sync = fields.get("sync");
        let plural = sync.and_then(|sync| sync.get("revisions")?.as_array());
        let revisions = match plural {
            Some(several) => several
                .iter()
                .filter_map(|revision| Some(revision.as_str()?.to_owned()))
                .collect(),
            None => sync
                .and_then(|sync| sync.get("revision")?.as_str())
                .map(ToOwned::to_owned)
                .into_iter()
                .collect(),
        };
        Self {
            exists: true,
            fields: fields
                .iter()
                .map(|(name, value)| (name.clone(), fingerprint(value)))
                .collect(),
            revisions,
        }
    }
}

/// A digest of a JSON value that doesn't depend on the order of keys.
pub fn fingerprint(value: &Value) -> u64 {
    fn feed(value: &Value, hasher: &mut DefaultHasher) {
        match value {
            Value::Null => 0_u8.hash(hasher),
            Value::Bool(flag) => (1_u8, flag).hash(hasher),
            Value::Number(number) => (2_u8, number.to_string()).hash(hasher),
            Value::String(text) => (3_u8, text).hash(hasher),
            Value::Array(items) => {
                (4_u8, items.len()).hash(hasher);
                for item in items {
                    feed(item, hasher);
                }
            }
            Value::Object(fields) => {
                (5_u8, fields.len()).hash(hasher);
                let sorted: BTreeMap<_, _> = fields.iter().collect();
                for (name, field) in sorted {
                    name.hash(hasher);
                    feed(field, hasher);
                }
            }
        }
    }
    let mut hasher = DefaultHasher::new();
    feed(value, &mut hasher);
    hasher.finish()
}

/// A key as one token of a JSON pointer.
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(object: Value) -> Result<Declared, DeclaredError> {
        Declared::read(&serde_json::from_value(object).unwrap())
    }

    fn object() -> Value {
        json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {
                "namespace": "argocd", "name": "dome", "uid": "u", "resourceVersion": "7",
                "labels": {"towline.dev/environment": "summit"},
                "annotations": {"argocd.argoproj.io/refresh": "hard"},
                "managedFields": [{
                    "manager": "kubectl", "time": "2026-03-04T05:06:07Z", "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:metadata": {"f:annotations": {"f:argocd.argoproj.io/refresh": {}}}}
                }]
            },
            "spec": {"destination": {"namespace": "dome"}, "source": {"repoURL": "https://example.org/a"}},
            "status": {"sync": {"status": "Synced", "revision": "abc"}, "health": {"status": "Healthy"}}
        })
    }

    #[test]
    fn an_object_is_reduced_to_what_counts() {
        let declared = read(object()).unwrap();
        assert_eq!(declared.app.to_string(), "argocd/dome");
        assert_eq!(declared.project, "default");
        assert_eq!(declared.environment.as_deref(), Some("summit"));
        assert_eq!(declared.shown.revisions, ["abc"]);
        assert!(!declared.plural && !declared.automated && !declared.deleting);
        let refresh = declared.refresh.unwrap();
        assert_eq!(refresh.value, "hard");
        assert_eq!(refresh.set, Some(1_772_600_767_000));
    }

    #[test]
    fn a_spec_that_cannot_be_read_hides_no_application() {
        let mut broken = object();
        broken["spec"] = json!({"destination": "everywhere"});
        assert!(read(broken).unwrap().sources.is_empty());
    }

    #[test]
    fn an_object_without_identity_is_an_error() {
        let mut nameless = object();
        nameless["metadata"]["uid"] = Value::Null;
        assert!(read(nameless).is_err());
    }

    #[test]
    fn the_order_of_keys_makes_no_difference() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":[true,null]}"#).unwrap();
        let other: Value = serde_json::from_str(r#"{"b":[true,null],"a":1}"#).unwrap();
        assert_eq!(fingerprint(&one), fingerprint(&other));
        assert_ne!(
            fingerprint(&one),
            fingerprint(&json!({"a": 1, "b": [null, true]}))
        );
    }
}
