//! Which engine is mounted where: asked once per mount, since paths hold raw API paths and don't tell.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use serde::Deserialize;

use crate::policy::SecretPath;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// KV version 2.
    Versioned,
    /// KV version 1.
    Plain,
    /// Encrypts and decrypts what others keep.
    Transit,
    Other,
}

/// Mount paths with their closing slash. Vault lets no mount lie below another, so a prefix is enough.
#[derive(Default)]
pub(super) struct Mounts(Mutex<BTreeMap<String, Engine>>);

/// Asks for the mount that a path is in. vaultrs only has the endpoints below `sys/mounts`, which want rights that an agent should
/// not have; this one answers every token that has a right below the mount.
pub(super) struct MountOf<'a>(pub(super) &'a SecretPath);

impl Endpoint for MountOf<'_> {
    type Response = Mount;
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        format!("sys/internal/ui/mounts/{}", self.0)
    }

    fn method(&self) -> RequestMethod {
        RequestMethod::GET
    }
}

#[derive(Deserialize)]
pub(super) struct Mount {
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
    pub(super) fn learn<'a>(
        &self,
        path: &'a SecretPath,
        mount: Mount,
    ) -> Option<(&'a str, Engine)> {
        let engine = match (mount.kind.as_str(), mount.options) {
            ("kv" | "generic", options) => {
                let version = options.and_then(|mut options| options.remove("version"));
                if version.as_deref() == Some("2") {
                    Engine::Versioned
                } else {
                    Engine::Plain
                }
            }
            ("transit", _) => Engine::Transit,
            _ => Engine::Other,
        };
        let length = mount.path.len();
        let is_prefix = path.as_str().starts_with(&mount.path) && mount.path.ends_with('/');
        is_prefix.then(|| {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(mount.path, engine);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(mounts: &Mounts, path: &str, mount: &str) -> Option<(String, Engine)> {
        let path = SecretPath::parse(path).unwrap();
        mounts
            .learn(&path, serde_json::from_str(mount).unwrap())
            .map(|(mount, engine)| (mount.to_owned(), engine))
    }

    #[test]
    fn a_mount_is_known_for_every_path_below_it_once_it_was_told() {
        let mounts = Mounts::default();
        let path = SecretPath::parse("team/kv/data/x").unwrap();
        assert!(mounts.of(&path).is_none());
        let mount = r#"{"path":"team/kv/","type":"kv","options":{"version":"2"}}"#;
        assert_eq!(
            learn(&mounts, "team/kv/data/y", mount),
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
            ("null", "transit", Engine::Transit),
            ("null", "pki", Engine::Other),
        ] {
            let mount = format!(r#"{{"path":"x/","type":"{kind}","options":{options}}}"#);
            assert_eq!(
                learn(&Mounts::default(), "x/y", &mount),
                Some(("x/".to_owned(), engine))
            );
        }
    }

    #[test]
    fn a_mount_that_is_not_the_paths_is_not_believed() {
        for mount in [
            r#"{"path":"y/","type":"kv"}"#,
            r#"{"path":"x","type":"kv"}"#,
        ] {
            assert_eq!(learn(&Mounts::default(), "x/y", mount), None, "{mount}");
        }
    }
}
