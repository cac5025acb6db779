//! One render, from a job to objects. Usable without the bus: `towline render` calls it too.

mod ask;
mod error;

use std::sync::Arc;

use bus::message::condition::ConditionType;
use bus::message::desired::{Setting, Tool};
use bus::message::manifests::SourceType;
use bus::message::render::PseudoInput;
use serde_json::Value;

use crate::engine::{Pool, wire};
use crate::job::Job;
use crate::objects::{self, Limits, Located, Meter, Object};
use crate::tool::answers::Answers;
use crate::tool::build_env::{BuildEnv, BuildFacts};
use crate::tool::chart_files::ChartFiles;
use crate::tool::{self, ToolError, directory, helm, kustomize, last_mile, overrides};
use crate::tree::Tree;

use ask::{Questions, ask};
pub use error::RenderError;

/// What a job came to. Its inputs are asked of the job.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    pub objects: Vec<Object>,
    /// The tool of each source that has manifests.
    pub source_types: Vec<SourceType>,
    /// Warnings for a person.
    pub warnings: Vec<(ConditionType, String)>,
    /// What besides files went in.
    pub values: Vec<PseudoInput>,
}

impl Rendered {
    /// The objects with all their values.
    pub fn values_of_objects(&self) -> Result<Vec<Value>, serde_json::Error> {
        self.objects.iter().map(Object::value).collect()
    }

    fn used(&mut self, value: PseudoInput) {
        if !self.values.contains(&value) {
            self.values.push(value);
        }
    }

    fn use_capabilities(&mut self, job: &Job, index: usize) -> Result<(), RenderError> {
        let capabilities = job.capabilities.as_ref();
        let capabilities = capabilities.ok_or_else(|| RenderError::NoCapabilities {
            place: place(job, index),
        })?;
        self.used(PseudoInput::Capabilities(capabilities.digest()));
        Ok(())
    }
}

/// Renders a job.
pub async fn render(job: &Arc<Job>, pool: &Pool, limits: Limits) -> Result<Rendered, RenderError> {
    let mut rendered = Rendered::default();
    let mut found = Vec::new();
    let meter = Arc::new(Meter::new(limits, pool.documents()));
    for index in 0..job.sources.len() {
        if job.sources[index].spec.is_reference_only() {
            continue;
        }
        match source(job, index, pool, &meter, &mut rendered).await {
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
        .map_err(|cause| in_the_end(job, cause))?;
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

/// What is found when all sources are together names files; of which source is only certain where there is one.
fn in_the_end(job: &Job, cause: ToolError) -> RenderError {
    let cause = Box::new(cause);
    if job.sources.len() == 1 {
        RenderError::Source {
            place: place(job, 0),
            cause,
        }
    } else {
        RenderError::Whole(cause)
    }
}

/// The objects of one source; what went into it besides files is added to the whole.
async fn source(
    job: &Arc<Job>,
    index: usize,
    pool: &Pool,
    meter: &Arc<Meter>,
    rendered: &mut Rendered,
) -> Result<Vec<Located>, RenderError> {
    let in_source = |cause: ToolError| RenderError::Source {
        place: place(job, index),
        cause: Box::new(cause),
    };
    let prepared = {
        let (job, meter) = (Arc::clone(job), Arc::clone(meter));
        blocking(move || prepare(&job, index, &meter))
            .await
            .map_err(in_source)?
    };
    let mut used = Vec::new();
    if prepared.revision {
        let source = u32::try_from(index).unwrap_or(u32::MAX);
        used.push(PseudoInput::Revision { source });
    }
    if prepared.capabilities {
        rendered.use_capabilities(job, index)?;
    }
    used.extend(prepared.settings.iter().map(|&name| PseudoInput::Setting {
        name,
        value: job.rendering.digest(name),
    }));
    for value in used {
        rendered.used(value);
    }
    rendered.source_types.push(prepared.tool);
    let asks_cluster = prepared.asks_cluster;
    let carried_out = carry_out(prepared.step, pool, meter)
        .await
        .map_err(in_source)?;
    if carried_out.capabilities && asks_cluster {
        rendered.use_capabilities(job, index)?;
    }
    Ok(carried_out.objects)
}

/// A source as far as it goes without the engine.
struct Prepared {
    tool: SourceType,
    step: Step,
    revision: bool,
    capabilities: bool,
    /// Whether the cluster has a say in charts that only turn up in the engine.
    asks_cluster: bool,
    settings: Vec<Setting>,
}

enum Step {
    Manifests {
        found: directory::Manifests,
        questions: Questions,
    },
    Engine {
        request: Box<wire::Request>,
        questions: Questions,
        skip_tests: bool,
    },
}

fn prepare(job: &Arc<Job>, index: usize, meter: &Meter) -> Result<Prepared, ToolError> {
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
            let found = directory::read(tree, &folder, spec.directory.as_ref(), &env, off, meter)?;
            if found.jsonnet {
                settings.push(Setting::Disabled(Tool::Jsonnet));
            }
            let questions = answers(job, tree, None);
            Step::Manifests { found, questions }
        }
        SourceType::Kustomize => {
            settings.push(Setting::KustomizeBuildOptions);
            let request = kustomize::request(job, &spec, &folder, &env)?;
            engine(
                wire::Request {
                    kustomize: Some(request),
                    ..wire::Request::default()
                },
                answers(job, tree, None),
                false,
            )
        }
        SourceType::Helm | SourceType::HelmLastMile => {
            let chart = helm::prepare(job, index, &spec, &folder, &env)?;
            capabilities = chart.capabilities;
            settings.extend(chart.settings);
            let skip_tests = chart.request.skip_tests;
            let files = Arc::new(chart.beside);
            match job.last_mile.as_deref() {
                Some(named) => {
                    tool = SourceType::HelmLastMile;
                    settings.push(Setting::KustomizeBuildOptions);
                    let (tree, overlay) = last_mile::overlay(job, index, &folder, named)?;
                    engine(
                        wire::Request {
                            helm: Some(chart.request),
                            kustomize: Some(overlay),
                            ..wire::Request::default()
                        },
                        answers(job, &tree, Some(files)),
                        false,
                    )
                }
                None => engine(
                    wire::Request {
                        helm: Some(chart.request),
                        ..wire::Request::default()
                    },
                    Questions::Chart(files),
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
        // What a chart's files say of it is judged where they are read.
        asks_cluster: matches!(tool, SourceType::Helm) || kustomize::asks_cluster(&spec),
        settings,
    })
}

fn engine(request: wire::Request, questions: Questions, skip_tests: bool) -> Step {
    Step::Engine {
        request: Box::new(request),
        questions,
        skip_tests,
    }
}

fn answers(job: &Arc<Job>, tree: &Arc<Tree>, chart: Option<Arc<ChartFiles>>) -> Questions {
    Questions::Tree(Box::new(Answers::new(
        Arc::clone(job),
        Arc::clone(tree),
        chart,
    )))
}

/// What a source came to.
struct CarriedOut {
    objects: Vec<Located>,
    /// Whether the cluster's version or API versions can have changed it.
    capabilities: bool,
}

async fn carry_out(step: Step, pool: &Pool, meter: &Arc<Meter>) -> Result<CarriedOut, ToolError> {
    let meter = Arc::clone(meter);
    let mut capabilities = false;
    let objects = match step {
        Step::Manifests { found, questions } => {
            let documents = match found.request() {
                None => Vec::new(),
                Some(mut request) => ask(pool, &mut request, &questions).await?.documents,
            };
            blocking(move || found.finish(&documents, &meter)).await?
        }
        Step::Engine {
            mut request,
            questions,
            skip_tests,
        } => {
            let asked = ask(pool, &mut request, &questions).await?;
            capabilities = asked.capabilities;
            blocking(move || {
                objects::of_engine(&asked.documents, skip_tests, &meter).map_err(ToolError::from)
            })
            .await?
        }
    };
    Ok(CarriedOut {
        objects,
        capabilities,
    })
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
