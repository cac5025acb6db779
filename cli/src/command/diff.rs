//! `towline diff`: what a release would change, object by object, as `diff -u` shows it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use api::Application;
use bus::AppId;
use bus::message::diff::{Difference, Differences};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;
use similar::TextDiff;

use crate::client::{Client, ClientArgs};
use crate::local::{self, LocalArgs};
use crate::manifests;
use crate::output::{self, Format};

/// Something differs, as `diff` and `kubectl diff` say it.
const DIFFERS: u8 = 1;
/// It can't be told.
const FAILED: u8 = 2;

/// Options of `towline diff`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DiffArgs {
    app: String,
    /// Compare with this branch, tag or commit of the Application's repository, rendered here
    #[arg(long, value_name = "REV")]
    revision: Option<String>,
    /// Compare with what is committed in this checkout of the Application's repository (its HEAD, or --revision), rendered here
    #[arg(long, value_name = "DIR")]
    local: Option<PathBuf>,
    /// For rendering here: a file with Argo CD's Secrets of repositories, and its `ConfigMaps`
    #[arg(long = "repositories", value_name = "FILE")]
    settings: Vec<PathBuf>,
    /// For rendering here: Kubernetes version that charts see [default: Helm's own]
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,
    /// For rendering here: API versions that charts see besides Helm's own
    #[arg(long, value_name = "VERSION", value_delimiter = ',')]
    api_versions: Vec<String>,
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    client: ClientArgs,
}

/// Exits with 0 if nothing differs, 1 if something does, 2 if it can't be told.
pub(crate) async fn diff(args: &DiffArgs) -> ExitCode {
    match compared(args).await {
        Ok(true) => ExitCode::from(DIFFERS),
        Ok(false) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&format!("error: {error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

/// Whether anything differs.
async fn compared(args: &DiffArgs) -> anyhow::Result<bool> {
    let client = Client::from_args(&args.client).await?;
    let app = client.app(&args.app)?;
    let manifests = if args.revision.is_some() || args.local.is_some() {
        Some(rendered(args, &app).await?)
    } else {
        None
    };
    let differences = client.differences(&app, manifests).await?;
    output::print(args.output, &differences, || print(&differences))?;
    let failed = differences.objects.iter();
    let failed: Vec<String> = failed
        .filter_map(|object| Some(format!("{}: {}", title(object), object.error.as_ref()?)))
        .collect();
    if !failed.is_empty() {
        bail!("not compared:\n{}", failed.join("\n"));
    }
    Ok(!differences.objects.is_empty() || !differences.omitted.is_empty())
}

fn print(differences: &Differences) {
    for object in &differences.objects {
        if object.error.is_none() {
            output::line(format_args!("{}", unified(object).trim_end()));
        }
    }
    for omitted in &differences.omitted {
        output::line(format_args!(
            "{omitted} differs, and is too large to be shown"
        ));
    }
}

/// `group/kind/namespace/name`, as commands name an object.
fn title(object: &Difference) -> String {
    format!(
        "{}/{}/{}/{}",
        object.group, object.kind, object.namespace, object.name
    )
}

fn unified(object: &Difference) -> String {
    let title = title(object);
    let text = |value: &Option<Value>| {
        let text = value.as_ref().map(serde_saphyr::to_string);
        // What came as JSON can be written as YAML.
        text.and_then(Result::ok).unwrap_or_default()
    };
    let side = |name: &str, value: &Option<Value>| match value {
        Some(_) => format!("{name}/{title}"),
        None => "/dev/null".to_owned(),
    };
    let (live, target) = (text(&object.live), text(&object.target));
    TextDiff::from_lines(&live, &target)
        .unified_diff()
        .context_radius(3)
        .header(&side("live", &object.live), &side("target", &object.target))
        .to_string()
}

/// What the Application renders to, packed as the monitor takes it.
async fn rendered(args: &DiffArgs, app: &AppId) -> anyhow::Result<String> {
    let mut application = application(args, app).await?;
    let sources = application.spec.sources().to_vec();
    let git = sources
        .iter()
        .find(|source| source.chart().is_none() && !source.is_oci())
        .context("the Application has no Git repository: its charts are compared as they are")?;
    let revision = args.revision.as_deref().unwrap_or("HEAD");
    let spec = &mut application.spec;
    let all = spec.sources.iter_mut().flatten().chain(&mut spec.source);
    for source in all.filter(|source| source.repo_url == git.repo_url) {
        source.target_revision = Some(revision.to_owned());
    }
    let folder = tempfile::tempdir().context("creating a folder")?;
    let file = folder.path().join("application.json");
    std::fs::write(&file, serde_json::to_vec(&application)?)
        .with_context(|| format!("writing {}", file.display()))?;
    let map = args
        .local
        .as_ref()
        .map(|folder| (git.repo_url.clone(), folder.clone()));
    let local = LocalArgs::of_one(
        file,
        map,
        args.settings.clone(),
        (args.kube_version.clone(), args.api_versions.clone()),
        app.namespace().to_owned(),
    );
    let mut objects: Option<Vec<Value>> = None;
    local::render_all(&local, |outcome| {
        if let Ok(rendered) = &outcome.rendered {
            objects = Some(rendered.values_of_objects()?);
        }
        Ok(())
    })
    .await?;
    let objects = objects.context("the Application doesn't render")?;
    manifests::pack(&objects).context("packing what it renders to")
}

/// The Application, from the control cluster.
async fn application(args: &DiffArgs, app: &AppId) -> anyhow::Result<Application> {
    let kubeconfig = args.client.kubeconfig();
    let options = kube::config::KubeConfigOptions::default();
    let config = match kubeconfig {
        Some(path) => {
            let file = kube::config::Kubeconfig::read_from(&path)
                .with_context(|| format!("reading the kubeconfig {}", path.display()))?;
            kube::Config::from_custom_kubeconfig(file, &options).await
        }
        None => kube::Config::from_kubeconfig(&options).await,
    };
    let client = kube::Client::try_from(config.context("reading the kubeconfig")?)?;
    let kind = GroupVersionKind::gvk(api::GROUP, api::VERSION, Application::KIND);
    let resource = ApiResource::from_gvk_with_plural(&kind, Application::PLURAL);
    let api: Api<DynamicObject> = Api::namespaced_with(client, app.namespace(), &resource);
    let object = api
        .get(app.name())
        .await
        .with_context(|| format!("reading Application {app} from the control cluster"))?;
    serde_json::from_value(serde_json::to_value(object)?)
        .with_context(|| format!("Application {app} can't be read"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn difference(live: Option<Value>, target: Option<Value>) -> Difference {
        Difference {
            group: "apps".to_owned(),
            version: "v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            live,
            target,
            error: None,
        }
    }

    #[test]
    fn a_difference_is_shown_as_diff_shows_it() {
        let of = |replicas: u32| Some(json!({"spec": {"paused": false, "replicas": replicas}}));
        let shown = unified(&difference(of(1), of(2)));
        assert!(
            shown.starts_with(
                "--- live/apps/Deployment/shop/web\n+++ target/apps/Deployment/shop/web\n@@"
            ),
            "{shown}"
        );
        assert!(
            shown.contains("\n-  replicas: 1\n+  replicas: 2\n"),
            "{shown}"
        );
        assert!(shown.contains("\n   paused: false\n"), "{shown}");
    }

    #[test]
    fn what_is_new_or_goes_is_compared_with_nothing() {
        let object = Some(json!({"a": 1}));
        assert!(
            unified(&difference(None, object.clone())).starts_with("--- /dev/null\n+++ target/")
        );
        assert!(unified(&difference(object, None)).contains("\n+++ /dev/null\n"));
    }
}
