//! What counts of an Application object: a status written to it, or anything else that others keep there, wakes nobody. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use api::annotations;
use api::application::{Application, ApplicationSpec, Cascade};
use bus::{AppId, Digest};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use crate::had::Had;

/// An Application as the watch reads it: without operation and most of the status, which are large and not the watcher's business.
#[derive(Clone, Debug, Deserialize)]
pub struct Watched {
    pub metadata: ObjectMeta,
    pub spec: ApplicationSpec,
    /// What the status lists as its objects.
    #[serde(default, rename = "status")]
    pub had: Had,
}

impl kube::Resource for Watched {
    type DynamicType = ();
    type Scope = kube::core::NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Application::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        Application::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        Application::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        Application::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// What counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub id: AppId,
    pub uid: Arc<str>,
    pub spec: Arc<ApplicationSpec>,
    /// Those that can change what is desired.
    pub annotations: BTreeMap<String, String>,
    pub cascade: Option<Cascade>,
    pub deleting: bool,
    /// When that was asked for, Unix milliseconds.
    pub requested: Option<u64>,
    /// Whether hooks run when it is deleted, though its objects stay.
    pub delete_hooks: bool,
    pub refresh: Option<Refresh>,
    /// Told to be left alone.
    pub skip: bool,
}

/// The refresh annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    pub hard: bool,
    /// Tells one request from the next, where the asker sets it.
    pub timestamp: Option<String>,
}

impl Seen {
    /// None for an object without namespace, name or uid, which the API server has none of.
    pub fn of(object: Watched) -> Option<Self> {
        // The application's own rules about finalizers and annotations.
        let application = Application {
            metadata: object.metadata,
            ..Application::default()
        };
        let annotation = |key: &str| application.annotation(key);
        let refresh = annotation(annotations::REFRESH).map(|kind| Refresh {
            hard: kind == annotations::REFRESH_HARD,
            timestamp: annotation(annotations::REFRESH_TIMESTAMP).map(str::to_owned),
        });
        let skip = annotation(annotations::SKIP_RECONCILE) == Some("true");
        let (cascade, deleting) = (application.cascade(), application.is_being_deleted());
        let requested = application.deletion_requested();
        let delete_hooks = application.has_delete_hooks();
        let metadata = application.metadata;
        Some(Self {
            id: AppId::new(&metadata.namespace?, &metadata.name?).ok()?,
            uid: metadata.uid?.into(),
            spec: Arc::new(object.spec),
            annotations: metadata
                .annotations
                .unwrap_or_default()
                .into_iter()
                .filter(|(key, _)| annotations::matters(key))
                .collect(),
            cascade,
            deleting,
            requested,
            delete_hooks,
            refresh,
            skip,
        })
    }

    /// Whether a new refresh is asked for, compared with what was seen before.
    pub fn asks_anew(&self, before: Option<&Self>) -> bool {
        self.refresh.is_some() && before.map(|before| &before.refresh) != Some(&self.refresh)
    }

    /// Digest of all that a desired state carries of the object.
    pub fn content(&self, tracking: &impl serde::Serialize) -> Digest {
        content(&self.uid, &self.spec, &self.annotations, tracking)
    }
}

/// Digest of what a desired state carries of an object: two with the same need no new generation.
pub fn content(
    uid: &str,
    spec: &ApplicationSpec,
    annotations: &BTreeMap<String, String>,
    tracking: &impl serde::Serialize,
) -> Digest {
    // None of these has a map with other keys than strings: serializing can't fail.
    let body = serde_json::to_vec(&(uid, spec, annotations, tracking)).unwrap_or_default();
    Digest::of(&body)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(metadata: Value) -> Seen {
        let mut base = json!({"namespace": "argocd", "name": "web", "uid": "u"});
        let (Some(base_map), Value::Object(more)) = (base.as_object_mut(), metadata) else {
            panic!("objects")
        };
        base_map.extend(more);
        let object = json!({"metadata": base, "spec": {"destination": {}}, "status": {"sync": {"status": "Synced"}}});
        Seen::of(serde_json::from_value(object).unwrap()).unwrap()
    }

    #[test]
    fn what_others_write_does_not_count() {
        let before = seen(json!({"resourceVersion": "1"}));
        let after = seen(json!({
            "resourceVersion": "2", "generation": 4, "managedFields": [],
            "annotations": {"notified.notifications.argoproj.io": "{}", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
        }));
        assert_eq!(before, after);
    }

    #[test]
    fn an_annotation_with_meaning_counts() {
        let before = seen(json!({}));
        let after = seen(json!({"annotations": {"towline.dev/last-mile": "overlay"}}));
        assert_ne!(before, after);
        assert_ne!(before.content(&()), after.content(&()));
    }

    #[test]
    fn a_refresh_counts_but_is_no_part_of_what_is_desired() {
        let before = seen(json!({}));
        let after = seen(json!({"annotations": {"argocd.argoproj.io/refresh": "hard"}}));
        assert_eq!(
            after.refresh,
            Some(Refresh {
                hard: true,
                timestamp: None
            })
        );
        assert!(after.asks_anew(Some(&before)));
        assert!(!after.asks_anew(Some(&after)));
        assert_eq!(before.content(&()), after.content(&()));
    }

    #[test]
    fn a_deletion_is_seen_with_what_it_takes_along() {
        let seen = seen(json!({
            "deletionTimestamp": "2026-01-01T00:00:00Z",
            "finalizers": ["resources-finalizer.argocd.argoproj.io/background"],
        }));
        assert!(seen.deleting);
        assert_eq!(seen.cascade, Some(Cascade::Background));
        assert_eq!(seen.requested, Some(1_767_225_600_000));
    }
}
