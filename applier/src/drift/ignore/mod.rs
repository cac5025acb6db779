//! Which fields don't count: `ignoreDifferences` of the application, and of `argocd-cm` for all of them; and which count by what
//! they mean.
//!
//! [`Ignores`] are an application's rules, a [`Mask`] those of them that are about one object, and [`Ignored`] the places that they
//! name in that object as it is at one moment.

mod global;
mod respect;

use std::borrow::Cow;
use std::sync::Arc;

use api::application::spec::ResourceIgnoreDifferences;
use serde_json::Value;

pub(crate) use self::global::Global;
pub(crate) use self::respect::Keep;
use super::jq::Expression;
use super::known::{self, Known};
use super::owned;
use super::place::{self, Place};
use crate::object::Key;

/// The most rules, and the most entries of one, that are read.
const MAX_RULES: usize = 500;

/// An application's rules, global ones included.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ignores {
    rules: Vec<Arc<Rule>>,
    own: Own,
    known: Known,
}

/// What Argo CD has a switch for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Own {
    status: Status,
    aggregated_roles: bool,
}

/// Of which kinds `status` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Status {
    /// Of none.
    #[default]
    Ignored,
    /// Of all but `CustomResourceDefinition`.
    IgnoredOfDefinitions,
    Counts,
}

#[derive(Clone, Debug, PartialEq)]
struct Rule {
    group: Box<str>,
    kind: Box<str>,
    namespace: Box<str>,
    name: Box<str>,
    pointers: Vec<Vec<Box<str>>>,
    expressions: Vec<Expression>,
    managers: Vec<Box<str>>,
}

/// The rules about one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mask {
    rules: Vec<Arc<Rule>>,
    counts_status: bool,
    /// Rules of a `ClusterRole` that the API server fills.
    aggregated_roles: bool,
    /// Fields that are compared by what they mean.
    known: Arc<[known::Field]>,
}

/// What of an object, as it is at one moment, doesn't count.
pub(super) struct Ignored<'v> {
    object: &'v Value,
    places: Vec<Place>,
    /// Paths of fields that managers own whose fields don't count.
    owned: Vec<String>,
    counts_status: bool,
}

impl Ignores {
    /// The application's rules with the global ones, and what of them can't be used.
    pub(crate) fn of(
        application: &[ResourceIgnoreDifferences],
        global: &Global,
    ) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        let rules = application
            .iter()
            .take(MAX_RULES)
            .map(|said| {
                let texts = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
                let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
                let mut rule = Rule {
                    group: text(&said.group),
                    kind: said.kind.as_str().into(),
                    namespace: text(&said.namespace),
                    name: text(&said.name),
                    pointers: Vec::new(),
                    expressions: Vec::new(),
                    managers: Vec::new(),
                };
                rule.fill(
                    &Fields {
                        json_pointers: texts(&said.json_pointers),
                        jq_path_expressions: texts(&said.jq_path_expressions),
                        managed_fields_managers: texts(&said.managed_fields_managers),
                    },
                    &mut |problem| {
                        problems.push(format!(
                            "spec.ignoreDifferences of {}: {problem}",
                            said.kind
                        ));
                    },
                );
                Arc::new(rule)
            })
            .chain(global.rules.iter().cloned())
            .collect();
        if application.len() > MAX_RULES {
            problems.push(format!(
                "spec.ignoreDifferences has more than {MAX_RULES} entries: the others don't count"
            ));
        }
        let ignores = Self {
            rules,
            own: global.own,
            known: global.known.clone(),
        };
        (ignores, problems)
    }

    pub(crate) fn mask(&self, key: &Key) -> Mask {
        let is_role = &*key.group == "rbac.authorization.k8s.io" && &*key.kind == "ClusterRole";
        Mask {
            rules: self
                .rules
                .iter()
                .filter(|rule| rule.is_about(key))
                .cloned()
                .collect(),
            counts_status: match self.own.status {
                Status::Ignored => false,
                Status::IgnoredOfDefinitions => &*key.kind != "CustomResourceDefinition",
                Status::Counts => true,
            },
            aggregated_roles: self.own.aggregated_roles && is_role,
            known: self.known.of(key),
        }
    }
}

/// As both `spec.ignoreDifferences` and `argocd-cm` write them.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Fields {
    json_pointers: Vec<String>,
    jq_path_expressions: Vec<String>,
    managed_fields_managers: Vec<String>,
}

impl Rule {
    fn fill(&mut self, fields: &Fields, problem: &mut impl FnMut(String)) {
        for text in fields.json_pointers.iter().take(MAX_RULES) {
            match place::pointer(text) {
                Some(pointer) => self.pointers.push(pointer),
                None => problem(format!("{} is no JSON pointer to a field", short(text))),
            }
        }
        for text in fields.jq_path_expressions.iter().take(MAX_RULES) {
            match Expression::read(text) {
                Ok(expression) => self.expressions.push(expression),
                Err(error) => problem(format!("{} {error}", short(text))),
            }
        }
        let managers = fields.managed_fields_managers.iter().take(MAX_RULES);
        self.managers
            .extend(managers.map(|manager| manager.as_str().into()));
    }

    fn is_about(&self, key: &Key) -> bool {
        let matches =
            |pattern: &str, text: &str| api::glob::matches(pattern, text, None) == Some(true);
        matches(&self.group, &key.group)
            && matches(&self.kind, &key.kind)
            && (self.name.is_empty() || self.name == key.name)
            && (self.namespace.is_empty() || self.namespace == key.namespace)
    }
}

/// A text of a person's, for a message.
fn short(text: &str) -> String {
    let mut short: String = text.chars().take(200).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

impl Mask {
    /// Whether all that `other` ignores is ignored by this one, too, as far as rules tell.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        other
            .rules
            .iter()
            .all(|rule| self.rules.iter().any(|own| own == rule))
            && (other.counts_status || !self.counts_status)
            && (self.aggregated_roles || !other.aggregated_roles)
            && self.known == other.known
    }

    /// The object with the fields of known types written in one way.
    pub(super) fn canonical<'v>(&self, object: Cow<'v, Value>) -> Cow<'v, Value> {
        if self.known.is_empty() {
            return object;
        }
        let mut object = object.into_owned();
        known::canonical(&self.known, &mut object);
        Cow::Owned(object)
    }

    /// Whether the field at this path of the object is compared by what it means, in part at least.
    pub(super) fn is_of_known_type(&self, object: &Value, path: &str) -> bool {
        !self.known.is_empty() && known::touches(&self.known, &place::named(object, path))
    }

    /// Whether any field is compared by what it means.
    pub(super) fn knows_types(&self) -> bool {
        !self.known.is_empty()
    }

    /// Writes in `target` as in `live` what means the same.
    pub(crate) fn align(&self, live: &Value, target: &mut Value) {
        known::align(&self.known, live, target);
    }

    pub(super) fn of<'v>(&self, object: &'v Value) -> Ignored<'v> {
        let mut ignored = Ignored {
            object,
            places: self.places(object),
            owned: Vec::new(),
            counts_status: self.counts_status,
        };
        let managers: Vec<&str> = self
            .rules
            .iter()
            .flat_map(|rule| &rule.managers)
            .map(|manager| &**manager)
            .collect();
        if !managers.is_empty() {
            ignored.owned = owned::paths(object, &managers);
        }
        ignored
    }

    /// The object without what its rules, and `status`, say doesn't count: for comparing two objects as wholes.
    pub(crate) fn without(&self, object: &Value) -> Value {
        let ignored = self.of(object);
        let mut left = ignored.counted().into_owned();
        let owned = ignored.owned.iter();
        // In the object that is left, so that positions are its own.
        let places = owned.filter_map(|path| place::found(&left, path)).collect();
        place::remove(&mut left, places);
        if !self.counts_status
            && let Some(fields) = left.as_object_mut()
        {
            fields.remove("status");
        }
        left
    }

    fn places(&self, object: &Value) -> Vec<Place> {
        let mut places = Vec::new();
        for rule in &self.rules {
            let pointed = rule.pointers.iter();
            places.extend(pointed.filter_map(|pointer| place::pointed(object, pointer)));
            let named = rule.expressions.iter();
            places.extend(
                named
                    .filter_map(|expression| expression.places(object))
                    .flatten(),
            );
        }
        if self.aggregated_roles && object.get("aggregationRule").is_some() {
            places.push(vec![place::Part::Field("rules".into())]);
        }
        // What names the object as a whole names nothing.
        places.retain(|place| !place.is_empty());
        places
    }
}

impl Ignored<'_> {
    /// Whether the field at this path of the object, or one that it is a part of, doesn't count.
    pub(super) fn covers(&self, path: &str) -> bool {
        let beneath = |above: &str| path == above || owned::is_beneath(path, above);
        if !self.counts_status && beneath("status") {
            return true;
        }
        if self.owned.iter().any(|owned| beneath(owned)) {
            return true;
        }
        if self.places.is_empty() {
            return false;
        }
        let place = place::named(self.object, path);
        self.places.iter().any(|ignored| place.starts_with(ignored))
    }

    /// The object without the places that don't count.
    pub(super) fn counted(&self) -> Cow<'_, Value> {
        let there: Vec<Place> = self
            .places
            .iter()
            .filter(|place| place::get(self.object, place).is_some())
            .cloned()
            .collect();
        if there.is_empty() {
            return Cow::Borrowed(self.object);
        }
        let mut counted = self.object.clone();
        place::remove(&mut counted, there);
        Cow::Owned(counted)
    }
}

#[cfg(test)]
mod tests;
