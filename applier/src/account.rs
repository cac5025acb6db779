//! The account that an application's objects are written as: its project's `destinationServiceAccounts`, where `argocd-cm` asks for
//! them, and this applier's own configuration allows it. Pure.

use api::settings::Impersonation;
use api::{ApplicationSpec, glob};
use bus::message::project::Project;

/// What may not be in the name of an account.
const FORBIDDEN: &[char] = &['!', '*', '[', ']', '{', '}', '\\', '/', '\r', '\n', ' '];

/// A service account, `<namespace>:<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Account(String);

impl Account {
    /// As the API server knows it.
    pub(crate) fn user(&self) -> String {
        format!("system:serviceaccount:{}", self.0)
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why nothing can be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AccountError {
    #[error(
        "project {project} names no account for server {server} and namespace {namespace:?}, and argocd-cm demands one: add it to \
         destinationServiceAccounts, or set application.sync.impersonation.enforced to false"
    )]
    None {
        project: String,
        server: String,
        namespace: String,
    },
    #[error(
        "project {project}: the default service account {account:?} is no name of a service account"
    )]
    Invalid { project: String, account: String },
    #[error("project {project}: {pattern:?} of destinationServiceAccounts is no pattern")]
    Pattern { project: String, pattern: String },
    #[error("this applier was started without leave to act as the service account {0}")]
    NotAllowed(Account),
}

/// None is the applier's own. `server` is the destination's, `app_namespace` the Application's; `allowed` are globs of what this
/// applier may act as.
pub(crate) fn account(
    project: &Project,
    spec: &ApplicationSpec,
    server: &str,
    app_namespace: &str,
    allowed: &[String],
) -> Result<Option<Account>, AccountError> {
    if project.impersonation == Impersonation::Off {
        return Ok(None);
    }
    let namespace = spec.destination.namespace();
    let matches = |pattern: &str, text: &str| {
        glob::matches(pattern, text, None).ok_or_else(|| AccountError::Pattern {
            project: project.name.clone(),
            pattern: pattern.to_owned(),
        })
    };
    for item in project.spec.destination_service_accounts.iter().flatten() {
        let pattern = item.namespace.as_deref().unwrap_or_default();
        // The first one counts.
        if !(matches(&item.server, server)? && matches(pattern, namespace)?) {
            continue;
        }
        let name = item.default_service_account.trim();
        let account = if name.contains(':') {
            name.to_owned()
        } else {
            let own = if namespace.is_empty() {
                app_namespace
            } else {
                namespace
            };
            format!("{own}:{name}")
        };
        let is_name = account.split_once(':').is_some_and(|(place, name)| {
            !place.is_empty() && !name.is_empty() && !name.contains(':')
        }) && !account.contains(FORBIDDEN);
        if !is_name {
            return Err(AccountError::Invalid {
                project: project.name.clone(),
                account: item.default_service_account.chars().take(300).collect(),
            });
        }
        let may = allowed
            .iter()
            .any(|pattern| glob::matches(pattern, &account, None) == Some(true));
        let account = Account(account);
        return if may {
            Ok(Some(account))
        } else {
            Err(AccountError::NotAllowed(account))
        };
    }
    match project.impersonation {
        Impersonation::Enforced => Err(AccountError::None {
            project: project.name.clone(),
            server: server.to_owned(),
            namespace: namespace.to_owned(),
        }),
        Impersonation::Optional | Impersonation::Off => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SERVER: &str = "https://edge:6443";

    fn ask(
        impersonation: Impersonation,
        accounts: &Value,
        namespace: &str,
        allowed: &str,
    ) -> Result<Option<String>, AccountError> {
        let project = Project {
            name: "team".to_owned(),
            spec: serde_json::from_value(json!({"destinationServiceAccounts": accounts})).unwrap(),
            impersonation,
            ..Project::default()
        };
        let spec: ApplicationSpec = serde_json::from_value(
            json!({"destination": {"server": SERVER, "namespace": namespace}}),
        )
        .unwrap();
        account(&project, &spec, SERVER, "argocd", &[allowed.to_owned()])
            .map(|account| account.map(|account| account.to_string()))
    }

    fn deployer() -> Value {
        json!([
            {"server": "https://other", "namespace": "*", "defaultServiceAccount": "wrong"},
            {"server": "https://edge*", "namespace": "shop-*", "defaultServiceAccount": "deployer"},
            {"server": "*", "namespace": "*", "defaultServiceAccount": "ops:fallback"},
        ])
    }

    #[test]
    fn the_first_destination_that_fits_names_the_account() {
        let ask = |namespace| ask(Impersonation::Enforced, &deployer(), namespace, "*");
        assert_eq!(ask("shop-eu").unwrap().unwrap(), "shop-eu:deployer");
        assert_eq!(ask("other").unwrap().unwrap(), "ops:fallback");
    }

    #[test]
    fn without_a_destination_namespace_the_account_is_beside_the_application() {
        let accounts =
            json!([{"server": "*", "namespace": "", "defaultServiceAccount": "deployer"}]);
        let account = ask(Impersonation::Enforced, &accounts, "", "*");
        assert_eq!(account.unwrap().unwrap(), "argocd:deployer");
    }

    #[test]
    fn the_applier_acts_in_its_own_name_unless_argocd_cm_says_otherwise() {
        assert_eq!(
            ask(Impersonation::Off, &deployer(), "shop-eu", "*"),
            Ok(None)
        );
        assert_eq!(
            ask(Impersonation::Optional, &json!([]), "shop-eu", "*"),
            Ok(None)
        );
        assert!(matches!(
            ask(Impersonation::Enforced, &json!([]), "shop-eu", "*"),
            Err(AccountError::None { .. })
        ));
    }

    #[test]
    fn a_project_cannot_name_an_account_that_this_applier_may_not_use() {
        let ask = |allowed| ask(Impersonation::Enforced, &deployer(), "shop-eu", allowed);
        assert!(ask("shop-*:deployer").is_ok());
        assert!(matches!(
            ask("shop-*:other"),
            Err(AccountError::NotAllowed(_))
        ));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", " ", "*", "a/b", "a:b:c", ":a", "a b"] {
            let accounts =
                json!([{"server": "*", "namespace": "*", "defaultServiceAccount": name}]);
            assert!(
                matches!(
                    ask(Impersonation::Enforced, &accounts, "shop", "*"),
                    Err(AccountError::Invalid { .. })
                ),
                "{name:?}"
            );
        }
    }
}
