//! Reading a live object whose shape nobody has checked: what is absent or of another type is empty.

use serde_json::Value;

#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a Value);

/// One entry of `status.conditions`.
#[derive(Clone, Copy)]
pub(super) struct Condition<'a> {
    pub(super) status: &'a str,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
}

impl<'a> Fields<'a> {
    pub(super) fn has(self, pointer: &str) -> bool {
        self.0
            .pointer(pointer)
            .is_some_and(|value| !value.is_null())
    }

    pub(super) fn text(self, pointer: &str) -> &'a str {
        self.0
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(super) fn number(self, pointer: &str) -> Option<i64> {
        self.0.pointer(pointer).and_then(Value::as_i64)
    }

    /// A number that Kubernetes leaves out when it is 0.
    pub(super) fn count(self, pointer: &str) -> i64 {
        self.number(pointer).unwrap_or(0)
    }

    pub(super) fn is_true(self, pointer: &str) -> bool {
        self.0
            .pointer(pointer)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    pub(super) fn list(self, pointer: &str) -> &'a [Value] {
        self.0
            .pointer(pointer)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    pub(super) fn annotation(self, key: &str) -> &'a str {
        self.0
            .pointer("/metadata/annotations")
            .and_then(|annotations| annotations.get(key))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(super) fn conditions(self) -> impl Iterator<Item = (&'a str, Condition<'a>)> {
        conditions(self.list("/status/conditions"))
    }

    pub(super) fn condition(self, kind: &str) -> Option<Condition<'a>> {
        self.conditions()
            .find(|(found, _)| *found == kind)
            .map(|(_, condition)| condition)
    }

    /// Whether the controller has not yet seen the newest specification.
    pub(super) fn is_unobserved(self) -> bool {
        self.count("/metadata/generation") > self.count("/status/observedGeneration")
    }
}

impl Condition<'_> {
    pub(super) fn is_true(self) -> bool {
        self.status == "True"
    }

    pub(super) fn is_false(self) -> bool {
        self.status == "False"
    }

    /// `<reason>: <message>`, or the one that is there.
    pub(super) fn says(self) -> String {
        joined(self.reason, self.message)
    }
}

pub(super) fn conditions(list: &[Value]) -> impl Iterator<Item = (&str, Condition<'_>)> {
    list.iter().map(|condition| {
        let fields = Fields(condition);
        let condition = Condition {
            status: fields.text("/status"),
            reason: fields.text("/reason"),
            message: fields.text("/message"),
        };
        (fields.text("/type"), condition)
    })
}

/// `<reason>: <message>`, or the one that is there.
pub(super) fn joined(reason: &str, message: &str) -> String {
    match (reason, message) {
        ("", only) | (only, "") => only.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

/// Shortens to at most `max` bytes, at a character's border.
pub(super) fn cut(text: &mut String, max: usize) {
    if text.len() > max {
        let mut end = max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
}
