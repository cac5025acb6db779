//! One object as it is to be applied, before secrets.

use std::sync::Arc;

use api::vault_secret::VaultSecret;

use super::{Body, Hook, Key, Options};
use crate::cluster::Content;
use crate::secrets::{BodyError, Placement, Resolved, body};

#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) key: Key,
    pub(crate) version: Box<str>,
    /// Defaulted to its namespace and stamped with whose it is; placeholders still in it.
    pub(crate) body: Body,
    /// SHA-256 over the body, hexadecimal, cut to 32 digits.
    pub(crate) digest: Box<str>,
    pub(crate) wave: i64,
    pub(crate) hook: Option<Hook>,
    pub(crate) options: Options,
    /// What its data is filled from, of a Secret that stands in the place of a `VaultSecret`.
    pub(crate) filled: Option<Arc<VaultSecret>>,
    /// Where secret references are in it: its resolved form is then compared by keyed digest.
    pub(crate) placeholders: Placement,
}

impl Manifest {
    /// Whether each release makes it anew (`Replace=true,Force=true`), as Argo CD does. What holds other objects is never deleted
    /// for that.
    pub(crate) fn recreates(&self) -> bool {
        self.options.replace && self.is_forced()
    }

    /// Whether it may be deleted to be made anew.
    pub(crate) fn is_forced(&self) -> bool {
        let holds_others = matches!(
            (&*self.key.group, &*self.key.kind),
            ("", "Namespace") | ("apiextensions.k8s.io", "CustomResourceDefinition")
        );
        self.options.force && !holds_others
    }

    /// Whether an error about it could quote a secret.
    pub(crate) fn is_sensitive(&self) -> bool {
        self.has_references() || self.key.is_secret()
    }

    /// The body with the values of its references in it.
    pub(crate) fn content(&self, resolved: &Resolved) -> Result<Content, BodyError> {
        body::render(&self.body.value(), self.filled.as_deref(), resolved)
    }

    pub(crate) fn has_references(&self) -> bool {
        self.placeholders != Placement::Nowhere
    }
}
