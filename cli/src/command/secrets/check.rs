//! `towline secrets check`: which secrets an application or a manifest reads, whether it may, and whether they are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use applier::Reads;
use bus::message::check::Report;
use bus::message::secret::{Found, Reference};
use serde::Serialize;
use serde_json::Value;

use crate::client::{Client, ClientArgs};
use crate::manifests::{each_object, pack};
use crate::output::{self, Format};

/// Something is refused or missing.
const NOT_WELL: u8 = 1;
/// It can't be told.
const UNTOLD: u8 = 2;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// An application, or files with manifests (`.yaml`, `.yml`, `.json`, `-` for standard input)
    #[arg(required = true, value_name = "APP|FILE")]
    targets: Vec<String>,
    /// Check the files as manifests of this application. Without it nobody is asked, and what is read is listed
    #[arg(long, value_name = "APP")]
    app: Option<String>,
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    client: ClientArgs,
}

/// What is told of one application, or of files.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    references: Vec<Row>,
    problems: Vec<String>,
    /// What a project has to allow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    needs: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    reference: Reference,
    objects: Vec<String>,
    /// None where nobody was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<Found>,
}

/// How it is, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Well,
    NotWell,
    Untold,
}

/// Exits with 0 if all is well, 1 if something is refused or missing, 2 if it can't be told.
pub(super) async fn check(args: &CheckArgs) -> ExitCode {
    let told = match told(args).await {
        Ok(told) => told,
        Err(error) => {
            output::note(&format!("error: {error:#}"));
            return ExitCode::from(UNTOLD);
        }
    };
    let printed = output::print(args.output, &told, || told.iter().for_each(print));
    if let Err(error) = printed {
        output::note(&format!("error: {error:#}"));
        return ExitCode::from(UNTOLD);
    }
    match told.iter().map(Told::verdict).max() {
        Some(Verdict::NotWell) => ExitCode::from(NOT_WELL),
        Some(Verdict::Untold) => ExitCode::from(UNTOLD),
        Some(Verdict::Well) | None => ExitCode::SUCCESS,
    }
}

async fn told(args: &CheckArgs) -> anyhow::Result<Vec<Told>> {
    let (files, apps): (Vec<&String>, Vec<&String>) =
        args.targets.iter().partition(|target| is_file(target));
    if !files.is_empty() && !apps.is_empty() {
        bail!(
            "check applications or files, not both: {} is no file",
            apps[0]
        );
    }
    if files.is_empty() {
        if args.app.is_some() {
            bail!("--app is for files: {} is none", apps[0]);
        }
        let client = Client::from_args(&args.client).await?;
        let mut told = Vec::new();
        for app in apps {
            let app = client.app(app)?;
            let report = client.secrets(&app, None).await?;
            told.push(Told::of(app.to_string(), report));
        }
        return Ok(told);
    }
    let objects = objects(&files)?;
    let Some(app) = &args.app else {
        return Ok(vec![Told::offline(objects)]);
    };
    let client = Client::from_args(&args.client).await?;
    let app = client.app(app)?;
    let report = client.secrets(&app, Some(pack(&objects)?)).await?;
    Ok(vec![Told::of(app.to_string(), report)])
}

fn is_file(target: &str) -> bool {
    let path = Path::new(target);
    let ending = path.extension().and_then(|ending| ending.to_str());
    target == "-" || matches!(ending, Some("yaml" | "yml" | "json")) || path.is_file()
}

fn objects(files: &[&String]) -> anyhow::Result<Vec<Value>> {
    let mut objects = Vec::new();
    for file in files {
        each_object(&PathBuf::from(file), &mut |object| {
            objects.push(object.clone());
            Ok(())
        })
        .with_context(|| format!("looking for objects in {file}"))?;
    }
    Ok(objects)
}

impl Told {
    fn of(app: String, report: Report) -> Self {
        let references = report.references.into_iter().map(|one| Row {
            reference: one.reference,
            objects: one.objects,
            found: Some(one.found),
        });
        Self {
            app: Some(app),
            references: references.collect(),
            problems: report.problems,
            needs: Vec::new(),
        }
    }

    fn offline(objects: Vec<Value>) -> Self {
        let mut told = Self::default();
        let mut read: BTreeMap<Reference, BTreeSet<String>> = BTreeMap::new();
        for object in objects {
            let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
            let name = format!(
                "{} {}",
                text(&object["kind"]),
                text(&object["metadata"]["name"])
            );
            let reads = Reads::of(object);
            for reference in reads.references {
                read.entry(reference).or_default().insert(name.clone());
            }
            let named = |said: String| format!("{name}: {said}");
            told.problems.extend(reads.problems.into_iter().map(named));
            told.needs.extend(reads.needs.into_iter().map(named));
        }
        told.references = read
            .into_iter()
            .map(|(reference, objects)| Row {
                reference,
                objects: objects.into_iter().collect(),
                found: None,
            })
            .collect();
        told
    }

    fn verdict(&self) -> Verdict {
        let problems = if self.problems.is_empty() {
            Verdict::Well
        } else {
            Verdict::NotWell
        };
        let rows = self.references.iter().map(Row::verdict);
        rows.max().map_or(problems, |worst| worst.max(problems))
    }
}

impl Row {
    fn verdict(&self) -> Verdict {
        match &self.found {
            None | Some(Found::Present { .. }) => Verdict::Well,
            // Its field is left out.
            Some(Found::Missing { .. }) if self.reference.optional => Verdict::Well,
            Some(Found::Missing { .. } | Found::Forbidden { .. }) => Verdict::NotWell,
            Some(Found::Unknown { .. }) => Verdict::Untold,
        }
    }

    fn cells(&self) -> Vec<String> {
        let (allowed, present, version) = match &self.found {
            None => ("?", "?", None),
            Some(Found::Present { version }) => ("yes", "yes", *version),
            Some(Found::Missing { .. }) if self.reference.optional => ("yes", "left out", None),
            Some(Found::Missing { .. }) => ("yes", "no", None),
            Some(Found::Forbidden { .. }) => ("no", "-", None),
            Some(Found::Unknown { .. }) => ("yes", "?", None),
        };
        vec![
            shown(&self.reference.to_string()),
            allowed.to_owned(),
            present.to_owned(),
            version.map_or_else(|| "-".to_owned(), |version| version.to_string()),
            shown(&self.objects.join(", ")),
        ]
    }

    fn why(&self) -> Option<&str> {
        match self.found.as_ref()? {
            Found::Present { .. } => None,
            Found::Missing { message }
            | Found::Forbidden { message }
            | Found::Unknown { message } => Some(message),
        }
    }
}

fn print(told: &Told) {
    if let Some(app) = &told.app {
        output::line(format_args!("# {app}"));
    }
    if told.references.is_empty() {
        output::line(format_args!("no secret is read"));
    } else {
        output::table(
            &["REFERENCE", "ALLOWED", "PRESENT", "VERSION", "IN"],
            told.references.iter().map(Row::cells),
        );
    }
    let whys: BTreeSet<&str> = told.references.iter().filter_map(Row::why).collect();
    let problems = told.problems.iter().map(String::as_str);
    for said in whys.into_iter().chain(problems) {
        output::line(format_args!("! {}", shown(said)));
    }
    for need in &told.needs {
        output::line(format_args!("needs {}", shown(need)));
    }
}

/// What a manifest says may hold anything, and a terminal obeys some of it.
fn shown(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let (escaped, plain) = if character.is_control() {
                (Some(character.escape_default()), None)
            } else {
                (None, Some(character))
            };
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use api::placeholder::PathForm;
    use serde_json::json;

    use super::*;

    fn row(optional: bool, found: Option<Found>) -> Row {
        let reference = Reference {
            path: "kv/data/a".to_owned(),
            key: "k\u{1b}[2J".to_owned(),
            version: None,
            optional,
            form: PathForm::Api,
        };
        Row {
            reference,
            objects: vec!["Secret a".to_owned()],
            found,
        }
    }

    fn verdict(rows: Vec<Row>, problems: &[&str]) -> Verdict {
        let told = Told {
            references: rows,
            problems: problems.iter().map(|&problem| problem.into()).collect(),
            ..Told::default()
        };
        told.verdict()
    }

    #[test]
    fn the_worst_of_all_counts_and_what_may_be_missing_is_well() {
        let message = || "why".to_owned();
        let present = || row(false, Some(Found::Present { version: Some(3) }));
        let missing = |optional| row(optional, Some(Found::Missing { message: message() }));
        assert_eq!(verdict(vec![], &[]), Verdict::Well);
        assert_eq!(verdict(vec![present(), missing(true)], &[]), Verdict::Well);
        assert_eq!(verdict(vec![present()], &["wrong"]), Verdict::NotWell);
        for (found, expected) in [
            (Found::Missing { message: message() }, Verdict::NotWell),
            (Found::Forbidden { message: message() }, Verdict::NotWell),
            (Found::Unknown { message: message() }, Verdict::Untold),
        ] {
            let rows = vec![present(), row(false, Some(found))];
            assert_eq!(verdict(rows, &["wrong"]), expected);
        }
    }

    #[test]
    fn a_file_is_told_from_an_application() {
        for file in ["-", "a.yaml", "folder/b.json", "Cargo.toml"] {
            assert!(is_file(file), "{file}");
        }
        for app in ["shop", "argocd/shop", "src"] {
            assert!(!is_file(app), "{app}");
        }
    }

    #[test]
    fn files_are_read_without_anybody_being_asked() {
        let told = Told::offline(vec![
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"x": "<path:kv/data/a#b>"}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"x": "<path:kv/data/a#b>", "y": "<path:kv>"}}),
        ]);
        assert_eq!(told.references.len(), 1);
        assert_eq!(told.references[0].objects, ["ConfigMap c", "Secret a"]);
        assert!(told.references[0].found.is_none());
        assert!(told.problems[0].starts_with("ConfigMap c: "), "{told:?}");
        assert!(told.needs[0].contains("towline.dev/secret-kinds"));
        assert_eq!(told.verdict(), Verdict::NotWell);
    }

    #[test]
    fn a_terminal_gets_no_commands_from_a_manifest() {
        let cells = row(false, None).cells();
        assert_eq!(cells[0], "kv/data/a#k\\u{1b}[2J");
        assert_eq!(&cells[1..4], ["?", "?", "-"]);
    }
}
