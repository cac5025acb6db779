//! Every case of every repository, a few at a time.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;

use crate::Args;
use crate::case::{Case, Outcome, Verdict};
use crate::checkout::Checkout;
use crate::compare::{beyond_noise, differences, effective};
use crate::find;
use crate::ours::Towline;
use crate::report::{Entry, Report, Repository};
use crate::shelf::Shelf;
use crate::theirs::{RealTools, Refusal};

/// Two renders are this far apart at least, so that a clock in them shows.
const CLOCK_STEP: Duration = Duration::from_millis(1_100);

/// Success if Towline nowhere differs from a tool that succeeds.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let shelf = Arc::new(Shelf::new(&args.chart_repositories)?);
    let tools = RealTools::find(Arc::clone(&shelf)).await?;
    let towline = Towline::start(args.parallel, shelf).await?;
    let mut report = Report::default();
    for repository in &args.repositories {
        let checked = one_repository(args, repository, &tools, &towline).await?;
        println!("{}", checked.list(args.verbose));
        report.repositories.push(checked);
    }
    println!("{}", report.totals());
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
    let mut cases = find::charts_and_overlays(&checkout);
    cases.extend(applications(args, &checkout, tools).await?);
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

/// Applications in files, and those that the parents make.
async fn applications(
    args: &Args,
    checkout: &Checkout,
    tools: &RealTools,
) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    if args.urls.is_empty() {
        return Ok(cases);
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
        }
    }
    Ok(cases)
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
    let verdict = judge(&case, ours, theirs, checkout, tools).await?;
    Ok(Entry::new(&case, verdict))
}

async fn judge(
    case: &Case,
    ours: Outcome,
    theirs: Outcome,
    checkout: &Checkout,
    tools: &RealTools,
) -> anyhow::Result<Verdict> {
    let (ours, theirs) = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => (effective(ours), effective(theirs)),
        (Err(ours), Err(theirs)) => return Ok(Verdict::BothFail { ours, theirs }),
        (Err(ours), Ok(_)) => return Ok(Verdict::OnlyTowlineFails { ours }),
        (Ok(_), Err(theirs)) => return Ok(Verdict::OnlyToolFails { theirs }),
    };
    let objects = theirs.len();
    let found = differences(&ours, &theirs);
    if found.is_empty() {
        return Ok(Verdict::Same { objects });
    }
    tokio::time::sleep(CLOCK_STEP).await;
    let noise = match tools.render(case, checkout).await? {
        Ok(again) => differences(&effective(again), &theirs),
        Err(_) => Vec::new(),
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
