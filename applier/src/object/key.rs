//! The identity of a live object within one cluster, whatever its version.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Parts", into = "Parts")]
pub(crate) struct Key {
    pub(crate) group: Box<str>,
    pub(crate) kind: Box<str>,
    /// Empty for cluster-scoped objects.
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
}

/// Short on disk: an inventory holds many.
type Parts = (Box<str>, Box<str>, Box<str>, Box<str>);

impl From<Parts> for Key {
    fn from((group, kind, namespace, name): Parts) -> Self {
        Self {
            group,
            kind,
            namespace,
            name,
        }
    }
}

impl From<Key> for Parts {
    fn from(key: Key) -> Self {
        (key.group, key.kind, key.namespace, key.name)
    }
}

impl Key {
    pub(crate) fn new(group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            group: group.into(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The reverse of [`Key::path`].
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        match parts[..] {
            [group, kind, namespace, name] if !kind.is_empty() && !name.is_empty() => {
                Some(Self::new(group, kind, namespace, name))
            }
            _ => None,
        }
    }

    pub(crate) fn is_secret(&self) -> bool {
        self.group.is_empty() && &*self.kind == "Secret"
    }

    /// `group/kind/namespace/name`, as commands name an object.
    pub(crate) fn path(&self) -> String {
        format!(
            "{}/{}/{}/{}",
            self.group, self.kind, self.namespace, self.name
        )
    }

    /// Whether a command's name means this object: a namespace that is left out is any.
    pub(crate) fn is_named(&self, path: &str) -> bool {
        let mut parts = path.splitn(4, '/');
        let mut part = || parts.next().unwrap_or_default();
        let (group, kind, namespace, name) = (part(), part(), part(), part());
        (group, kind, name) == (&*self.group, &*self.kind, &*self.name)
            && (namespace.is_empty() || *namespace == *self.namespace)
    }
}

/// For people: `Deployment shop/web`, with the group where it isn't a well-known one's.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if self.group.contains('.') && !self.group.ends_with(".k8s.io") {
            write!(f, ".{}", self.group)?;
        }
        f.write_str(" ")?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// `apps/v1` → (`apps`, `v1`); the core group is empty.
pub(crate) fn group_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_namespace_means_the_object_in_any() {
        let key = Key::new("apps", "Deployment", "shop", "web");
        assert!(key.is_named(&key.path()) && key.is_named("apps/Deployment//web"));
        assert!(!key.is_named("apps/Deployment/other/web"));
        assert!(!key.is_named("Deployment/web") && !key.is_named(""));
    }
}
