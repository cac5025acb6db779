//! One secret value and what is made of it, in memory that is cleared.

use std::collections::{BTreeMap, HashMap};

use api::placeholder::SecretReference;
use zeroize::Zeroizing;

/// Values by reference; none of an optional one whose path lacks the key.
pub(crate) type Resolved = HashMap<SecretReference, Option<SecretText>>;

/// The version that each path has, where its store counts versions and a reference names none.
pub(crate) type Versions = BTreeMap<String, u64>;

/// What the agent answered for one release.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) values: Resolved,
    pub(crate) versions: Versions,
}

/// A value as it goes into an object. No `Debug`, `Display` or `Serialize`.
#[derive(Clone)]
pub(crate) enum SecretText {
    Text(Zeroizing<String>),
    /// Valid JSON of anything but a text: it keeps its type where it stands alone in a field.
    Json(Zeroizing<String>),
}

impl SecretText {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(Zeroizing::new(text.into()))
    }

    /// From JSON, of which a text is its characters; none where it is invalid.
    pub(super) fn of_json(json: &str) -> Option<Self> {
        if !json.starts_with('"') {
            return Some(Self::Json(Zeroizing::new(json.to_owned())));
        }
        let bytes = api::json_string::unescape(json)?;
        Some(Self::text(std::str::from_utf8(&bytes).ok()?))
    }

    /// The text, or the JSON as text.
    pub(super) fn characters(&self) -> &Zeroizing<String> {
        match self {
            Self::Text(text) | Self::Json(text) => text,
        }
    }

    /// An object or a list, which no text around it can hold.
    pub(super) fn is_composed(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Json(json) => json.starts_with(['{', '[']),
        }
    }
}
