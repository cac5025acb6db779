//! An object's content, kept as the text that it is sent as: a tenth of what its values take. It is read when something is to be done
//! with the object, and not while nothing changes.

use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body(Box<str>);

impl From<&Value> for Body {
    fn from(object: &Value) -> Self {
        Self(object.to_string().into())
    }
}

impl Body {
    pub(crate) fn value(&self) -> Value {
        // Written from a value, it can be read as one.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}
