//! When and how to sync.

use std::collections::BTreeMap;

object! {
    /// When and how to sync.
    pub struct SyncPolicy {
        optional {
            /// Sync without being asked.
            automated: SyncPolicyAutomated,
            /// Options such as `CreateNamespace=true`.
            sync_options: Vec<String>,
            /// What to do when a sync fails.
            retry: RetryStrategy,
            /// Metadata of a namespace made by `CreateNamespace=true`.
            managed_namespace_metadata: ManagedNamespaceMetadata,
        }
    }
}

object! {
    /// Sync without being asked.
    pub struct SyncPolicyAutomated {
        optional {
            prune: bool,
            self_heal: bool,
            allow_empty: bool,
            /// Absent means enabled.
            enabled: bool,
        }
    }
}

object! {
    /// What to do when a sync fails.
    pub struct RetryStrategy {
        optional {
            /// Number of attempts; negative means without end.
            limit: i64,
            backoff: Backoff,
            /// Take the latest revision for a retry.
            refresh: bool,
        }
    }
}

object! {
    /// The time between attempts.
    pub struct Backoff {
        optional {
            duration: String,
            factor: i64,
            max_duration: String,
        }
    }
}

object! {
    /// Metadata of a namespace made by `CreateNamespace=true`.
    pub struct ManagedNamespaceMetadata {
        optional {
            labels: BTreeMap<String, String>,
            annotations: BTreeMap<String, String>,
        }
    }
}

impl SyncPolicy {
    /// Whether syncs start without being asked.
    pub fn automated(&self) -> bool {
        self.automated
            .as_ref()
            .is_some_and(|automated| automated.enabled.unwrap_or(true))
    }

    /// Whether an automated sync deletes what is no longer in the source.
    pub fn prune(&self) -> bool {
        self.automated() && self.flag(|automated| automated.prune)
    }

    /// Whether drift is corrected without being asked.
    pub fn self_heal(&self) -> bool {
        self.automated() && self.flag(|automated| automated.self_heal)
    }

    /// Whether an automated sync may delete everything.
    pub fn allow_empty(&self) -> bool {
        self.automated() && self.flag(|automated| automated.allow_empty)
    }

    /// The value of a sync option written `Name=value`.
    pub fn option(&self, name: &str) -> Option<&str> {
        option(self.sync_options.as_deref().unwrap_or_default(), name)
    }

    fn flag(&self, of: impl Fn(&SyncPolicyAutomated) -> Option<bool>) -> bool {
        self.automated.as_ref().and_then(of).unwrap_or(false)
    }
}

/// The value of an option in a list of `Name=value`.
pub fn option<'a, S: AsRef<str>>(options: &'a [S], name: &str) -> Option<&'a str> {
    options.iter().find_map(|option| {
        let (key, value) = option.as_ref().split_once('=')?;
        (key.trim() == name).then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(value: serde_json::Value) -> SyncPolicy {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_empty_automated_block_syncs_but_neither_prunes_nor_heals() {
        let policy = policy(json!({"automated": {}}));
        assert!(policy.automated());
        assert!(!policy.prune());
        assert!(!policy.self_heal());
    }

    #[test]
    fn a_disabled_automated_block_prunes_nothing() {
        let policy =
            policy(json!({"automated": {"enabled": false, "prune": true, "selfHeal": true}}));
        assert!(!policy.automated());
        assert!(!policy.prune());
        assert!(!policy.self_heal());
    }

    #[test]
    fn a_policy_without_automated_waits_for_people() {
        assert!(!policy(json!({})).automated());
    }

    #[test]
    fn an_option_is_found_by_name() {
        let policy = policy(json!({"syncOptions": ["CreateNamespace=true", "Validate=false"]}));
        assert_eq!(policy.option("CreateNamespace"), Some("true"));
        assert_eq!(policy.option("Validate"), Some("false"));
        assert_eq!(policy.option("Prune"), None);
        assert_eq!(policy.option("Create"), None);
    }
}
