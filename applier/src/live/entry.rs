//! One live object, reduced to what decisions need.

use api::annotations;
use serde_json::Value;

use crate::drift::Drift;
use crate::health::{Assessment, Health};

/// Annotation on a hook: the attempt that made it, so that a restart doesn't run it twice.
pub(crate) const ATTEMPT: &str = "towline.dev/attempt";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) uid: Box<str>,
    /// Comparable within one cluster, as Kubernetes documents since 1.35.
    pub(crate) resource_version: u64,
    /// Label `towline.dev/application`.
    pub(crate) hash: Option<Box<str>>,
    /// Annotation `argocd.argoproj.io/tracking-id`.
    pub(crate) tracking_id: Option<Box<str>>,
    /// Value of the instance label, where tracking goes by label.
    pub(crate) instance: Option<Box<str>>,
    pub(crate) attempt: Option<Box<str>>,
    pub(crate) deleting: bool,
    pub(crate) health: Option<Health>,
    /// Why the customization of its kind said nothing.
    pub(crate) warning: Option<Box<str>>,
    /// The reason of its worst pod, where one was looked for.
    pub(crate) pod_reason: Option<Box<str>>,
    pub(crate) drift: Option<Drift>,
    pub(crate) images: Vec<Box<str>>,
}

impl Entry {
    /// Without health, which scripts may say, and without drift, which needs the reference.
    pub(crate) fn of(object: &Value, label_key: &str) -> Option<Self> {
        let metadata = object.get("metadata")?;
        let label = |key: &str| {
            metadata["labels"]
                .get(key)
                .and_then(Value::as_str)
                .map(Into::into)
        };
        let note = |key: &str| {
            metadata["annotations"]
                .get(key)
                .and_then(Value::as_str)
                .map(Into::into)
        };
        Some(Self {
            uid: metadata.get("uid")?.as_str()?.into(),
            resource_version: version_of(object)?,
            hash: label(annotations::APPLICATION),
            tracking_id: note(annotations::TRACKING_ID),
            instance: label(label_key),
            attempt: note(ATTEMPT),
            deleting: metadata
                .get("deletionTimestamp")
                .is_some_and(|time| !time.is_null()),
            health: None,
            warning: None,
            pod_reason: None,
            drift: None,
            images: images(object),
        })
    }

    pub(crate) fn assessed(&mut self, assessment: Assessment) {
        self.health = assessment.health;
        self.warning = assessment.warning.map(Into::into);
    }

    /// Whether a decision could come out differently than with `other`.
    pub(crate) fn matters_beside(&self, other: &Self) -> bool {
        Self {
            resource_version: 0,
            ..self.clone()
        } != Self {
            resource_version: 0,
            ..other.clone()
        }
    }
}

/// The object's resource version as a number.
pub(crate) fn version_of(object: &Value) -> Option<u64> {
    object
        .get("metadata")?
        .get("resourceVersion")?
        .as_str()?
        .parse()
        .ok()
}

fn images(object: &Value) -> Vec<Box<str>> {
    let spec = &object["spec"];
    let pod = match object["kind"].as_str() {
        Some("Pod") => spec,
        Some("CronJob") => &spec["jobTemplate"]["spec"]["template"]["spec"],
        _ => &spec["template"]["spec"],
    };
    let mut images: Vec<Box<str>> = ["initContainers", "containers"]
        .iter()
        .filter_map(|list| pod[*list].as_array())
        .flatten()
        .filter_map(|container| container["image"].as_str())
        .map(Into::into)
        .collect();
    images.sort_unstable();
    images.dedup();
    images
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_new_resource_version_alone_matters_to_nobody() {
        let object = |version: &str, app: &str| {
            Entry::of(
                &json!({"kind": "ConfigMap", "metadata": {"uid": "u", "resourceVersion": version, "labels": {"towline.dev/application": app}}}),
                "app.kubernetes.io/instance",
            )
            .unwrap()
        };
        assert!(!object("1", "a").matters_beside(&object("2", "a")));
        assert!(object("1", "a").matters_beside(&object("1", "b")));
    }
}
