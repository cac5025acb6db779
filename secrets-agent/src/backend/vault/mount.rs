//! Which engine is mounted where: asked once per mount, since paths hold raw API paths and don't tell.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use crate::policy::SecretPath;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// KV version 2.
    Versioned,
    /// KV version 1.
    Plain,
    Other,
}

/// Mount paths with their closing slash. Vault lets no mount lie below another, so a prefix is enough.
#[derive(Default)]
pub(super) struct Mounts(Mutex<BTreeMap<String, Engine>>);

#[derive(Deserialize)]
struct Body {
    data: Mount,
}

#[derive(Deserialize)]
struct Mount {
    path: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    options: Option<BTreeMap<String, String>>,
}

impl Mounts {
    pub(super) fn of<'a>(&self, path: &'a SecretPath) -> Option<(&'a str, Engine)> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let path = path.as_str();
        path.match_indices('/').find_map(|(at, _)| {
            let mount = &path[..=at];
            known.get(mount).map(|engine| (mount, *engine))
        })
    }

    /// Takes Vault's description of the mount that `path` is in.
    pub(super) fn learn<'a>(&self, path: &'a SecretPath, body: &[u8]) -> Option<(&'a str, Engine)> {
        let Body { data } = serde_json::from_slice(body).ok()?;
        let engine = match (data.kind.as_str(), data.options) {
            ("kv" | "generic", options) => {
                let version = options.and_then(|mut options| options.remove("version"));
                if version.as_deref() == Some("2") {
                    Engine::Versioned
                } else {
                    Engine::Plain
                }
            }
            _ => Engine::Other,
        };
        let length = data.path.len();
        let is_prefix = path.as_str().starts_with(&data.path) && data.path.ends_with('/');
        is_prefix.then(|| {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(data.path, engine);
            (&path.as_str()[..length], engine)
        })
    }

    pub(super) fn forget(&self, mount: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(mount);
    }
}

/// The newest version in the answer to a read of metadata.
pub(super) fn newest_version(body: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Body {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        current_version: u64,
    }
    let Body { data } = serde_json::from_slice(body).ok()?;
    Some(data.current_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(mounts: &Mounts, path: &str, body: &str) -> Option<(String, Engine)> {
        let path = SecretPath::parse(path).unwrap();
        mounts
            .learn(&path, body.as_bytes())
            .map(|(mount, engine)| (mount.to_owned(), engine))
    }

    #[test]
    fn a_mount_is_known_for_every_path_below_it_once_it_was_told() {
        let mounts = Mounts::default();
        let path = SecretPath::parse("team/kv/data/x").unwrap();
        assert!(mounts.of(&path).is_none());
        let body = r#"{"data":{"path":"team/kv/","type":"kv","options":{"version":"2"}}}"#;
        assert_eq!(
            learn(&mounts, "team/kv/data/y", body),
            Some(("team/kv/".to_owned(), Engine::Versioned))
        );
        assert_eq!(mounts.of(&path), Some(("team/kv/", Engine::Versioned)));
        assert!(
            mounts
                .of(&SecretPath::parse("team/kvx/data/x").unwrap())
                .is_none()
        );
        mounts.forget("team/kv/");
        assert!(mounts.of(&path).is_none());
    }

    #[test]
    fn engines_are_told_apart() {
        for (options, kind, engine) in [
            (r#"{"version":"2"}"#, "kv", Engine::Versioned),
            (r#"{"version":"1"}"#, "kv", Engine::Plain),
            ("null", "kv", Engine::Plain),
            ("null", "pki", Engine::Other),
        ] {
            let body = format!(r#"{{"data":{{"path":"x/","type":"{kind}","options":{options}}}}}"#);
            assert_eq!(
                learn(&Mounts::default(), "x/y", &body),
                Some(("x/".to_owned(), engine))
            );
        }
    }

    #[test]
    fn a_mount_that_is_not_the_paths_is_not_believed() {
        for body in [
            r#"{"data":{"path":"y/","type":"kv"}}"#,
            r#"{"data":{"path":"x","type":"kv"}}"#,
            "{}",
        ] {
            assert_eq!(learn(&Mounts::default(), "x/y", body), None, "{body}");
        }
    }
}
