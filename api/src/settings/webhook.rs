//! What webhooks are checked with: keys of `argocd-secret`, and of the Secrets that they point to.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;

use crate::Sensitive;

/// One key of [`super::SECRET`]. Those that Argo CD doesn't have are `webhook.gitea.secret`, for which its
/// `webhook.gogs.secret` counts too, and `webhook.dockerhub.secret`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WebhookKey {
    GitHub,
    GitLab,
    BitbucketUuid,
    BitbucketServer,
    Gogs,
    Gitea,
    AzureDevOpsUser,
    AzureDevOpsPassword,
    Harbor,
    DockerHub,
}

impl WebhookKey {
    pub const ALL: [Self; 10] = [
        Self::GitHub,
        Self::GitLab,
        Self::BitbucketUuid,
        Self::BitbucketServer,
        Self::Gogs,
        Self::Gitea,
        Self::AzureDevOpsUser,
        Self::AzureDevOpsPassword,
        Self::Harbor,
        Self::DockerHub,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::GitHub => "webhook.github.secret",
            Self::GitLab => "webhook.gitlab.secret",
            Self::BitbucketUuid => "webhook.bitbucket.uuid",
            Self::BitbucketServer => "webhook.bitbucketserver.secret",
            Self::Gogs => "webhook.gogs.secret",
            Self::Gitea => "webhook.gitea.secret",
            Self::AzureDevOpsUser => "webhook.azuredevops.username",
            Self::AzureDevOpsPassword => "webhook.azuredevops.password",
            Self::Harbor => "webhook.harbor.secret",
            Self::DockerHub => "webhook.dockerhub.secret",
        }
    }
}

/// The value of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WebhookSecret {
    #[default]
    Absent,
    Is(Sensitive),
    /// It is not text, or points to what is not there: nothing can be checked with it.
    Unusable,
}

/// The values of a Secret; `None` for one that isn't text.
pub type SecretValues = BTreeMap<String, Option<Sensitive>>;

/// Reads all values of a Secret.
pub fn secret_values(secret: &Secret) -> SecretValues {
    let data = secret.data.iter().flatten();
    data.map(|(key, value)| {
        let text = std::str::from_utf8(&value.0).ok();
        (key.clone(), text.map(Sensitive::new))
    })
    .collect()
}

/// All that webhooks are checked with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookSecrets(BTreeMap<WebhookKey, WebhookSecret>);

impl WebhookSecrets {
    /// Follows `$key` into `argocd-secret` itself and `$name:key` into another Secret, as Argo CD does. What begins with a dollar
    /// and points nowhere is taken as it is, as Argo CD does too; but not in the form with a colon, since then its text is no
    /// secret.
    pub fn resolve(own: &SecretValues, others: &BTreeMap<String, SecretValues>) -> Self {
        let value = |key: WebhookKey| match own.get(key.name()) {
            None => WebhookSecret::Absent,
            Some(None) => WebhookSecret::Unusable,
            Some(Some(text)) => resolved(text, own, others),
        };
        Self(WebhookKey::ALL.map(|key| (key, value(key))).into())
    }

    /// For tests, and for whoever has no cluster to read them from.
    pub fn of(values: impl IntoIterator<Item = (WebhookKey, Sensitive)>) -> Self {
        let values = values.into_iter();
        Self(
            values
                .map(|(key, value)| (key, WebhookSecret::Is(value)))
                .collect(),
        )
    }

    pub fn get(&self, key: WebhookKey) -> &WebhookSecret {
        self.0.get(&key).unwrap_or(&WebhookSecret::Absent)
    }

    /// Keys that nothing can be checked with.
    pub fn unusable(&self) -> impl Iterator<Item = WebhookKey> {
        let unusable =
            |(_, value): &(&WebhookKey, &WebhookSecret)| **value == WebhookSecret::Unusable;
        self.0.iter().filter(unusable).map(|(key, _)| *key)
    }
}

fn resolved(
    text: &Sensitive,
    own: &SecretValues,
    others: &BTreeMap<String, SecretValues>,
) -> WebhookSecret {
    let is = |text: &str| match text {
        "" => WebhookSecret::Absent,
        text => WebhookSecret::Is(Sensitive::new(text)),
    };
    let Some(reference) = text.expose().strip_prefix('$') else {
        return is(text.expose());
    };
    let found = match reference.split_once(':') {
        // Argo CD's map has keys of its own Secret and `name:key` of others in one.
        Some((name, key)) => others.get(name).and_then(|values| values.get(key)),
        None => own.get(reference),
    };
    match found {
        Some(Some(value)) if !value.expose().trim().is_empty() => is(value.expose().trim()),
        Some(_) => WebhookSecret::Unusable,
        None if reference.contains(':') => WebhookSecret::Unusable,
        None => is(text.expose()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[(&str, &str)]) -> SecretValues {
        values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Some(Sensitive::new(*value))))
            .collect()
    }

    fn github(own: &[(&str, &str)], others: &[(&str, &str)]) -> WebhookSecret {
        let others = [("hooks".to_owned(), values(others))].into();
        let secrets = WebhookSecrets::resolve(&values(own), &others);
        secrets.get(WebhookKey::GitHub).clone()
    }

    fn is(text: &str) -> WebhookSecret {
        WebhookSecret::Is(Sensitive::new(text))
    }

    #[test]
    fn a_value_stands_for_itself_and_nothing_for_none() {
        let key = WebhookKey::GitHub.name();
        assert_eq!(github(&[(key, "s3cret ")], &[]), is("s3cret "));
        assert_eq!(github(&[(key, "")], &[]), WebhookSecret::Absent);
        assert_eq!(github(&[], &[]), WebhookSecret::Absent);
    }

    #[test]
    fn a_reference_is_followed_into_the_same_and_into_another_secret() {
        let key = WebhookKey::GitHub.name();
        assert_eq!(github(&[(key, "$own"), ("own", "a\n")], &[]), is("a"));
        assert_eq!(github(&[(key, "$hooks:k")], &[("k", " b ")]), is("b"));
        assert_eq!(github(&[(key, "$dollars")], &[]), is("$dollars"));
    }

    #[test]
    fn a_reference_to_nothing_lets_nobody_in() {
        let key = WebhookKey::GitHub.name();
        for reference in ["$hooks:other", "$nowhere:k", "$:", "$hooks:empty"] {
            assert_eq!(
                github(&[(key, reference)], &[("empty", " ")]),
                WebhookSecret::Unusable,
                "{reference}"
            );
        }
    }

    #[test]
    fn what_is_not_text_lets_nobody_in() {
        let own = [(WebhookKey::GitHub.name().to_owned(), None)].into();
        let secrets = WebhookSecrets::resolve(&own, &BTreeMap::new());
        assert_eq!(*secrets.get(WebhookKey::GitHub), WebhookSecret::Unusable);
        assert_eq!(secrets.unusable().count(), 1);
    }
}
