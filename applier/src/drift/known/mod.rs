//! Fields of custom resources whose type is one of Kubernetes' own (`resource.customizations.knownTypeFields.*` of `argocd-cm`):
//! what a controller wrote again in another way (`1` for `1000m`) is no change. The API server itself does that to its own kinds
//! only, and then it is part of what it answered.

mod form;
mod quantity;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use self::form::Form;
use super::place::{Part, Place};
use crate::object::Key;

/// The most fields of one kind.
const MAX_FIELDS: usize = 100;

/// A field, by the names on the way to it; of lists on the way each item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    path: Vec<Box<str>>,
    form: Form,
}

type Kind = (Box<str>, Box<str>);

/// By group and kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known(BTreeMap<Kind, Arc<[Field]>>);

impl Default for Known {
    fn default() -> Self {
        let mut known = Self(BTreeMap::new());
        // As in Argo CD, unless something else is said of it.
        let _ = known.add(
            "argoproj.io",
            "Rollout",
            [("spec.template.spec", "core/v1/PodSpec")],
        );
        known
    }
}

impl Known {
    /// In place of what was known of the kind's fields. What can't be used of it comes back.
    pub(super) fn add<'a>(
        &mut self,
        group: &str,
        kind: &str,
        said: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        let mut fields = Vec::new();
        for (path, name) in said {
            match Form::named(name) {
                _ if path.is_empty() => problems.push("a field has no name".to_owned()),
                None => problems.push(format!("type {name:?} is not known")),
                Some(_) if fields.len() == MAX_FIELDS => {
                    problems.push(format!(
                        "more than {MAX_FIELDS} fields: {path} doesn't count"
                    ));
                }
                Some(form) => fields.push(Field {
                    path: path.split('.').map(Into::into).collect(),
                    form,
                }),
            }
        }
        self.0.insert((group.into(), kind.into()), fields.into());
        problems
    }

    pub(super) fn of(&self, key: &Key) -> Arc<[Field]> {
        let fields = self.0.get(&(key.group.clone(), key.kind.clone()));
        fields.cloned().unwrap_or_default()
    }
}

/// Writes the fields in the one way that all ways to write them have in common.
pub(super) fn canonical(fields: &[Field], object: &mut Value) {
    for field in fields {
        each(object, &field.path, &mut |value| {
            field.form.canonical(value);
        });
    }
}

/// Writes in `target` as in `live` what is the same in another way of writing.
pub(super) fn align(fields: &[Field], live: &Value, target: &mut Value) {
    for field in fields {
        pairs(live, target, &field.path, field.form);
    }
}

/// Whether the place is in one of the fields, or one of them is in it.
pub(super) fn touches(fields: &[Field], place: &Place) -> bool {
    let names = || {
        place.iter().filter_map(|part| match part {
            Part::Field(name) => Some(name),
            Part::Item(_) => None,
        })
    };
    fields
        .iter()
        .any(|field| names().zip(&field.path).all(|(one, other)| one == other))
}

fn each(value: &mut Value, path: &[Box<str>], act: &mut impl FnMut(&mut Value)) {
    match (value, path) {
        (Value::Array(items), _) => items.iter_mut().for_each(|item| each(item, path, act)),
        (value, []) => act(value),
        (value, [name, rest @ ..]) => {
            if let Some(value) = value.get_mut(&**name) {
                each(value, rest, act);
            }
        }
    }
}

fn pairs(live: &Value, target: &mut Value, path: &[Box<str>], form: Form) {
    match (live, target, path) {
        (live, target, []) => form.align(live, target),
        (Value::Array(live), Value::Array(target), _) => {
            for (live, target) in live.iter().zip(target) {
                pairs(live, target, path, form);
            }
        }
        (live, target, [name, rest @ ..]) => {
            if let (Some(live), Some(target)) = (live.get(&**name), target.get_mut(&**name)) {
                pairs(live, target, rest, form);
            }
        }
    }
}

#[cfg(test)]
mod tests;
