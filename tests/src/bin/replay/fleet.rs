//! Which applications there are: a parent for each environment, and those that it makes.

use api::Application;
use api::application::source::ApplicationSource;
use serde_json::{Value, json};

/// What is rendered, all from the repository at hand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) project: String,
    pub(crate) sources: Vec<ApplicationSource>,
}

/// Environment and application; of a parent, only the environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) environment: String,
    pub(crate) app: Option<String>,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.app {
            Some(app) => write!(f, "{}/{app}", self.environment),
            None => f.write_str(&self.environment),
        }
    }
}

/// The parents of a chart, by the value files beside it.
pub(crate) fn parents<'a>(
    chart: &'a str,
    files: &'a [String],
) -> impl Iterator<Item = (Key, Definition)> + 'a {
    let inner = move |file: &'a String| file.strip_prefix(chart)?.strip_prefix('/');
    files.iter().filter_map(inner).filter_map(move |file| {
        let environment = file.strip_prefix("values-")?.strip_suffix(".yaml")?;
        let key = Key {
            environment: environment.to_owned(),
            app: None,
        };
        let source = json!({"repoURL": "", "path": chart, "helm": {"valueFiles": [file]}});
        let definition = Definition {
            name: "applications".to_owned(),
            namespace: "argocd".to_owned(),
            project: "default".to_owned(),
            // Made of strings here.
            sources: vec![serde_json::from_value(source).ok()?],
        };
        Some((key, definition))
    })
}

/// The Applications among a parent's objects. All their sources are taken to be in this repository; one that has charts from
/// elsewhere is none of this fleet.
pub(crate) fn children(parent: &Key, objects: &[Value]) -> Vec<(Key, Definition)> {
    let is_application = |object: &&Value| {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        object["kind"] == Application::KIND && version.starts_with("argoproj.io/")
    };
    let child = |object: &Value| {
        let application: Application = serde_json::from_value(object.clone()).ok()?;
        let name = object.pointer("/metadata/name")?.as_str()?.to_owned();
        let sources = application.spec.sources().to_vec();
        let is_here = |source: &ApplicationSource| source.chart().is_none();
        if sources.is_empty() || !sources.iter().all(is_here) {
            return None;
        }
        let key = Key {
            environment: parent.environment.clone(),
            app: Some(name.clone()),
        };
        let definition = Definition {
            name,
            namespace: application.spec.destination.namespace().to_owned(),
            project: application.spec.project().to_owned(),
            sources,
        };
        Some((key, definition))
    };
    objects
        .iter()
        .filter(is_application)
        .filter_map(child)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_a_value_file_beside_the_chart() {
        let files = [
            "environments/values-summit.yaml",
            "environments/values.yaml",
            "environments/deep/values-x.yaml.txt",
            "other/values-base.yaml",
        ]
        .map(str::to_owned);
        let found: Vec<_> = parents("environments", &files).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0.to_string(), "summit");
        assert_eq!(found[0].1.sources[0].path(), "environments");
    }

    #[test]
    fn children_are_the_applications_among_the_objects() {
        let parent = Key {
            environment: "summit".to_owned(),
            app: None,
        };
        let app = |name: &str, source: Value| {
            json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": name},
                "spec": {"project": "p", "destination": {"namespace": "n"}, "source": source},
            })
        };
        let objects = [
            app("dome", json!({"repoURL": "r", "path": "applications/dome"})),
            app(
                "other",
                json!({"repoURL": "r", "chart": "c", "targetRevision": "1"}),
            ),
            json!({"apiVersion": "v1", "kind": "Namespace"}),
        ];
        let found = children(&parent, &objects);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0.to_string(), "summit/dome");
    }
}
