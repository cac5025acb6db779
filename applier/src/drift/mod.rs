//! Drift of one live object: whether what we applied is still there.
//!
//! The reference is what the API server answered to our last server-side apply: the fields that it then noted as ours
//! (`managedFields`, operation `Apply`), and a digest of each value. A field that left our set was taken or removed by somebody;
//! one that is still ours and differs was changed behind the back of field ownership. Fields that were never ours are no drift,
//! and what defaulting or a webhook did to our own apply is part of the reference.

mod content;
mod ignore;
mod jq;
mod known;
mod owned;
mod packed;
mod place;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use self::ignore::{Global, Ignores, Keep, Mask};
use self::owned::{Field, Values};
use self::packed::Packed;

/// The most fields that one drift names.
const MAX_NAMED: usize = 50;

/// What was ours after our last apply of an object. About 25 bytes per field, and no value can be read from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    manager: String,
    #[serde(default)]
    values: Values,
    #[serde(default, skip_serializing_if = "Basis::is_owned")]
    basis: Basis,
    fields: Packed,
}

/// How it is known which fields are ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Basis {
    /// The API server wrote it down.
    #[default]
    Owned,
    /// They are those of the manifest.
    Content,
}

impl Basis {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde's skip_serializing_if passes a reference"
    )]
    fn is_owned(&self) -> bool {
        *self == Self::Owned
    }
}

/// What is no longer as we applied it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Paths such as `spec.template.spec.containers[name="app"].image`, sorted; what is gone as a whole is named once.
    pub fields: Vec<String>,
    /// Field managers that own one of them now, sorted. Empty when the fields are gone.
    pub managers: Vec<String>,
}

impl Reference {
    /// The reference of an object as the API server answered it to an apply by `manager`.
    pub(crate) fn of(applied: &Value, manager: &str, mask: &Mask) -> Self {
        Self::with(applied, manager, mask, Values::All)
    }

    /// The reference of an object whose live form will be seen as metadata only (a Secret): values of metadata are compared, of
    /// everything else just whether it is still ours. No digest of such a value is made.
    pub(crate) fn metadata_only(applied: &Value, manager: &str, mask: &Mask) -> Self {
        Self::with(applied, manager, mask, Values::Metadata)
    }

    fn with(applied: &Value, manager: &str, mask: &Mask, values: Values) -> Self {
        let fields = owned::fields(&mask.canonical(mask.of(applied).counted()), manager, values);
        Self {
            manager: manager.to_owned(),
            values,
            basis: Basis::Owned,
            fields: Packed::of(&fields),
        }
    }

    /// The reference of an object that wasn't applied server-side: of the manifest's fields. `is_seen` is false for one whose live
    /// form will be seen as metadata only.
    pub(crate) fn of_content(
        applied: &Value,
        manifest: &Value,
        manager: &str,
        mask: &Mask,
        is_seen: bool,
    ) -> Self {
        let values = if is_seen {
            Values::All
        } else {
            Values::Metadata
        };
        let fields = content::fields(
            manifest,
            &mask.canonical(mask.of(applied).counted()),
            values,
        );
        Self {
            manager: manager.to_owned(),
            values,
            basis: Basis::Content,
            fields: Packed::of(&fields),
        }
    }

    /// Whether nothing was ours: the object was not applied server-side by this manager.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// What drifted, if anything did. Nothing is lost when `live` is as old as the reference or newer; an older one is not told
    /// apart from a change. What `mask` ignores is no drift.
    pub(crate) fn drift(&self, live: &Value, mask: &Mask) -> Option<Drift> {
        if self.is_empty() {
            return None;
        }
        let ignored = mask.of(live);
        let counted = ignored.counted();
        let now = self.now(&counted);
        let mut drifted = self.differing(&now);
        drifted.retain(|field| !ignored.covers(&field.path));
        if !drifted.is_empty() && mask.knows_types() {
            self.keep_what_means_something_else(&mut drifted, live, &counted, mask);
        }
        let by_owner = self.basis == Basis::Owned;
        if by_owner && now.is_empty() || drifted.iter().any(|field| field.mark.is_container()) {
            let anyones = owned::anyones(&counted, self.values);
            drifted.retain(|field| !is_filled_by_others(field, &anyones));
            if by_owner && now.is_empty() {
                // Ownership was reset as a whole. What still has its value needs no naming.
                let still_differs = self.differing(&anyones);
                drifted.retain(|field| still_differs.contains(field));
                if drifted.is_empty() {
                    return Some(Drift::of_ownership());
                }
            }
        }
        if drifted.is_empty() {
            return None;
        }
        let mut fields = topmost(drifted.into_iter().map(|field| field.path));
        let managers = owned::other_owners(live, &self.manager, &fields);
        if fields.len() > MAX_NAMED {
            let more = fields.len() - MAX_NAMED;
            fields.truncate(MAX_NAMED);
            fields.push(format!("and {more} more"));
        }
        Some(Drift { fields, managers })
    }

    /// The fields as they are now.
    fn now(&self, counted: &Value) -> Vec<Field> {
        match self.basis {
            Basis::Owned => owned::fields(counted, &self.manager, self.values),
            Basis::Content => content::now(counted, self.fields.iter(), self.values),
        }
    }

    /// Leaves out what has been written again in another way, whoever did it. The reference may be older than what is known of types.
    fn keep_what_means_something_else(
        &self,
        drifted: &mut Vec<Field>,
        live: &Value,
        counted: &Value,
        mask: &Mask,
    ) {
        let canonical = mask.canonical(Cow::Borrowed(counted));
        let ours = self.now(&canonical);
        let anyones = owned::anyones(&canonical, self.values);
        drifted.retain(|then| {
            let written_again =
                || mask.is_of_known_type(live, &then.path) && !differs(then, &anyones);
            differs(then, &ours) && !written_again()
        });
    }

    /// Fields of the reference that `now` lacks or holds otherwise. Both are sorted by path.
    fn differing(&self, now: &[Field]) -> Vec<Field> {
        self.fields
            .iter()
            .filter(|then| differs(then, now))
            .collect()
    }
}

impl Drift {
    /// Every value is in place, and nobody remembers that they are ours.
    fn of_ownership() -> Self {
        Self {
            fields: vec!["metadata.managedFields".to_owned()],
            managers: Vec::new(),
        }
    }
}

/// Whether a field isn't among others, sorted by path, or is there as something else.
fn differs(then: &Field, now: &[Field]) -> bool {
    match now.binary_search_by(|field| field.path.cmp(&then.path)) {
        Ok(at) => !then.mark.agrees(now[at].mark),
        Err(_) => true,
    }
}

/// Whether a map or list that was ours as such is still there, with others' fields in it.
fn is_filled_by_others(field: &Field, anyones: &[Field]) -> bool {
    field.mark.is_container()
        && anyones
            .iter()
            .any(|other| other.path == field.path || owned::is_beneath(&other.path, &field.path))
}

/// Leaves out each path that lies beneath another one. `paths` is sorted.
fn topmost(paths: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for path in paths {
        if !kept
            .iter()
            .rev()
            .any(|above| owned::is_beneath(&path, above))
        {
            kept.push(path);
        }
    }
    kept
}

#[cfg(test)]
mod tests;
