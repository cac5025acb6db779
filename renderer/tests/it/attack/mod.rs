//! Hostile repositories and a hostile engine, through the real renderer and, where it isn't the attacker, the real engine.
//! Each attack ends with an error that says what was refused; its neighbour and whoever comes next render as ever.

mod bombs;
mod engine;
mod paths;
mod programs;

use std::time::Duration;

use renderer::Job;
use serde_json::{Value, json};

use crate::repository::{Engine, Repository, mk_engine, names};

pub(crate) const CHART: (&str, &str) = (
    "app/Chart.yaml",
    "apiVersion: v2\nname: dome\nversion: 1.0.0\n",
);
const GOOD: (&str, &str) = (
    "app/templates/a.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n",
);

pub(crate) fn source() -> Value {
    json!({"repoURL": "r", "path": "app"})
}

/// What is attacked.
pub(crate) struct Scene {
    pub(crate) engine: Engine,
    pub(crate) repository: Repository,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(Duration::from_secs(20), 256 << 20).await
    }

    pub(crate) async fn with(time: Duration, memory: u64) -> Self {
        Self {
            engine: mk_engine(time, memory).await,
            repository: Repository::new(),
        }
    }

    fn neighbour(&self) -> Job {
        self.repository.job(source(), &[CHART, GOOD])
    }

    /// The error of an attack, which renders beside a neighbour.
    pub(crate) async fn refusal(&self, job: Job) -> String {
        let (attack, neighbour) = tokio::join!(
            self.engine.render(job),
            self.engine.render(self.neighbour())
        );
        let error = match attack {
            Ok(rendered) => panic!("not refused: {:?}", names(&rendered)),
            Err(error) => error,
        };
        assert_eq!(names(&neighbour.unwrap()), ["ConfigMap/good"]);
        let after = self.engine.render(self.neighbour()).await;
        assert_eq!(names(&after.unwrap()), ["ConfigMap/good"]);
        assert!(!error.may_pass(), "trying again is of no use: {error}");
        let text = error.to_string();
        assert!(text.len() < 8 << 10, "{} bytes of error", text.len());
        text
    }

    /// Files at `app` are refused with words that hold all of `says`.
    pub(crate) async fn refuses(&self, what: &str, files: &[(&str, &str)], says: &[&str]) {
        self.refuses_source(what, source(), files, says).await;
    }

    pub(crate) async fn refuses_source(
        &self,
        what: &str,
        source: Value,
        files: &[(&str, &str)],
        says: &[&str],
    ) {
        let text = self.refusal(self.repository.job(source, files)).await;
        for word in says {
            assert!(text.contains(word), "{what}: {text}\nshould say {word}");
        }
    }
}
