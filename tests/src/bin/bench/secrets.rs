//! The benchmark `secrets`: a release's references, resolved by a running secrets-agent from a real Vault.
//!
//! Stack with Towline → an application whose project allows the paths → its applier's question, asked by the benchmark with that
//! applier's key → beside it as many bare reads of the same Vault, all at once.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bus::message::desired::Desired;
use bus::message::secret::{Answer, Reference};
use bus::seal::{self, AnswererPublic, AskerKey};
use bus::subject::{self, Stream};
use bus::{AppId, Bus, ClusterId, Generation, clock};
use comfy_table::{CellAlignment, Table, presets};
use futures::future::try_join_all;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tests::installation::Options;
use tests::{Installation, LocalStack, Scene};

use crate::SecretsArgs;
use crate::fleet;

/// What the issue asks for, in seconds.
const RESOLVED_WITHIN: f64 = 0.03;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Of the agent's own count.
const REQUESTS: &str = "towline_secrets_vault_request_seconds_count";

/// Times in seconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    references: usize,
    paths: usize,
    /// As many bare reads as there are paths, all at once.
    floor: f64,
    median: f64,
    max: f64,
    /// What Vault was asked for by one question.
    reads: f64,
}

pub(crate) async fn run(args: &SecretsArgs, own: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.paths > 0 && args.references >= args.paths && args.questions > 0,
        "give at least one path, one question, and as many references as paths"
    );
    eprintln!("starting the local stack");
    // It lives as long as the process, like everything that refers to it.
    let stack: &'static LocalStack = Box::leak(Box::new(LocalStack::start().await?));
    let outcome = measure(args, own, stack).await;
    stack.end();
    let report = outcome?;
    println!("{}", table(&report));
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

async fn measure(
    args: &SecretsArgs,
    own: &Path,
    stack: &'static LocalStack,
) -> anyhow::Result<Report> {
    let options = Options {
        name: "secrets".to_owned(),
        namespace: "secrets-apps".to_owned(),
        environment: Vec::new(),
        vault: None,
        arguments: Vec::new(),
        executable: fleet::place_program(own, &stack.folder("bin")?)?,
    };
    let towline = Installation::start(stack, options).await?;
    let outcome = resolve(args, &towline).await;
    towline.stop().await;
    outcome
}

async fn resolve(args: &SecretsArgs, towline: &Installation) -> anyhow::Result<Report> {
    let scene = Scene::on(towline, "secrets").await?;
    let stack = towline.stack();
    let of_path = args.references.div_ceil(args.paths);
    let paths: Vec<String> = (0..args.paths)
        .map(|path| format!("{}/{path}", scene.name))
        .collect();
    for path in &paths {
        let keys: Map<String, Value> = (0..of_path)
            .map(|key| {
                (
                    format!("key-{key}"),
                    json!(format!("value {key} of {path}")),
                )
            })
            .collect();
        stack.write_secret(path, &Value::Object(keys)).await?;
    }
    let references: Vec<Reference> = (0..args.references)
        .map(|at| Reference {
            path: format!("secret/data/{}", paths[at % args.paths]),
            key: format!("key-{}", at / args.paths),
            version: None,
            optional: false,
            form: api::placeholder::PathForm::Api,
        })
        .collect();
    let app = release(&scene, &references).await?;

    let mut applier = Applier::of(towline, app).await?;
    // The first ones open connections.
    for _ in 0..5 {
        applier.ask(&references).await?;
    }
    let before = reads(towline).await?;
    let mut times = Vec::new();
    for _ in 0..args.questions {
        let start = Instant::now();
        let resolved = applier.ask(&references).await?;
        times.push(start.elapsed().as_secs_f64());
        anyhow::ensure!(
            resolved == references.len(),
            "{resolved} of {} references were resolved",
            references.len()
        );
    }
    let asked = reads(towline).await? - before;
    times.sort_by(f64::total_cmp);
    let questions = u32::try_from(args.questions)?;
    Ok(Report {
        references: references.len(),
        paths: paths.len(),
        floor: floor(stack, &paths, args.questions).await?,
        median: times[times.len() / 2],
        max: times[times.len() - 1],
        reads: asked / f64::from(questions),
    })
}

/// Brings an application live that has all of them in a Secret.
async fn release(scene: &Scene<'_>, references: &[Reference]) -> anyhow::Result<AppId> {
    let namespace = scene.towline.namespace();
    scene
        .cluster
        .apply(&json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AppProject",
            "metadata": {"name": scene.name, "namespace": namespace, "annotations": {
                "towline.dev/secret-paths": format!("secret/data/{}/*", scene.name),
            }},
            "spec": {"sourceRepos": ["*"], "destinations": [{"namespace": "*", "server": "*"}]},
        }))
        .await?;
    let data: Map<String, Value> = references
        .iter()
        .enumerate()
        .map(|(at, reference)| {
            let placeholder = format!("<path:{}#{}>", reference.path, reference.key);
            (format!("value-{at}"), Value::String(placeholder))
        })
        .collect();
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "credentials"},
        "stringData": data,
    });
    let commit = scene
        .push("first", &[("web/secret.json", &secret.to_string())])
        .await?;
    let app = scene
        .app("web")
        .strict()
        .set("/spec/project", scene.name.as_str())
        .create()
        .await?;
    app.settled(&commit).await?;
    Ok(AppId::new(namespace, &app.name)?)
}

/// The cluster's applier, as far as it asks.
struct Applier {
    bus: Bus,
    key: AskerKey,
    agent: AnswererPublic,
    app: AppId,
    generation: Generation,
}

impl Applier {
    async fn of(towline: &Installation, app: AppId) -> anyhow::Result<Self> {
        let arguments = towline.arguments_of("applier")?;
        let key = flag(&arguments, "--seal-key")?;
        let bus = towline.bus().await?;
        let subject = subject::desired(&ClusterId::in_cluster(), &app);
        let desired = bus.last::<Desired>(Stream::Desired, &subject).await?;
        Ok(Self {
            key: AskerKey::read(Path::new(&key))?,
            agent: flag(&arguments, "--secrets-agent-key")?.parse()?,
            generation: desired
                .with_context(|| format!("nothing is desired of {app}"))?
                .value
                .generation,
            bus,
            app,
        })
    }

    /// How many values came.
    async fn ask(&mut self, references: &[Reference]) -> anyhow::Result<usize> {
        let cluster = ClusterId::in_cluster();
        let (request, one_time) = seal::ask(
            &self.key,
            &cluster,
            &self.app,
            self.generation,
            references,
            clock::now_ms(),
        )?;
        let subject = subject::resolve(&cluster);
        match self.bus.ask(&subject, &request, ANSWER_WITHIN).await? {
            Answer::Sealed(sealed) => {
                let secrets = one_time.open(&sealed, std::slice::from_ref(&self.agent))?;
                Ok(secrets.len())
            }
            Answer::Stated(stated) => {
                let said = one_time.read(&stated, std::slice::from_ref(&self.agent))?;
                bail!("the secrets-agent gave no values: {said:?}")
            }
            Answer::Refused(refusal) => bail!("the secrets-agent refused: {}", refusal.message),
        }
    }
}

/// The value behind a flag of a service.
fn flag(arguments: &[OsString], name: &str) -> anyhow::Result<String> {
    let mut words = arguments.iter().filter_map(|word| word.to_str());
    let mut behind = words.by_ref().skip_while(|word| *word != name).skip(1);
    behind
        .next()
        .map(str::to_owned)
        .with_context(|| format!("the applier runs without {name}"))
}

/// How often the agent has read Vault.
async fn reads(towline: &Installation) -> anyhow::Result<f64> {
    let text = towline.metrics("secrets-agent").await?;
    let counts = text
        .lines()
        .filter(|line| line.starts_with(REQUESTS) && line.contains("request=\"read\""));
    let counts: Vec<f64> = counts
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    anyhow::ensure!(!counts.is_empty(), "the secrets-agent counts no reads");
    Ok(counts.iter().sum())
}

/// Median of so many rounds of bare reads.
async fn floor(stack: &LocalStack, paths: &[String], rounds: usize) -> anyhow::Result<f64> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let token = std::fs::read_to_string(&stack.vault_token_file)?;
    let unique: BTreeSet<&String> = paths.iter().collect();
    let mut times = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        try_join_all(unique.iter().map(|path| {
            let address = format!("{}/v1/secret/data/{path}", stack.vault_address);
            let request = client.get(address).header("X-Vault-Token", token.trim());
            async { request.send().await?.error_for_status()?.bytes().await }
        }))
        .await?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["", "measured", "wanted"]);
    let mut row = |name: &str, figure: String, wanted: String| {
        table.add_row([name.to_owned(), figure, wanted]);
    };
    let milliseconds = |seconds: f64| format!("{:.2} ms", seconds * 1_000.0);
    row(
        &format!("floor: {} bare reads at once", report.paths),
        milliseconds(report.floor),
        String::new(),
    );
    row(
        &format!(
            "{} references to {} paths, median",
            report.references, report.paths
        ),
        format!(
            "{} = {:.1} × the floor",
            milliseconds(report.median),
            report.median / report.floor
        ),
        format!("≤ {:.0} ms", RESOLVED_WITHIN * 1_000.0),
    );
    row("slowest", milliseconds(report.max), String::new());
    row(
        "reads of Vault for one question",
        format!("{:.1}", report.reads),
        format!("{}", report.paths),
    );
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
