//! Every case of every repository, a few at a time.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ::tests::shelf::Shelf;
use anyhow::Context as _;
use deploy::Component;
use futures::StreamExt as _;

use serde_json::Value;

use crate::Args;
use crate::case::{Case, Outcome, Verdict};
use crate::checkout::Checkout;
use crate::compare::{beyond_noise, differences, effective};
use crate::find;
use crate::ours::Towline;
use crate::report::{Entry, Report, Repository};
use crate::speed;
use crate::theirs::{RealTools, Refusal};

/// Two renders are this far apart at least, so that a clock in them shows.
const CLOCK_STEP: Duration = Duration::from_millis(1_100);

/// Success if Towline nowhere differs from a tool that succeeds.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let helm = deploy::locate(Component::Helm).await?;
    let shelf = Arc::new(Shelf::new(&args.chart_repositories, helm)?);
    let tools = RealTools::find(Arc::clone(&shelf), args.jsonnet.as_deref()).await?;
    if args.speed {
        return speed::run(args, &tools, &shelf).await;
    }
    let towline = Towline::start(args.parallel, shelf).await?;
    let mut report = Report::default();
    for repository in &args.repositories {
        let checked = one_repository(args, repository, &tools, &towline).await?;
        println!("{}", checked.list(args.verbose));
        report.repositories.push(checked);
    }
    println!("{}\n{}", report.totals(), report.both_fail());
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(if report.conforms() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn one_repository(
    args: &Args,
    repository: &Path,
    tools: &RealTools,
    towline: &Towline,
) -> anyhow::Result<Repository> {
    let checkout = Checkout::new(repository, &args.revision)?;
    if checkout.missing > 0 {
        let (folder, missing) = (repository.display(), checkout.missing);
        eprintln!("{folder}: the content of {missing} files is not there");
    }
    let mut cases = find::charts_and_overlays(&checkout, args.options);
    cases.extend(applications(args, &checkout, tools).await?.children);
    if let Some(only) = &args.only {
        cases.retain(|case| case.name.contains(only));
    }
    let total = cases.len();
    let mut entries = Vec::with_capacity(total);
    let mut verdicts = futures::stream::iter(cases)
        .map(|case| verdict(case, &checkout, tools, towline))
        .buffered(args.parallel.max(1));
    while let Some(entry) = verdicts.next().await {
        entries.push(entry?);
        if entries.len() % 50 == 0 {
            eprintln!("{}: {} of {total}", repository.display(), entries.len());
        }
    }
    Ok(Repository {
        folder: repository.display().to_string(),
        commit: checkout.commit.clone(),
        cases: entries,
    })
}

/// Applications in files, and those that the parents make; and the parents.
pub(crate) struct Applications {
    pub(crate) parents: Vec<Case>,
    pub(crate) children: Vec<Case>,
}

pub(crate) async fn applications(
    args: &Args,
    checkout: &Checkout,
    tools: &RealTools,
) -> anyhow::Result<Applications> {
    let (mut all, mut cases) = (Vec::new(), Vec::new());
    if args.urls.is_empty() {
        return Ok(Applications {
            parents: all,
            children: cases,
        });
    }
    for (name, text) in find::candidates(checkout) {
        // A template is no YAML; it counts where its chart is a parent.
        for object in tools.parse(text).await?.unwrap_or_default() {
            cases.extend(find::application(&object, &name, &args.urls));
        }
    }
    for parent in &args.parents {
        let values = find::below(checkout, parent)
            .map(|file| find::inside(&file, parent).to_owned())
            .filter(|inner| find::is_values(inner));
        let mut parents: Vec<Case> = values
            .map(|values| find::chart(parent, Some(&values)))
            .collect();
        if parents.is_empty() {
            parents.push(find::chart(parent, None));
        }
        for case in parents {
            let Ok(objects) = tools.render(&case, checkout).await? else {
                continue;
            };
            for object in effective(objects) {
                cases.extend(find::application(&object, &case.name, &args.urls));
            }
            all.push(case);
        }
    }
    Ok(Applications {
        parents: all,
        children: cases,
    })
}

async fn verdict(
    case: Case,
    checkout: &Checkout,
    tools: &RealTools,
    towline: &Towline,
) -> anyhow::Result<Entry> {
    let ours = towline.render(&case, checkout).await?;
    let theirs = match tools.render(&case, checkout).await? {
        Ok(objects) => Ok(objects),
        Err(Refusal::Failed(error)) => Err(error),
        Err(Refusal::NotCompared(reason)) => {
            return Ok(Entry::new(
                &case,
                Verdict::NotCompared {
                    reason: reason.to_owned(),
                },
            ));
        }
    };
    let again = async || Ok(tools.render(&case, checkout).await?.ok());
    let verdict = judge(ours, theirs, again).await?;
    Ok(Entry::new(&case, verdict))
}

/// `again` is what the tool prints when it is asked once more.
async fn judge(
    ours: Outcome,
    theirs: Outcome,
    again: impl AsyncFnOnce() -> anyhow::Result<Option<Vec<Value>>>,
) -> anyhow::Result<Verdict> {
    let (ours, theirs) = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => (effective(ours), effective(theirs)),
        (Err(ours), Err(theirs)) => return Ok(Verdict::BothFail { ours, theirs }),
        (Err(ours), Ok(theirs)) => {
            return Ok(match nameless(&effective(theirs)) {
                Some(theirs) => Verdict::BothFail { ours, theirs },
                None => Verdict::OnlyTowlineFails { ours },
            });
        }
        (Ok(_), Err(theirs)) => return Ok(Verdict::OnlyToolFails { theirs }),
    };
    let objects = theirs.len();
    let found = differences(&ours, &theirs);
    if found.is_empty() {
        return Ok(Verdict::Same { objects });
    }
    tokio::time::sleep(CLOCK_STEP).await;
    let noise = match again().await? {
        Some(again) => differences(&effective(again), &theirs),
        None => Vec::new(),
    };
    let real = beyond_noise(found, &noise);
    Ok(match real.first() {
        None => Verdict::SameButRandom {
            objects,
            random: noise.len(),
        },
        Some(first) => Verdict::Different {
            first: first.text(),
            differences: real.len(),
        },
    })
}

/// The tools print what no cluster takes, too: an object without a name. What is said of it.
fn nameless(objects: &[Value]) -> Option<String> {
    let named = |object: &Value, field| {
        let name = object.pointer(field).and_then(Value::as_str);
        name.is_some_and(|name| !name.is_empty())
    };
    let object = objects.iter().find(|object| {
        !named(object, "/metadata/name") && !named(object, "/metadata/generateName")
    })?;
    let kind = object["kind"].as_str().unwrap_or("something");
    Some(format!(
        "prints a {kind} without a name, which no cluster takes"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::case::Kind;
    use crate::find;
    use crate::report::{Entry, Report, Repository};

    fn objects() -> Vec<Value> {
        vec![
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "n", "labels": {"a": "b"}},
                "spec": {"replicas": 2, "paused": false, "template": {"spec": {"containers": [
                    {"name": "c", "image": "web:1", "args": ["--x", "--y"], "env": [{"name": "E", "value": "1"}]}]}}}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"empty": "", "number": "1"}}),
        ]
    }

    async fn judged(ours: Vec<Value>, theirs: Vec<Value>) -> Verdict {
        let again = theirs.clone();
        judge(Ok(ours), Ok(theirs), async || Ok(Some(again)))
            .await
            .unwrap()
    }

    /// Whether a run with this verdict ends well.
    fn conforms(verdict: Verdict) -> bool {
        let case = find::chart("chart", None);
        assert_eq!(case.kind, Kind::Chart);
        let repository = Repository {
            folder: "repository".to_owned(),
            commit: "c".repeat(40),
            cases: vec![Entry::new(&case, verdict)],
        };
        let mut report = Report::default();
        report.repositories.push(repository);
        report.conforms()
    }

    /// The value with one leaf, key or entry changed, in every way.
    fn planted(value: &Value) -> Vec<Value> {
        let mut all = Vec::new();
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    let mut without = map.clone();
                    without.remove(key);
                    all.push(Value::Object(without));
                    for changed in planted(inner) {
                        let mut with = map.clone();
                        with.insert(key.clone(), changed);
                        all.push(Value::Object(with));
                    }
                }
                let mut more = map.clone();
                more.insert("planted".to_owned(), Value::Null);
                all.push(Value::Object(more));
            }
            Value::Array(list) => {
                for (index, inner) in list.iter().enumerate() {
                    let mut without = list.clone();
                    without.remove(index);
                    all.push(Value::Array(without));
                    for changed in planted(inner) {
                        let mut with = list.clone();
                        with[index] = changed;
                        all.push(Value::Array(with));
                    }
                }
                if list.len() > 1 {
                    all.push(list.iter().rev().cloned().collect());
                }
            }
            Value::String(text) => {
                all.push(json!(format!("{text} ")));
                all.push(
                    text.parse()
                        .map_or(Value::Null, |number: i64| json!(number)),
                );
            }
            Value::Number(number) => all.extend([json!(number.to_string()), json!(7)]),
            Value::Bool(on) => all.extend([json!(!on), json!(on.to_string())]),
            Value::Null => all.push(json!("")),
        }
        all
    }

    #[tokio::test(start_paused = true)]
    async fn every_planted_difference_is_reported_and_fails_the_run() {
        let same = judged(objects(), objects()).await;
        assert_eq!(same, Verdict::Same { objects: 2 });
        assert!(conforms(same));
        let theirs = objects();
        let mut tried = 0;
        for index in 0..theirs.len() {
            let changed = planted(&theirs[index]).into_iter().map(|object| {
                let mut ours = objects();
                ours[index] = object;
                ours
            });
            let mut without = objects();
            without.remove(index);
            for ours in changed.chain([without]) {
                let verdict = judged(ours.clone(), objects()).await;
                assert!(
                    matches!(verdict, Verdict::Different { .. }),
                    "{verdict:?}: {ours:?}"
                );
                assert!(!conforms(verdict));
                tried += 1;
            }
        }
        assert!(tried > 50, "{tried}");
    }

    #[tokio::test]
    async fn a_side_that_fails_alone_fails_the_run_unless_no_cluster_takes_what_the_other_prints() {
        let refused = |theirs| async {
            judge(Err("no".to_owned()), Ok(theirs), async || Ok(None))
                .await
                .unwrap()
        };
        let alone = refused(objects()).await;
        assert!(matches!(alone, Verdict::OnlyTowlineFails { .. }));
        assert!(!conforms(alone));
        let mut nameless = objects();
        nameless[1]["metadata"]["name"] = json!("");
        assert!(matches!(refused(nameless).await, Verdict::BothFail { .. }));
    }
}
