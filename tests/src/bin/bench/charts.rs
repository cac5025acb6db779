//! One Helm render on each engine worker, so that the memory which is measured is that of a Towline which has worked.

use anyhow::bail;
use tests::app::text;
use tests::usage;
use tests::wait::{check, until};
use tests::{Cluster, Installation};

use crate::fleet;

/// Applications at once for each worker: none finds itself alone with a worker that is free already.
const FOR_EACH: usize = 3;
/// Commits to all of them, until every worker runs.
const ROUNDS: usize = 10;

const CHART: &str = "apiVersion: v2\nname: bench\nversion: 1.0.0\n";
const TEMPLATE: &str = r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  labels: {{- dict "app.kubernetes.io/name" .Chart.Name | toYaml | nindent 4 }}
data:
  version: {{ .Values.version | quote }}
  values: {{ .Values | toYaml | sha256sum }}
"#;

/// Renders charts until each worker has rendered one; how many there are.
pub(crate) async fn on_each_worker(
    towline: &Installation,
    cluster: &Cluster,
    destination: &str,
) -> anyhow::Result<usize> {
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let renderer = towline.service("renderer")?.pid;
    let repo = towline
        .stack()
        .git
        .create(&format!("{}-charts", towline.options.name))?;
    let files = |round: usize| {
        [
            ("chart/Chart.yaml".to_owned(), CHART.to_owned()),
            ("chart/templates/all.yaml".to_owned(), TEMPLATE.to_owned()),
            (
                "chart/values.yaml".to_owned(),
                format!("version: {round}\n"),
            ),
        ]
    };
    fleet::commit(&repo, "charts", &files(0))?;
    let names: Vec<String> = (0..workers * FOR_EACH)
        .map(|number| format!("chart-{number}"))
        .collect();
    for name in &names {
        let at = (towline.namespace(), destination);
        let application = fleet::application(name, &repo, "chart", at);
        cluster.apply(&application).await?;
    }
    for round in 0..ROUNDS {
        let version = round.to_string();
        for name in &names {
            until(&format!("{name} is live"), || async {
                let object = cluster.find("ConfigMap", destination, name).await?;
                let found = object.map(|object| text(&object, "/data/version").to_owned());
                check(found.as_ref() == Some(&version), || format!("{found:?}"))
            })
            .await?;
        }
        if usage::children(renderer)? >= workers {
            return Ok(workers);
        }
        let commit = fleet::commit(&repo, "again", &files(round + 1))?;
        towline.webhook()?.push(&repo, &commit).await?;
    }
    bail!(
        "after {ROUNDS} rounds, {} of {workers} workers run",
        usage::children(renderer)?
    )
}
