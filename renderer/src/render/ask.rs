//! Asks the engine, and answers its questions.

use std::sync::Arc;

use super::blocking;
use crate::engine::{FailureKind, Files, Pool, WorkerError, wire};
use crate::tool::ToolError;
use crate::tool::answers::Answers;
use crate::tool::chart_files::ChartFiles;
use crate::tree::join;

/// What a render may ask for.
pub(super) enum Questions {
    /// Files of the chart that is rendered, and nothing else.
    Chart(Arc<ChartFiles>),
    Tree(Box<Answers>),
}

/// What the engine came to.
pub(super) struct Asked {
    pub(super) documents: Vec<wire::Document>,
    /// Whether the cluster's version or API versions can have changed it, of which nobody knew before.
    pub(super) capabilities: bool,
}

impl Questions {
    fn files(&self) -> &dyn Files {
        match self {
            Self::Chart(chart) => chart.as_ref(),
            Self::Tree(answers) => answers.as_ref(),
        }
    }

    fn chart(&self) -> Option<&Arc<ChartFiles>> {
        match self {
            Self::Chart(chart) => Some(chart),
            Self::Tree(answers) => answers.chart_files(),
        }
    }

    fn failure(&self) -> Option<ToolError> {
        match self {
            Self::Chart(chart) => chart.failure(),
            Self::Tree(answers) => answers.failure(),
        }
    }

    fn last(&self) -> String {
        match self {
            Self::Chart(_) => String::new(),
            Self::Tree(answers) => answers.last(),
        }
    }

    fn capabilities(&self) -> bool {
        match self {
            Self::Chart(_) => false,
            Self::Tree(answers) => answers.capabilities(),
        }
    }
}

/// What the engine makes of a request. A chart whose files are given as they are asked for is rendered again with all of them
/// when that didn't do: templates use them in a way that can't be followed, or fail, which Helm says in its own words.
pub(super) async fn ask(
    pool: &Pool,
    request: &mut wire::Request,
    questions: &Questions,
) -> Result<Asked, ToolError> {
    let mut outcome = once(pool, request, questions).await;
    let mut capabilities = false;
    let on_demand = request.helm.as_ref().is_some_and(|it| it.files_on_demand);
    if let Some(chart) = questions.chart().filter(|_| on_demand)
        && (chart.say_more()
            || outcome
                .as_ref()
                .is_err_and(|error| may_lack_files(error, chart)))
    {
        let chart = Arc::clone(chart);
        let (rest, cluster) = blocking(move || chart.all()).await?;
        if let Some(helm) = &mut request.helm {
            helm.files.extend(rest);
            helm.files_on_demand = false;
            if let Some(cluster) = cluster {
                helm.api_versions = cluster.api_versions;
                capabilities = cluster.counts;
            }
        }
        outcome = once(pool, request, questions).await;
    }
    Ok(Asked {
        documents: outcome?,
        capabilities: capabilities || questions.capabilities(),
    })
}

fn may_lack_files(error: &ToolError, chart: &ChartFiles) -> bool {
    let ToolError::Worker(WorkerError::Failed(failure)) = error else {
        return false;
    };
    match failure.kind {
        FailureKind::Files => true,
        FailureKind::Template => chart.are_named(),
        _ => false,
    }
}

async fn once(
    pool: &Pool,
    request: &wire::Request,
    questions: &Questions,
) -> Result<Vec<wire::Document>, ToolError> {
    let outcome = pool.render(request, questions.files()).await;
    // The engine only passes on our own words; the error itself says what is to be done.
    if outcome.is_err()
        && let Some(failure) = questions.failure()
    {
        return Err(failure);
    }
    match outcome {
        Err(WorkerError::Failed(failure)) if failure.kind == FailureKind::Waits => {
            Err(ToolError::Waits)
        }
        Err(cause) if cause.is_limit() => Err(after_reading(request, questions, cause)),
        outcome => Ok(outcome?),
    }
}

/// A killed worker doesn't say which file it was at: the one that was given out last, or the chart and the values that came
/// last, are what is known.
fn after_reading(request: &wire::Request, questions: &Questions, cause: WorkerError) -> ToolError {
    let last = questions.last();
    let file = match &request.helm {
        _ if !last.is_empty() => last,
        Some(chart) => match chart.values.last() {
            Some(values) => values.name.clone(),
            None => join(&chart.folder, "Chart.yaml"),
        },
        None => return cause.into(),
    };
    ToolError::AfterReading { file, cause }
}
