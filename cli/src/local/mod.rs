//! Renders on this machine: no Towline runs, no NATS, no cluster.
//!
//! `applications` (files → Applications) → `places`: `repositories` (of this machine, by their URLs), else `fetched` (as whom:
//! `settings`) → trees → the renderer's library, which may ask for more, and is called again with that.
//! The conditions are those that a running Towline gives, without the ones that only a cluster knows (projects, destinations).

mod applications;
mod fetched;
mod places;
mod repositories;
mod settings;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::application::ApplicationSpec;
use bus::message::cluster::Capabilities;
use bus::message::condition::ConditionType;
use bus::message::desired::Rendering;
use bus::message::need::Need;
use deploy::Component;
use futures::StreamExt as _;
use renderer::{
    Dependencies, Job, Limits, Pool, PoolOptions, RenderError, Rendered, Source, TreeError,
};

use applications::Named;
pub(crate) use applications::text;
use fetched::{Fetched, Reach};
use places::Places;
use repositories::{Located, Mapping, Repositories};
use watcher::links::LinkPolicy;

/// As a renderer service has them unless it is told otherwise.
const TIME_LIMIT: Duration = Duration::from_mins(1);
const MEMORY_LIMIT: u64 = 512 << 20;

/// What is rendered, and from where.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LocalArgs {
    /// Files with Applications; `-` is standard input
    #[arg(required = true, value_name = "APPLICATION.yaml")]
    files: Vec<PathBuf>,
    /// A repository's checkout or bare repository on this machine; only what is committed counts. What no map answers is fetched
    #[arg(long = "map", value_name = "URL=DIR")]
    maps: Vec<Mapping>,
    /// Branch, tag or commit to render instead of the Applications' targetRevision, in every repository on this machine
    #[arg(long, value_name = "REV")]
    revision: Option<String>,
    /// A file with Argo CD's Secrets of repositories and their credentials, and its `ConfigMaps` (argocd-cm, argocd-ssh-known-hosts-cm, argocd-tls-certs-cm); `-` is standard input
    #[arg(long = "repositories", value_name = "FILE")]
    settings: Vec<PathBuf>,
    /// Fetch nothing: only maps count, and what an earlier run fetched
    #[arg(long)]
    offline: bool,
    /// Where what was fetched is kept [default: towline/sources in the user's cache folder]
    #[arg(long, env = "TOWLINE_CACHE_DIR", value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Kubernetes version that charts see [default: Helm's own]
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,
    /// API versions that charts see besides Helm's own, as apps/v1 or apps/v1/Deployment
    #[arg(long, value_name = "VERSION", value_delimiter = ',')]
    api_versions: Vec<String>,
    /// Options of every Kustomize build, instead of kustomize.buildOptions in argocd-cm
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    kustomize_build_options: Option<String>,
    /// Take revisions that hold symbolic links out of the repository, too, as a watcher with this flag does
    #[arg(long, env = "TOWLINE_ALLOW_OOB_SYMLINKS")]
    allow_oob_symlinks: bool,
    /// Namespace of the control cluster whose Applications go by their names alone
    #[arg(
        long,
        short,
        env = "TOWLINE_NAMESPACE",
        default_value = "argocd",
        value_name = "NAMESPACE"
    )]
    namespace: String,
}

impl LocalArgs {
    /// One Application in a file; `map` is a repository of it on this machine.
    pub(crate) fn of_one(
        file: PathBuf,
        map: Option<(String, PathBuf)>,
        settings: Vec<PathBuf>,
        (kube_version, api_versions): (Option<String>, Vec<String>),
        namespace: String,
    ) -> Self {
        Self {
            files: vec![file],
            maps: map.into_iter().map(Mapping::from).collect(),
            revision: None,
            settings,
            offline: false,
            cache_dir: None,
            kube_version,
            api_versions,
            kustomize_build_options: None,
            allow_oob_symlinks: false,
            namespace,
        }
    }
}

/// What to say about an application.
pub(crate) struct Complaint {
    pub(crate) kind: ConditionType,
    pub(crate) message: String,
}

/// What an application came to.
pub(crate) struct Outcome {
    /// Its name in tracking ids: with its namespace where that isn't the control namespace.
    pub(crate) instance: String,
    /// Knows what was read, also by a render that failed; none if it didn't come to reading.
    pub(crate) job: Option<Arc<Job>>,
    pub(crate) rendered: Result<Rendered, Complaint>,
    pub(crate) warnings: Vec<Complaint>,
}

impl Complaint {
    fn invalid(message: String) -> Self {
        Self {
            kind: ConditionType::InvalidSpecError,
            message,
        }
    }

    fn comparison(error: &anyhow::Error) -> Self {
        Self {
            kind: ConditionType::ComparisonError,
            message: format!("{error:#}"),
        }
    }
}

/// Renders every application of the files; `each` gets them in the order of the files. Success if all of them rendered.
pub(crate) async fn render_all(
    args: &LocalArgs,
    mut each: impl FnMut(&Outcome) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let named = applications::read(&args.files, &args.namespace)?;
    let total = named.len();
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let folder = tempfile::tempdir().context("creating a folder for the engine")?;
    let options = PoolOptions {
        engine: deploy::locate(Component::Engine).await?,
        folder: folder.path().to_owned(),
        workers,
        memory_limit: MEMORY_LIMIT,
        time_limit: TIME_LIMIT,
        require_confinement: false,
    };
    let replaced = prometheus::IntCounter::new("replaced", "Workers replaced")?;
    let pool = Pool::new(options, replaced);
    let environment = Arc::new(settings::read(&args.settings)?);
    let reach = if args.offline {
        Reach::Cache
    } else {
        Reach::Hosts
    };
    let cache = cache_dir(args)?;
    let links = LinkPolicy::of(args.allow_oob_symlinks);
    let places = Places {
        fetched: Fetched::new(cache, reach, &environment, folder.path())?,
        repositories: Repositories::new(&args.maps, args.revision.as_deref(), links),
        environment,
        links,
    };
    let capabilities = Capabilities {
        kube_version: args.kube_version.clone().unwrap_or_default(),
        api_versions: args.api_versions.clone(),
    };

    let mut rendering = places.environment.rendering();
    if let Some(options) = &args.kustomize_build_options {
        rendering.kustomize_build_options.clone_from(options);
    }

    let mut progress = Progress::new(total);
    let mut failed = false;
    let mut outcomes = futures::stream::iter(named)
        .map(|named| one(named, &places, &capabilities, &rendering, &pool))
        .buffered(workers);
    while let Some(outcome) = outcomes.next().await {
        progress.clear();
        failed |= outcome.rendered.is_err();
        each(&outcome)?;
        for complaint in outcome
            .rendered
            .as_ref()
            .err()
            .into_iter()
            .chain(&outcome.warnings)
        {
            crate::output::note(&format!(
                "{}: {}: {}",
                outcome.instance,
                complaint.kind.as_str(),
                complaint.message
            ));
        }
        progress.step();
    }
    progress.clear();
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn one(
    named: Named,
    places: &Places<'_>,
    capabilities: &Capabilities,
    rendering: &Rendering,
    pool: &Pool,
) -> Outcome {
    let Named {
        name,
        instance,
        application,
    } = named;
    let failed = |instance, complaint| Outcome {
        instance,
        job: None,
        rendered: Err(complaint),
        warnings: Vec::new(),
    };
    let application = match application {
        Ok(application) => application,
        Err(error) => return failed(instance, Complaint::invalid(error)),
    };
    let mut warnings = unknown_fields(&application.spec);
    let sources = match places.sources(&application.spec).await {
        Ok(sources) => sources,
        Err(complaint) => return failed(instance, complaint),
    };
    let job = |needs: &[(Need, Located)]| -> Result<Arc<Job>, TreeError> {
        let specified = application.spec.sources().iter();
        let located = specified.zip(&sources).map(|(spec, at)| {
            Ok(Source {
                spec: spec.clone(),
                revision: at.commit.clone(),
                tree: at.tree()?,
            })
        });
        let had = needs
            .iter()
            .map(|(need, at)| Ok((need.clone(), at.tree()?)));
        Ok(Arc::new(Job {
            app: name.clone(),
            instance: instance.clone(),
            project: application.spec.project().to_owned(),
            namespace: application.spec.destination.namespace().to_owned(),
            last_mile: application
                .annotation(api::annotations::LAST_MILE)
                .map(str::to_owned),
            capabilities: Some(capabilities.clone()),
            rendering: rendering.clone(),
            sources: located.collect::<Result<_, TreeError>>()?,
            dependencies: Dependencies::new(had.collect::<Result<Vec<_>, TreeError>>()?),
        }))
    };
    let project = application.spec.project();
    let (job, rendered) = until_nothing_lacks(job, project, places, pool).await;
    let rendered = rendered.inspect(|rendered| {
        let of_render = rendered.warnings.iter().cloned();
        warnings.extend(of_render.map(|(kind, message)| Complaint { kind, message }));
    });
    Outcome {
        instance,
        job,
        rendered,
        warnings,
    }
}

/// Renders, finds what that asked for, and renders again: what is found may ask for more.
async fn until_nothing_lacks(
    job: impl Fn(&[(Need, Located)]) -> Result<Arc<Job>, TreeError>,
    project: &str,
    places: &Places<'_>,
    pool: &Pool,
) -> (Option<Arc<Job>>, Result<Rendered, Complaint>) {
    let mut had = Vec::new();
    let mut rounds = 0;
    loop {
        let job = match job(&had) {
            Ok(job) => job,
            Err(error) => {
                let message = error.to_string();
                let kind = ConditionType::ComparisonError;
                return (None, Err(Complaint { kind, message }));
            }
        };
        let error = match renderer::render(&job, pool, Limits::DEFAULT).await {
            Ok(rendered) => return (Some(job), Ok(rendered)),
            Err(error) => error,
        };
        match error {
            RenderError::Waits { needs } if rounds < Need::MAX_ROUNDS => {
                match places.needs(&needs, project).await {
                    Ok(found) => had.extend(found),
                    Err(complaint) => return (Some(job), Err(complaint)),
                }
            }
            error => {
                let complaint = Complaint {
                    kind: error.condition(),
                    message: error.to_string(),
                };
                return (Some(job), Err(complaint));
            }
        }
        rounds += 1;
    }
}

/// By the XDG rules, unless it is told.
fn cache_dir(args: &LocalArgs) -> anyhow::Result<PathBuf> {
    if let Some(told) = &args.cache_dir {
        return Ok(told.clone());
    }
    let absolute = |variable: &str| {
        let path = std::env::var_os(variable).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    let base = base.context(
        "no place for what is fetched: give --cache-dir, or set XDG_CACHE_HOME or HOME to an absolute path",
    )?;
    Ok(base.join("towline/sources"))
}

fn unknown_fields(spec: &ApplicationSpec) -> Vec<Complaint> {
    let unknown = Vec::from_iter(spec.unknown_fields());
    if unknown.is_empty() {
        return Vec::new();
    }
    vec![Complaint {
        kind: ConditionType::UnknownFieldWarning,
        message: format!(
            "fields without meaning to this version of Towline are ignored: {}",
            unknown.join(", ")
        ),
    }]
}

/// How far a longer run is, for a person who watches.
struct Progress {
    done: usize,
    total: usize,
    shown: bool,
}

impl Progress {
    /// From so many on, one wants to know.
    const FEW: usize = 4;

    fn new(total: usize) -> Self {
        let watched = std::io::IsTerminal::is_terminal(&std::io::stderr());
        Self {
            done: 0,
            total,
            shown: watched && total >= Self::FEW,
        }
    }

    fn step(&mut self) {
        self.done += 1;
        if self.shown {
            crate::output::same_line(&format!("{} of {} rendered", self.done, self.total));
        }
    }

    /// Makes room for what is printed in between.
    fn clear(&mut self) {
        if self.shown {
            crate::output::same_line("");
        }
    }
}
