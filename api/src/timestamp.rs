//! A time in an object, kept as it was written.

use std::fmt;

use k8s_openapi::jiff;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// An RFC 3339 time. It holds the text, so that reading and writing an object changes no byte of it
/// and a malformed one does not make the object unreadable.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(String);

impl Timestamp {
    /// From text as it stands in an object.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The instant, if the text is one.
    pub fn instant(&self) -> Option<jiff::Timestamp> {
        self.0.parse().ok()
    }
}

/// Kubernetes' form: UTC, whole seconds.
impl From<jiff::Timestamp> for Timestamp {
    fn from(instant: jiff::Timestamp) -> Self {
        Self(instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_in_whole_seconds_of_utc() {
        let instant: jiff::Timestamp = "2026-03-04T05:06:07.89Z".parse().unwrap();
        assert_eq!(Timestamp::from(instant).as_str(), "2026-03-04T05:06:07Z");
    }

    #[test]
    fn text_that_is_no_time_has_no_instant() {
        assert_eq!(Timestamp::from_text("yesterday").instant(), None);
    }
}
