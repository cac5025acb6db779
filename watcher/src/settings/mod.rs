//! What the watcher knows besides Applications: projects, repositories, credentials, clusters, `argocd-cm`. Look-ups are pure;
//! `watch` keeps it current.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::application::{ApplicationDestination, IN_CLUSTER_NAME, IN_CLUSTER_SERVER};
use api::settings::{Cluster, Labelled, Repository, Settings};
use api::{AppProject, git_url};
use bus::ClusterId;
use bus::message::desired::{Rendering, Tool};

use crate::source::access::{Access, Vouched};

pub mod objects;
pub mod watch;
pub mod webhooks;

/// Everything that is configured.
#[derive(Debug, Default)]
pub struct Environment {
    pub projects: BTreeMap<String, Arc<AppProject>>,
    /// By the Secret's name.
    pub secrets: BTreeMap<String, Labelled>,
    pub settings: Settings,
    pub vouched: Vouched,
}

/// A cluster that a destination means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub id: ClusterId,
    pub server: String,
    pub name: String,
    /// The one project that may use it, if it is so limited.
    pub project: Option<String>,
    /// Applications for it are to be left alone.
    pub skip: bool,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    #[error("spec.destination has both server and name: keep one")]
    Both,
    #[error("spec.destination has neither server nor name: name one")]
    Neither,
    #[error(
        "no cluster Secret has {what} {value:?}: add one, or correct spec.destination; the control cluster is {IN_CLUSTER_NAME}"
    )]
    Unknown { what: &'static str, value: String },
    #[error("several cluster Secrets have the name {0:?}: use spec.destination.server")]
    Ambiguous(String),
    #[error("the cluster id {0:?} is not a DNS label")]
    Id(String),
}

impl Environment {
    /// The project of that name, with what it inherits from global ones.
    pub fn project(&self, name: &str) -> Option<Arc<AppProject>> {
        let own = self.projects.get(name)?;
        let mut whole = Arc::clone(own);
        for global in &self.settings.global_projects {
            if global.is_for(own)
                && let Some(global) = self.projects.get(&global.name)
            {
                Arc::make_mut(&mut whole).spec.inherit(&global.spec);
            }
        }
        Some(whole)
    }

    /// What a project's application fetches a repository with: its own Secret, else the one that is for all, else none; each
    /// with the login of the longest matching `repo-creds` where it has none.
    pub fn access(&self, url: &str, project: &str) -> Access {
        Access::of(&self.repository(url, project), &self.vouched)
    }

    /// What `argocd-cm` says about rendering.
    pub fn rendering(&self) -> Rendering {
        let settings = &self.settings;
        let tools = [
            (Tool::Helm, settings.helm),
            (Tool::Kustomize, settings.kustomize),
            (Tool::Jsonnet, settings.jsonnet),
        ];
        let schemes = settings.helm_values_file_schemes.as_deref();
        let named = schemes.into_iter().flat_map(|text| text.split(','));
        let mut values_file_schemes: Vec<String> = named
            .map(str::trim)
            .filter(|scheme| !scheme.is_empty())
            .map(str::to_owned)
            .collect();
        if schemes.is_some() && values_file_schemes.is_empty() {
            // None is allowed, which is another thing than nothing said: this is no scheme of any URL.
            values_file_schemes.push(String::new());
        }
        Rendering {
            kustomize_build_options: settings.kustomize_build_options.clone().unwrap_or_default(),
            disabled: tools
                .into_iter()
                .filter_map(|(tool, on)| (!on).then_some(tool))
                .collect(),
            values_file_schemes,
        }
    }

    /// What the Secrets say about a repository.
    pub fn repository(&self, url: &str, project: &str) -> Repository {
        let wanted = git_url::comparable(url);
        let own = self
            .of_project(project)
            .filter(|repository| git_url::comparable(&repository.url) == wanted)
            .min_by_key(|repository| repository.project.is_none());
        let mut own = own.map_or_else(|| Repository::unknown(url), Repository::clone);
        if own.credentials.is_empty()
            && let Some(template) = self.template(&wanted)
        {
            own.inherit(template);
        }
        own
    }

    /// The repository that Secrets call by a name, as charts do with `@name`.
    pub fn repository_named(&self, name: &str, project: &str) -> Option<Repository> {
        let found = self
            .of_project(project)
            .filter(|repository| repository.name.as_deref() == Some(name))
            .min_by_key(|repository| repository.project.is_none())?;
        Some(self.repository(&found.url, project))
    }

    /// Repositories that a project's applications may use.
    fn of_project<'a>(&'a self, project: &'a str) -> impl Iterator<Item = &'a Repository> {
        self.secrets
            .values()
            .filter_map(|secret| match secret {
                Labelled::Repository(repository) => Some(&**repository),
                _ => None,
            })
            .filter(move |repository| {
                repository
                    .project
                    .as_deref()
                    .is_none_or(|only| only == project)
            })
    }

    fn template(&self, comparable: &str) -> Option<&Repository> {
        self.secrets
            .values()
            .filter_map(|secret| match secret {
                Labelled::RepositoryCredentials(template) => Some(&**template),
                _ => None,
            })
            .map(|template| (git_url::comparable(&template.url), template))
            .filter(|(prefix, _)| is_below(comparable, prefix))
            // The first of several that are equally long.
            .min_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()))
            .map(|(_, template)| template)
    }

    /// Whether one of the clusters that belong to a project alone is the one that is meant.
    pub fn has_own_cluster(&self, project: &str, target: &Target) -> bool {
        self.secrets.values().any(|secret| {
            matches!(secret, Labelled::Cluster(cluster)
                if cluster.project.as_deref() == Some(project)
                    && (cluster.name == target.name || cluster.server == target.server))
        })
    }

    /// The cluster that a destination means.
    pub fn target(&self, destination: &ApplicationDestination) -> Result<Target, DestinationError> {
        let clusters = || {
            self.secrets.values().filter_map(|secret| match secret {
                Labelled::Cluster(cluster) => Some(&**cluster),
                _ => None,
            })
        };
        let (what, value, found): (_, _, Vec<&Cluster>) =
            match (destination.server(), destination.name()) {
                (Some(_), Some(_)) => return Err(DestinationError::Both),
                (None, None) => return Err(DestinationError::Neither),
                (Some(server), None) => (
                    "server",
                    server,
                    clusters().filter(|it| it.server == server).collect(),
                ),
                (None, Some(name)) => (
                    "name",
                    name,
                    clusters().filter(|it| it.name == name).collect(),
                ),
            };
        match found.as_slice() {
            [] if value == IN_CLUSTER_SERVER || value == IN_CLUSTER_NAME => Ok(Target {
                id: ClusterId::in_cluster(),
                server: IN_CLUSTER_SERVER.to_owned(),
                name: IN_CLUSTER_NAME.to_owned(),
                project: None,
                skip: false,
            }),
            [] => Err(DestinationError::Unknown {
                what,
                value: value.chars().take(300).collect(),
            }),
            [_, _, ..] if what == "name" => Err(DestinationError::Ambiguous(value.to_owned())),
            [cluster, ..] => Ok(Target {
                id: id_of(cluster)?,
                server: cluster.server.clone(),
                name: cluster.name.clone(),
                project: cluster.project.clone(),
                skip: cluster.skip_reconcile,
            }),
        }
    }
}

fn id_of(cluster: &Cluster) -> Result<ClusterId, DestinationError> {
    if cluster.server == IN_CLUSTER_SERVER {
        return Ok(ClusterId::in_cluster());
    }
    ClusterId::new(&cluster.id).map_err(|_| DestinationError::Id(cluster.id.clone()))
}

/// Whether a template for `prefix` is meant for `url`. As in Argo CD any prefix counts, but the host must be whole: what is for
/// `https://h` must not be sent to `https://h.evil`.
fn is_below(url: &str, prefix: &str) -> bool {
    let beyond_scheme = prefix.split_once("://").map_or(prefix, |(_, rest)| rest);
    url.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || beyond_scheme.contains('/'))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use k8s_openapi::api::core::v1::Secret;
    use serde_json::json;

    use super::*;

    fn labelled(kind: &str, fields: &[(&str, &str)]) -> Labelled {
        let mut secret: Secret = serde_json::from_value(json!({
            "metadata": {"name": "s", "labels": {"argocd.argoproj.io/secret-type": kind}},
        }))
        .unwrap();
        secret.data = Some(
            fields
                .iter()
                .map(|(key, value)| ((*key).to_owned(), ByteString((*value).into())))
                .collect(),
        );
        api::settings::read_secret(&secret).unwrap().unwrap()
    }

    fn environment(secrets: Vec<Labelled>) -> Environment {
        Environment {
            secrets: secrets
                .into_iter()
                .enumerate()
                .map(|(number, secret)| (number.to_string(), secret))
                .collect(),
            ..Environment::default()
        }
    }

    fn password(environment: &Environment, url: &str, project: &str) -> Option<String> {
        let access = environment.access(url, project);
        access.credentials.password.map(|it| it.expose().to_owned())
    }

    #[test]
    fn the_longest_matching_template_gives_the_credentials() {
        let environment = environment(vec![
            labelled("repo-creds", &[("url", "https://h"), ("password", "wide")]),
            labelled(
                "repo-creds",
                &[("url", "https://h/team"), ("password", "narrow")],
            ),
        ]);
        assert_eq!(
            password(&environment, "https://h/team/a.git", "p").as_deref(),
            Some("narrow")
        );
        assert_eq!(
            password(&environment, "https://h/other/a", "p").as_deref(),
            Some("wide")
        );
        assert_eq!(password(&environment, "https://h.evil/team/a", "p"), None);
        assert_eq!(
            password(&environment, "https://h/team-b/a", "p").as_deref(),
            Some("narrow")
        );
    }

    #[test]
    fn another_projects_repository_secret_is_not_used() {
        let environment = environment(vec![labelled(
            "repository",
            &[
                ("url", "https://h/a"),
                ("password", "theirs"),
                ("project", "other"),
            ],
        )]);
        assert_eq!(password(&environment, "https://h/a.git", "mine"), None);
        assert_eq!(
            password(&environment, "https://h/a.git", "other").as_deref(),
            Some("theirs")
        );
    }

    #[test]
    fn a_repository_without_credentials_takes_the_templates() {
        let environment = environment(vec![
            labelled(
                "repository",
                &[("url", "https://h/a"), ("insecure", "true")],
            ),
            labelled("repo-creds", &[("url", "https://h/"), ("password", "wide")]),
        ]);
        let access = environment.access("https://h/a", "p");
        assert!(access.insecure);
        assert_eq!(access.credentials.password.unwrap().expose(), "wide");
    }

    #[test]
    fn what_is_said_about_rendering_is_handed_on() {
        let said = |data: &[(&str, &str)]| {
            let data = data
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let environment = Environment {
                settings: Settings::read(&data.collect()),
                ..Environment::default()
            };
            environment.rendering()
        };
        assert_eq!(said(&[]), Rendering::default());
        let rendering = said(&[
            ("kustomize.buildOptions", "--enable-helm"),
            ("jsonnet.enable", "false"),
            ("helm.valuesFileSchemes", "https, s3"),
        ]);
        assert_eq!(rendering.kustomize_build_options, "--enable-helm");
        assert_eq!(rendering.disabled, [Tool::Jsonnet].into());
        assert_eq!(rendering.values_file_schemes, ["https", "s3"]);
        assert_ne!(
            said(&[("helm.valuesFileSchemes", "")]),
            Rendering::default()
        );
    }

    #[test]
    fn a_template_for_one_team_is_not_for_another_whose_name_begins_like_it() {
        let environment = environment(vec![labelled(
            "repo-creds",
            &[("url", "https://h/team/"), ("password", "theirs")],
        )]);
        let of = |url| password(&environment, url, "p");
        assert_eq!(of("https://h/team/a").as_deref(), Some("theirs"));
        assert_eq!(of("https://h/teamwork/a"), None);
    }

    #[test]
    fn a_template_makes_no_connection_insecure() {
        let environment = environment(vec![labelled(
            "repo-creds",
            &[
                ("url", "https://h/"),
                ("password", "wide"),
                ("insecure", "true"),
            ],
        )]);
        assert!(!environment.access("https://h/a", "p").insecure);
    }

    #[test]
    fn a_repository_is_found_by_its_name_in_its_project_only() {
        let environment = environment(vec![labelled(
            "repository",
            &[
                ("url", "https://h/charts"),
                ("type", "helm"),
                ("name", "stable"),
                ("project", "mine"),
            ],
        )]);
        let url = |project| {
            let found = environment.repository_named("stable", project);
            found.map(|repository| repository.url)
        };
        assert_eq!(url("mine").as_deref(), Some("https://h/charts"));
        assert_eq!(url("other"), None);
    }

    fn to(server: Option<&str>, name: Option<&str>) -> ApplicationDestination {
        ApplicationDestination {
            server: server.map(str::to_owned),
            name: name.map(str::to_owned),
            ..ApplicationDestination::default()
        }
    }

    #[test]
    fn the_control_cluster_needs_no_secret() {
        let environment = environment(Vec::new());
        for destination in [
            to(Some("https://kubernetes.default.svc"), None),
            to(Some("https://kubernetes.default.svc/"), None),
            to(None, Some("in-cluster")),
        ] {
            assert_eq!(
                environment.target(&destination).unwrap().id,
                ClusterId::in_cluster()
            );
        }
    }

    #[test]
    fn other_clusters_are_found_by_server_or_name() {
        let environment = environment(vec![labelled(
            "cluster",
            &[("name", "edge"), ("server", "https://edge:6443/")],
        )]);
        assert_eq!(
            environment
                .target(&to(Some("https://edge:6443"), None))
                .unwrap()
                .id
                .as_str(),
            "edge"
        );
        assert_eq!(
            environment.target(&to(None, Some("edge"))).unwrap().server,
            "https://edge:6443"
        );
        assert!(matches!(
            environment.target(&to(None, Some("nope"))),
            Err(DestinationError::Unknown { what: "name", .. })
        ));
        assert_eq!(
            environment.target(&to(None, None)),
            Err(DestinationError::Neither)
        );
        assert_eq!(
            environment.target(&to(Some("a"), Some("b"))),
            Err(DestinationError::Both)
        );
    }

    #[test]
    fn the_control_cluster_keeps_its_id_when_a_secret_names_it() {
        let environment = environment(vec![labelled(
            "cluster",
            &[
                ("name", "home"),
                ("server", "https://kubernetes.default.svc"),
            ],
        )]);
        assert_eq!(
            environment.target(&to(None, Some("home"))).unwrap().id,
            ClusterId::in_cluster()
        );
    }
}
