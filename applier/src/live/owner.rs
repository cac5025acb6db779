//! Whose a live object is, by what it says of itself.

use api::tracking::{TrackingId, instance_label};
use bus::message::desired::Tracking;

use super::Entry;
use crate::object::Key;

/// An application, as objects know it.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) hash: &'a str,
    pub(crate) tracking: &'a Tracking,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Proven to be the application's.
    Ours,
    /// Nobody's that we know: made by hand or by a tool.
    Nobodys,
    /// Another application's, by its name.
    Others(Box<str>),
}

impl Owner<'_> {
    /// A tracking id counts only if it names the very object it is on: controllers copy annotations and labels to children.
    pub(crate) fn claim(&self, key: &Key, entry: &Entry) -> Claim {
        let tracked = entry
            .tracking_id
            .as_deref()
            .and_then(TrackingId::parse)
            .filter(|id| names(id, key));
        if self.tracking.method.annotates() {
            if let Some(id) = tracked {
                let other_hash = entry.hash.as_deref().is_some_and(|hash| hash != self.hash);
                return if id.application == self.tracking.instance && !other_hash {
                    Claim::Ours
                } else {
                    Claim::Others(id.application.into())
                };
            }
            return Claim::Nobodys;
        }
        // By label: our own hash is the proof where it is, Argo CD's label on first contact.
        match (entry.hash.as_deref(), entry.instance.as_deref()) {
            (Some(hash), _) if hash == self.hash => Claim::Ours,
            (Some(hash), instance) => Claim::Others(instance.unwrap_or(hash).into()),
            (None, Some(instance)) if instance == instance_label(&self.tracking.instance) => {
                Claim::Ours
            }
            (None, Some(instance)) => Claim::Others(instance.into()),
            (None, None) => Claim::Nobodys,
        }
    }
}

fn names(id: &TrackingId, key: &Key) -> bool {
    *id.group == *key.group
        && *id.kind == *key.kind
        && *id.name == *key.name
        && (key.namespace.is_empty() || *id.namespace == *key.namespace)
}

#[cfg(test)]
mod tests {
    use api::tracking::TrackingMethod;
    use serde_json::json;

    use super::*;

    fn entry(metadata: serde_json::Value) -> Entry {
        let mut metadata = metadata;
        metadata["uid"] = "u".into();
        metadata["resourceVersion"] = "1".into();
        Entry::of(
            &json!({"kind": "ConfigMap", "metadata": metadata}),
            "app.kubernetes.io/instance",
        )
        .unwrap()
    }

    fn claim(method: TrackingMethod, metadata: serde_json::Value) -> Claim {
        let tracking = Tracking {
            method,
            label_key: "app.kubernetes.io/instance".to_owned(),
            instance: "web".to_owned(),
        };
        let key = Key::new("", "ConfigMap", "shop", "a");
        Owner {
            hash: "h",
            tracking: &tracking,
        }
        .claim(&key, &entry(metadata))
    }

    fn tracked(id: &str) -> serde_json::Value {
        json!({"annotations": {"argocd.argoproj.io/tracking-id": id}})
    }

    #[test]
    fn a_tracking_id_that_names_its_object_is_the_proof() {
        assert_eq!(
            claim(TrackingMethod::Annotation, tracked("web:/ConfigMap:shop/a")),
            Claim::Ours
        );
        assert_eq!(
            claim(TrackingMethod::Annotation, tracked("api:/ConfigMap:shop/a")),
            Claim::Others("api".into())
        );
    }

    #[test]
    fn a_copied_tracking_id_proves_nothing() {
        assert_eq!(
            claim(
                TrackingMethod::Annotation,
                tracked("web:apps/Deployment:shop/a")
            ),
            Claim::Nobodys
        );
        assert_eq!(
            claim(
                TrackingMethod::Annotation,
                tracked("web:/ConfigMap:other/a")
            ),
            Claim::Nobodys
        );
    }

    #[test]
    fn our_label_alone_proves_nothing_where_annotations_track() {
        let label = json!({"labels": {"towline.dev/application": "h"}});
        assert_eq!(
            claim(TrackingMethod::Annotation, label.clone()),
            Claim::Nobodys
        );
        assert_eq!(claim(TrackingMethod::Label, label), Claim::Ours);
    }
}
