//! How a value of one of Kubernetes' own types is written, so that two ways to write the same are one.

use serde_json::Value;

use super::quantity;

/// A type of Kubernetes' own, as far as it matters for comparing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Quantity,
    /// Go's: `90m` is `1h30m0s`.
    Duration,
    /// A map with a quantity each.
    Quantities,
    /// A structure of `core/v1`: what is in it follows from the fields' names.
    Structure,
}

/// Fields of `core/v1` that hold a map of quantities.
const QUANTITIES: [&str; 12] = [
    "limits",
    "requests",
    "capacity",
    "allocatable",
    "allocatedResources",
    "overhead",
    "hard",
    "used",
    "max",
    "min",
    "default",
    "defaultRequest",
];
/// Fields of `core/v1` that hold one quantity.
const QUANTITY: [&str; 2] = ["sizeLimit", "divisor"];
/// Maps whose keys are people's own words.
const FREE: [&str; 7] = [
    "data",
    "binaryData",
    "stringData",
    "labels",
    "annotations",
    "matchLabels",
    "nodeSelector",
];
/// Fields that say something by being there, empty or not.
const SAYS_BY_BEING_THERE: [&str; 8] = [
    "labelSelector",
    "namespaceSelector",
    "emptyDir",
    "projected",
    "downwardAPI",
    "secret",
    "configMap",
    "storageClassName",
];
/// Switches that are off where they aren't there.
const OFF_IF_ABSENT: [&str; 7] = [
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "stdin",
    "stdinOnce",
    "tty",
    "readOnly",
];

impl Form {
    /// By the name that Argo CD has for the type; none for one that it doesn't know.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "core/Quantity" | "core/v1/Quantity" => Some(Self::Quantity),
            "meta/v1/Duration" => Some(Self::Duration),
            "core/v1/ResourceList" => Some(Self::Quantities),
            _ => {
                let name = name.strip_prefix("core/v1/")?;
                let is_name = name.starts_with(|first: char| first.is_ascii_uppercase())
                    && name.chars().all(|symbol| symbol.is_ascii_alphanumeric());
                is_name.then_some(Self::Structure)
            }
        }
    }

    /// Of a field of a value of this form; none where texts are just texts.
    fn of_field(self, name: &str, value: &Value) -> Option<Self> {
        match self {
            Self::Quantity | Self::Duration => None,
            Self::Quantities => Some(Self::Quantity),
            Self::Structure if FREE.contains(&name) => None,
            Self::Structure if QUANTITIES.contains(&name) && value.is_object() => {
                Some(Self::Quantities)
            }
            Self::Structure if QUANTITY.contains(&name) => Some(Self::Quantity),
            Self::Structure => Some(Self::Structure),
        }
    }

    /// Writes the value in the one way that all ways to write it have in common.
    pub(super) fn canonical(self, value: &mut Value) {
        match (self, &mut *value) {
            (_, Value::Array(items)) => items.iter_mut().for_each(|item| self.canonical(item)),
            (Self::Quantity, Value::String(text)) => {
                if let Some(canonical) = quantity::canonical(text) {
                    *text = canonical;
                }
            }
            (Self::Quantity, Value::Number(number)) => {
                if let Some(canonical) = quantity::canonical(&number.to_string()) {
                    *value = canonical.into();
                }
            }
            (Self::Duration, Value::String(text)) => {
                let (sign, unsigned) = match text.strip_prefix('-') {
                    Some(rest) => ("-", rest),
                    None => ("", &**text),
                };
                if let Some(time) = api::settings::parse_duration(unsigned) {
                    *text = format!("{sign}{}ns", time.as_nanos());
                }
            }
            (Self::Quantities | Self::Structure, Value::Object(fields)) => {
                for (name, field) in fields.iter_mut() {
                    if let Some(form) = self.of_field(name, field) {
                        form.canonical(field);
                    }
                }
                if self == Self::Structure {
                    fields.retain(|name, field| !is_nothing(name, field));
                }
            }
            _ => {}
        }
    }

    /// Writes in `target` as in `live` what is the same in another way of writing.
    pub(super) fn align(self, live: &Value, target: &mut Value) {
        if live == target {
            return;
        }
        if self.one_way(live) == self.one_way(target) {
            *target = live.clone();
            return;
        }
        match (live, target) {
            (Value::Array(live), Value::Array(target)) => {
                for (live, target) in live.iter().zip(target) {
                    self.align(live, target);
                }
            }
            (Value::Object(live), Value::Object(target)) => {
                if self == Self::Structure {
                    target
                        .retain(|name, field| live.contains_key(name) || !is_nothing(name, field));
                }
                for (name, live) in live {
                    match target.get_mut(name) {
                        Some(target) => {
                            if let Some(form) = self.of_field(name, live) {
                                form.align(live, target);
                            }
                        }
                        None if self == Self::Structure && is_nothing(name, live) => {
                            target.insert(name.clone(), live.clone());
                        }
                        None => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn one_way(self, value: &Value) -> Value {
        let mut value = value.clone();
        self.canonical(&mut value);
        value
    }
}

/// Whether a field of a structure says the same as if it weren't there.
fn is_nothing(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value && OFF_IF_ABSENT.contains(&name),
        Value::Number(_) => false,
        Value::String(text) => text.is_empty() && !SAYS_BY_BEING_THERE.contains(&name),
        Value::Array(items) => items.is_empty() && !SAYS_BY_BEING_THERE.contains(&name),
        Value::Object(fields) => fields.is_empty() && !SAYS_BY_BEING_THERE.contains(&name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn same(form: Form, one: &Value, other: &Value) -> bool {
        form.one_way(one) == form.one_way(other)
    }

    #[test]
    fn only_argo_cds_names_of_types_are_known() {
        assert_eq!(Form::named("core/Quantity"), Some(Form::Quantity));
        assert_eq!(Form::named("meta/v1/Duration"), Some(Form::Duration));
        assert_eq!(Form::named("core/v1/PodSpec"), Some(Form::Structure));
        for name in [
            "",
            "PodSpec",
            "core/v1/",
            "core/v1/podSpec",
            "apps/v1/DeploymentSpec",
        ] {
            assert_eq!(Form::named(name), None, "{name}");
        }
    }

    #[test]
    fn a_pod_that_a_controller_wrote_again_is_the_same_pod() {
        let git = json!({
            "containers": [{
                "name": "app", "image": "x", "args": [], "env": [{"name": "A", "value": ""}, {"name": "limits", "value": "1000m"}],
                "resources": {"limits": {"cpu": "1000m", "memory": "0.5Gi"}, "requests": {"cpu": 1}},
                "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": false}],
                "stdin": false,
            }],
            "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1024Mi"}}],
            "nodeSelector": {"cpu": "1000m"},
            "affinity": {},
        });
        let written = json!({
            "containers": [{
                "name": "app", "image": "x", "env": [{"name": "A"}, {"name": "limits", "value": "1000m"}],
                "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "1"}},
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            }],
            "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}],
            "nodeSelector": {"cpu": "1000m"},
        });
        assert!(same(Form::Structure, &git, &written));
        let mut shown = git.clone();
        Form::Structure.align(&written, &mut shown);
        assert_eq!(shown, written);
    }

    #[test]
    fn what_means_something_else_is_another_value() {
        for (one, other) in [
            (
                json!({"limits": {"cpu": "1"}}),
                json!({"limits": {"cpu": "2"}}),
            ),
            (
                json!({"nodeSelector": {"cpu": "1000m"}}),
                json!({"nodeSelector": {"cpu": "1"}}),
            ),
            (json!({"args": ["1000m"]}), json!({"args": ["1"]})),
            (json!({"labelSelector": {}}), json!({})),
            (json!({"storageClassName": ""}), json!({})),
            (json!({"automountServiceAccountToken": false}), json!({})),
            (json!({"optional": false}), json!({})),
        ] {
            assert!(!same(Form::Structure, &one, &other), "{one} {other}");
        }
        let duration = |one: &str, other: &str| same(Form::Duration, &json!(one), &json!(other));
        assert!(duration("90m", "1h30m0s"));
        assert!(!duration("90m", "-90m"));
        assert!(!duration("soon", "later"));
    }

    #[test]
    fn only_what_is_the_same_is_shown_as_it_is() {
        let live = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "resources": {}});
        let mut target = json!({"limits": {"cpu": "1000m", "memory": "2048Mi"}, "args": []});
        Form::Structure.align(&live, &mut target);
        assert_eq!(
            target,
            json!({"limits": {"cpu": "1", "memory": "2048Mi"}, "resources": {}})
        );
    }
}
