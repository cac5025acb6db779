//! How a live object says which application it belongs to.

use std::fmt;

use sha2::{Digest, Sha256};

open_enum! {
    /// Where Argo CD's tracking information is kept.
    #[derive(Default)]
    pub enum TrackingMethod {
        #[default]
        Annotation = "annotation",
        Label = "label",
        AnnotationAndLabel = "annotation+label",
    }
}

impl TrackingMethod {
    /// Whether objects carry the tracking id; a word that isn't known means the default.
    pub fn annotates(&self) -> bool {
        !matches!(self, Self::Label)
    }

    /// Whether objects carry the instance label.
    pub fn labels(&self) -> bool {
        matches!(self, Self::Label | Self::AnnotationAndLabel)
    }
}

/// The value of `argocd.argoproj.io/tracking-id`: an application, and the object that the
/// annotation is on. A controller that copies annotations to children copies the parent's name
/// too, which is how a copy is told from the original.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrackingId {
    /// Argo CD's instance name, see [`instance_name`].
    pub application: String,
    pub group: String,
    pub kind: String,
    /// For cluster-scoped objects Argo CD writes the destination's namespace.
    pub namespace: String,
    pub name: String,
}

impl TrackingId {
    /// Reads `<app>:<group>/<kind>:<namespace>/<name>`. The name may hold colons (RBAC's do).
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let (application, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
        let (group, kind) = pair(kind)?;
        let (namespace, name) = pair(name)?;
        Some(Self {
            application: application.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for TrackingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}/{}:{}/{}",
            self.application, self.group, self.kind, self.namespace, self.name
        )
    }
}

fn pair(text: &str) -> Option<(&str, &str)> {
    text.split_once('/')
        .filter(|(_, second)| !second.contains('/'))
}

/// Argo CD's name of an application: bare in the control namespace, `<namespace>_<name>` elsewhere.
pub fn instance_name(namespace: &str, name: &str, control_namespace: &str) -> String {
    if namespace.is_empty() || namespace == control_namespace {
        name.to_owned()
    } else {
        format!("{namespace}_{name}")
    }
}

/// The namespace and name behind an instance name. Neither holds an underscore.
pub fn parse_instance_name<'a>(
    instance: &'a str,
    control_namespace: &'a str,
) -> (&'a str, &'a str) {
    instance
        .split_once('_')
        .unwrap_or((control_namespace, instance))
}

/// The value of the instance label: the name, cut to what a label holds.
pub fn instance_label(instance: &str) -> &str {
    const MAX: usize = 63;
    if instance.len() <= MAX {
        return instance;
    }
    let mut end = MAX;
    while !instance.is_char_boundary(end) {
        end -= 1;
    }
    instance[..end].trim_end_matches(|symbol: char| !symbol.is_ascii_alphanumeric())
}

/// The value of the label `towline.dev/application`: 40 hex digits of a hash of `<ns>/<name>`.
pub fn application_label(namespace: &str, name: &str) -> String {
    let digest = Sha256::new()
        .chain_update(namespace)
        .chain_update("/")
        .chain_update(name)
        .finalize();
    hex::encode(&digest[..20])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracking_id_survives_the_round_trip() {
        let text = "web:apps/Deployment:shop/frontend";
        assert_eq!(TrackingId::parse(text).unwrap().to_string(), text);
        let core = "team-a_web:/ConfigMap:shop/settings";
        assert_eq!(TrackingId::parse(core).unwrap().group, "");
    }

    #[test]
    fn a_name_may_hold_colons() {
        let id =
            TrackingId::parse("web:rbac.authorization.k8s.io/ClusterRole:shop/system:x:y").unwrap();
        assert_eq!(id.name, "system:x:y");
    }

    #[test]
    fn other_texts_are_no_tracking_id() {
        for text in [
            "",
            "web",
            "web:apps/Deployment",
            "web:Deployment:shop/x",
            "w:a/b:c",
            "w:a/b/c:d/e",
        ] {
            assert_eq!(TrackingId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn outside_the_control_namespace_the_name_carries_it() {
        assert_eq!(instance_name("argocd", "web", "argocd"), "web");
        assert_eq!(instance_name("team-a", "web", "argocd"), "team-a_web");
        assert_eq!(
            parse_instance_name("team-a_web", "argocd"),
            ("team-a", "web")
        );
        assert_eq!(parse_instance_name("web", "argocd"), ("argocd", "web"));
    }

    #[test]
    fn the_label_fits_whatever_the_name() {
        let label = application_label("argocd", &"x".repeat(253));
        assert_eq!(label.len(), 40);
        assert_ne!(label, application_label("argocd", "x"));
        assert_eq!(instance_label(&format!("{}-.b", "a".repeat(61))).len(), 61);
    }
}
