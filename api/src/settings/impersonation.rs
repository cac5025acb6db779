//! Whether objects are applied as the accounts that projects name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `application.sync.impersonation.enabled` and `.enforced`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Impersonation {
    #[default]
    Off,
    /// Where the project names no account, the applier's own is used.
    Optional,
    /// Where the project names no account, nothing is applied.
    Enforced,
}

impl Impersonation {
    /// Argo CD's defaults: off; enforced once it is on.
    pub(super) fn read(enabled: Option<&str>, enforced: Option<&str>) -> Self {
        match (enabled, enforced) {
            (Some("true"), None | Some("true")) => Self::Enforced,
            (Some("true"), Some(_)) => Self::Optional,
            _ => Self::Off,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_enforced_once_it_is_on_unless_that_is_switched_off() {
        assert_eq!(Impersonation::read(None, None), Impersonation::Off);
        assert_eq!(Impersonation::read(None, Some("true")), Impersonation::Off);
        assert_eq!(
            Impersonation::read(Some("true"), None),
            Impersonation::Enforced
        );
        assert_eq!(
            Impersonation::read(Some("true"), Some("false")),
            Impersonation::Optional
        );
    }
}
