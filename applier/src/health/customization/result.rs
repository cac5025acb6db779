//! What a script returned → health.

use serde_json::Value;

use super::super::{Health, HealthStatus};

/// None for nil and for an empty table, as in Argo CD.
pub(super) fn health(returned: &Value) -> Result<Option<Health>, String> {
    let fields = match returned {
        Value::Null => return Ok(None),
        Value::Array(items) if items.is_empty() => return Ok(None),
        Value::Object(fields) => fields,
        other => {
            return Err(format!(
                "expect table output from Lua script, not {}",
                named(other)
            ));
        }
    };
    // Go reads names without regard to case, and scripts live with that.
    let field = |name: &str| {
        let mut alike = fields
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let exact = fields.get(name);
        exact.or_else(|| alike.next().map(|(_, value)| value))
    };
    let message = match field("message") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let said = field("status").and_then(Value::as_str).unwrap_or_default();
    let status = HealthStatus::ALL
        .into_iter()
        .find(|status| status.as_str() == said);
    match status {
        Some(status) => Ok(Some(Health::new(status, message))),
        None => Err(format!("Lua returned an invalid health status: `{said}`")),
    }
}

fn named(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "a list",
        Value::Object(_) => "table",
    }
}
