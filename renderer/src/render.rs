//! One render, from a job to objects. Usable without the bus: `towline render` calls it too.

use std::sync::{Arc, Mutex, PoisonError};

use api::application::source::ApplicationSource;
use bus::message::condition::ConditionType;
use bus::message::desired::{Setting, Tool};
use bus::message::manifests::SourceType;
use bus::message::need::Need;
use bus::message::render::PseudoInput;
use serde_json::Value;

use crate::engine::{Files, NoFiles, Pool, wire};
use crate::job::Job;
use crate::need;
use crate::objects::{self, Limits, Located};
use crate::tool::build_env::{BuildEnv, BuildFacts};
use crate::tool::{self, ToolError, directory, helm, kustomize, last_mile, overrides};
use crate::tree::{Answer, TreeError, View};

/// What a job came to. Its inputs are asked of the job.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    pub objects: Vec<Value>,
    /// The tool of each source that has manifests.
    pub source_types: Vec<SourceType>,
    /// Warnings for a person.
    pub warnings: Vec<(ConditionType, String)>,
    /// What besides files went in.
    pub values: Vec<PseudoInput>,
}

/// Why a job came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("{place}: {cause}")]
    Source {
        place: String,
        cause: Box<ToolError>,
    },
    #[error("{0}")]
    Whole(Box<ToolError>),
    #[error(
        "{place}: the chart asks for the cluster's API versions, which its applier has not reported yet"
    )]
    NoCapabilities { place: String },
    #[error("waits for {}", list(needs))]
    Waits { needs: Vec<Need> },
}

impl RenderError {
    fn cause(&self) -> Option<&ToolError> {
        match self {
            Self::Source { cause, .. } | Self::Whole(cause) => Some(cause),
            Self::NoCapabilities { .. } | Self::Waits { .. } => None,
        }
    }

    /// Whether something beside the sources has to be fetched first.
    fn waits(&self) -> bool {
        matches!(self, Self::Waits { .. }) || matches!(self.cause(), Some(ToolError::Waits))
    }

    /// Whether the snapshot lacks an object, so that publishing it again helps.
    pub fn is_missing_object(&self) -> bool {
        matches!(self.cause(), Some(ToolError::Tree(error)) if error.is_missing_object())
    }

    /// Whether the same job may succeed on another try: the fault is the renderer's or its surroundings'.
    pub fn may_pass(&self) -> bool {
        use crate::engine::WorkerError;
        match self.cause() {
            None | Some(ToolError::Panicked) => true,
            Some(ToolError::Worker(error)) => matches!(
                error,
                WorkerError::Start { .. }
                    | WorkerError::NotReady
                    | WorkerError::Unconfined { .. }
                    | WorkerError::Died { .. }
                    | WorkerError::Garbled(_)
                    | WorkerError::Babbled { .. }
            ),
            Some(ToolError::Tree(error)) => matches!(
                error,
                TreeError::Scratch { .. }
                    | TreeError::Git(_)
                    | TreeError::Pack { .. }
                    | TreeError::MissingObject(_)
            ),
            Some(_) => false,
        }
    }

    /// The condition's type on the application.
    pub fn condition(&self) -> ConditionType {
        match self.cause() {
            Some(ToolError::SeveralTools { .. } | ToolError::NoChart) => {
                ConditionType::InvalidSpecError
            }
            _ => ConditionType::ComparisonError,
        }
    }
}

/// Renders a job.
pub async fn render(job: &Arc<Job>, pool: &Pool, limits: Limits) -> Result<Rendered, RenderError> {
    let mut rendered = Rendered::default();
    let mut found = Vec::new();
    for index in 0..job.sources.len() {
        if is_reference_only(&job.sources[index].spec) {
            continue;
        }
        match source(job, index, pool, &mut rendered).await {
            Ok(objects) => found.extend(objects),
            // The other sources may need something too: all of it is asked for at once.
            Err(error) if error.waits() => {}
            Err(error) => return Err(error),
        }
    }
    let needs = job.dependencies.missing();
    if !needs.is_empty() {
        return Err(RenderError::Waits { needs });
    }
    if job.last_mile.is_some() && !rendered.source_types.contains(&SourceType::HelmLastMile) {
        return Err(RenderError::Whole(Box::new(ToolError::NoChart)));
    }
    let finished = blocking(move || objects::finish(found, limits).map_err(ToolError::from))
        .await
        .map_err(|cause| RenderError::Whole(Box::new(cause)))?;
    rendered.objects = finished.objects;
    rendered.warnings = finished
        .repeated
        .into_iter()
        .map(|repeated| {
            let message = format!(
                "Resource {} appeared {} times among application resources. The last one counts: {}",
                repeated.object, repeated.times, repeated.last
            );
            (ConditionType::RepeatedResourceWarning, message)
        })
        .collect();
    rendered.values.sort();
    Ok(rendered)
}

/// The objects of one source; what went into it besides files is added to the whole.
async fn source(
    job: &Arc<Job>,
    index: usize,
    pool: &Pool,
    rendered: &mut Rendered,
) -> Result<Vec<Located>, RenderError> {
    let in_source = |cause: ToolError| RenderError::Source {
        place: place(job, index),
        cause: Box::new(cause),
    };
    let prepared = {
        let job = Arc::clone(job);
        blocking(move || prepare(&job, index))
            .await
            .map_err(in_source)?
    };
    let mut used = Vec::new();
    if prepared.revision {
        let source = u32::try_from(index).unwrap_or(u32::MAX);
        used.push(PseudoInput::Revision { source });
    }
    if prepared.capabilities {
        let Some(capabilities) = &job.capabilities else {
            return Err(RenderError::NoCapabilities {
                place: place(job, index),
            });
        };
        used.push(PseudoInput::Capabilities(capabilities.digest()));
    }
    used.extend(prepared.settings.iter().map(|&name| PseudoInput::Setting {
        name,
        value: job.rendering.digest(name),
    }));
    for value in used {
        if !rendered.values.contains(&value) {
            rendered.values.push(value);
        }
    }
    rendered.source_types.push(prepared.tool);
    carry_out(prepared.step, pool).await.map_err(in_source)
}

/// A source as far as it goes without the engine.
struct Prepared {
    tool: SourceType,
    step: Step,
    revision: bool,
    capabilities: bool,
    settings: Vec<Setting>,
}

enum Step {
    Manifests {
        found: directory::Manifests,
        files: Arc<View>,
    },
    Engine {
        request: Box<wire::Request>,
        files: Option<Arc<View>>,
        skip_tests: bool,
    },
}

fn prepare(job: &Job, index: usize) -> Result<Prepared, ToolError> {
    let source = &job.sources[index];
    let tree = &source.tree;
    let folder = tool::folder(&source.spec, tree)?;
    let spec = overrides::merged(&source.spec, tree, &folder, &job.instance)?;
    let env = BuildEnv::new(&BuildFacts {
        app: &job.instance,
        namespace: &job.namespace,
        project: &job.project,
        revision: &source.revision,
        repo_url: &source.spec.repo_url,
        path: source.spec.path.as_deref().unwrap_or_default(),
        target_revision: source.spec.target_revision.as_deref().unwrap_or_default(),
    });
    let tool::Detected {
        mut tool,
        mut settings,
    } = tool::detect(&spec, tree, &folder, &job.rendering)?;
    let mut capabilities = false;
    let step = match tool {
        SourceType::Directory => {
            let off = job.rendering.disabled.contains(&Tool::Jsonnet);
            let found = directory::read(tree, &folder, spec.directory.as_ref(), &env, off)?;
            if found.jsonnet {
                settings.push(Setting::Disabled(Tool::Jsonnet));
            }
            Step::Manifests {
                found,
                files: Arc::new(View::new(Arc::clone(tree))),
            }
        }
        SourceType::Kustomize => {
            let request = kustomize::request(&spec, &folder, &env)?;
            engine(
                wire::Request {
                    kustomize: Some(request),
                    ..wire::Request::default()
                },
                Some(Arc::new(View::new(Arc::clone(tree)))),
                false,
            )
        }
        SourceType::Helm | SourceType::HelmLastMile => {
            let chart = helm::prepare(job, index, &spec, &folder, &env)?;
            capabilities = chart.capabilities;
            settings.extend(chart.settings);
            let skip_tests = chart.request.skip_tests;
            match job.last_mile.as_deref() {
                Some(named) => {
                    tool = SourceType::HelmLastMile;
                    let (tree, overlay) = last_mile::overlay(job, index, &folder, named)?;
                    engine(
                        wire::Request {
                            helm: Some(chart.request),
                            kustomize: Some(overlay),
                            ..wire::Request::default()
                        },
                        Some(Arc::new(View::new(tree))),
                        false,
                    )
                }
                None => engine(
                    wire::Request {
                        helm: Some(chart.request),
                        ..wire::Request::default()
                    },
                    None,
                    skip_tests,
                ),
            }
        }
    };
    Ok(Prepared {
        tool,
        step,
        revision: env.revision_used(),
        capabilities,
        settings,
    })
}

fn engine(request: wire::Request, files: Option<Arc<View>>, skip_tests: bool) -> Step {
    Step::Engine {
        request: Box::new(request),
        files,
        skip_tests,
    }
}

async fn carry_out(step: Step, pool: &Pool) -> Result<Vec<Located>, ToolError> {
    match step {
        Step::Manifests { found, files } => {
            let documents = match found.request() {
                None => Vec::new(),
                Some(request) => ask(pool, &request, Some(files)).await?,
            };
            blocking(move || found.finish(&documents)).await
        }
        Step::Engine {
            request,
            files,
            skip_tests,
        } => {
            let documents = ask(pool, &request, files).await?;
            blocking(move || objects::of_engine(&documents, skip_tests).map_err(ToolError::from))
                .await
        }
    }
}

/// What the engine makes of a request, its questions answered from `files`.
async fn ask(
    pool: &Pool,
    request: &wire::Request,
    files: Option<Arc<View>>,
) -> Result<Vec<wire::Document>, ToolError> {
    let Some(view) = files else {
        return Ok(pool.render(request, &NoFiles).await?);
    };
    let answers = ViewFiles {
        view,
        failed: Mutex::new(None),
    };
    let outcome = pool.render(request, &answers).await;
    // The engine only passes on our own words; the error itself says what is to be done.
    let failed = answers
        .failed
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    match (outcome, failed) {
        (Err(_), Some(failed)) => Err(failed.into()),
        (outcome, _) => Ok(outcome?),
    }
}

/// Answers the engine from a source's tree and what is mounted in it.
struct ViewFiles {
    view: Arc<View>,
    /// The first question without an answer.
    failed: Mutex<Option<TreeError>>,
}

impl Files for ViewFiles {
    fn at(&self, path: &str) -> wire::Answer {
        match self.view.at(path) {
            Ok(Answer::File { path, data }) => wire::Answer::File {
                path,
                data: wire::Bytes(data),
            },
            Ok(Answer::Folder { path }) => wire::Answer::Directory { path },
            Ok(Answer::Absent) => wire::Answer::Absent,
            Err(error) => {
                let message = error.to_string();
                self.failed
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(error);
                wire::Answer::Refused { message }
            }
        }
    }
}

fn list(needs: &[Need]) -> String {
    /// A line for a person; the record has them all.
    const MOST: usize = 5;
    let mut list: Vec<String> = needs.iter().take(MOST).map(need::describe).collect();
    if needs.len() > MOST {
        list.push(format!("{} more", needs.len() - MOST));
    }
    list.join(", ")
}

/// A source that only lends its files to others.
fn is_reference_only(spec: &ApplicationSource) -> bool {
    let empty = |field: &Option<String>| field.as_deref().unwrap_or_default().is_empty();
    !empty(&spec.reference) && empty(&spec.path) && spec.chart().is_none()
}

/// Where a person looks: the path and commit, and which source if there are several.
fn place(job: &Job, index: usize) -> String {
    let source = &job.sources[index];
    let commit = short(&source.revision);
    let path = source.spec.chart().unwrap_or(source.spec.path());
    if job.sources.len() == 1 {
        format!("{path} at {commit}")
    } else {
        format!("source {} ({path} at {commit})", index + 1)
    }
}

/// A commit's or digest's first characters; a version as it is.
fn short(revision: &str) -> &str {
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if revision.len() == 40 && hex(revision) {
        &revision[..7]
    } else if let Some(digest) = revision.strip_prefix("sha256:")
        && hex(digest)
    {
        digest.get(..7).unwrap_or(digest)
    } else {
        revision
    }
}

/// Parsing and reading take long enough to hold up everything else on a runtime's thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ToolError> + Send + 'static,
) -> Result<T, ToolError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(ToolError::Panicked))
}
