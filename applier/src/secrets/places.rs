//! Where in an object the values of secrets are: what must never be shown as it is.

use api::placeholder::Scope;
use serde_json::Value;

/// A place, or the same one in all items of a list: names of fields, none for an item. It stands for all that is beneath it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Option<Box<str>>>);

impl Pattern {
    /// A field, by the names from the root.
    pub(crate) fn field(names: &[&str]) -> Self {
        Self(names.iter().map(|name| Some((*name).into())).collect())
    }

    pub(crate) fn covers(&self, place: &[Option<&str>]) -> bool {
        let parts = self.0.iter().zip(place);
        place.len() >= self.0.len()
            && parts
                .into_iter()
                .all(|(pattern, part)| pattern.as_deref() == *part)
    }
}

/// Where the object, before secrets, has placeholders. All of it where that can't be told.
pub(crate) fn of(object: &Value) -> Vec<Pattern> {
    let Ok(scope) = Scope::of(object) else {
        return vec![Pattern(Vec::new())];
    };
    let mut found = Vec::new();
    walk(object, &mut Vec::new(), &scope, &mut found);
    found
}

fn walk(value: &Value, place: &mut Vec<Option<Box<str>>>, scope: &Scope, found: &mut Vec<Pattern>) {
    match value {
        Value::String(text) if scope.may_hold(text) => found.push(Pattern(place.clone())),
        Value::Array(items) => {
            for item in items {
                place.push(None);
                walk(item, place, scope, found);
                place.pop();
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                place.push(Some(name.as_str().into()));
                walk(field, place, scope, found);
                place.pop();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
