//! What a person reads when a repository has a mistake: where it is and what the tool says of it, the same each time, so that one can
//! alert on it, and never a value.

mod mistakes;
mod secrets;

use serde_json::{Value, json};

use crate::repository::{Engine, Repository, mk_default_engine};
use mistakes::{helm, kustomize, plain};
use secrets::secrets;

const CHART: (&str, &str) = (
    "app/Chart.yaml",
    "apiVersion: v2\nname: dome\nversion: 1.0.0\n",
);
const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

struct Mistake {
    what: &'static str,
    /// Fields of the source.
    source: Value,
    files: Vec<(&'static str, &'static str)>,
    says: &'static str,
}

fn mistake(
    what: &'static str,
    source: Value,
    files: &[(&'static str, &'static str)],
    says: &'static str,
) -> Mistake {
    Mistake {
        what,
        source,
        files: files.to_vec(),
        says,
    }
}

/// One in the files of a chart.
fn in_chart(
    what: &'static str,
    files: &[(&'static str, &'static str)],
    says: &'static str,
) -> Mistake {
    mistake(what, json!({}), &[&[CHART], files].concat(), says)
}

fn in_template(what: &'static str, template: &'static str, says: &'static str) -> Mistake {
    in_chart(what, &[("app/templates/a.yaml", template)], says)
}

/// One in a kustomization, beside a ConfigMap `a` in a.yaml.
fn in_overlay(what: &'static str, kustomization: &'static str, says: &'static str) -> Mistake {
    let files = [
        ("app/kustomization.yaml", kustomization),
        ("app/a.yaml", MAP),
    ];
    mistake(what, json!({}), &files, says)
}

/// A value that must not be quoted, in words that no message has by itself, and as a number.
const SECRET: &str = "hunter2";
const SECRET_NUMBER: &str = "27182";

async fn error(engine: &Engine, repository: &Repository, mistake: &Mistake) -> String {
    let mut source = json!({"repoURL": "r", "path": "app"});
    let fields = mistake.source.as_object().unwrap().clone();
    source.as_object_mut().unwrap().extend(fields);
    match engine.render(repository.job(source, &mistake.files)).await {
        Ok(rendered) => format!("renders: {:?}", rendered.objects),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_is_told_by_its_place_in_the_same_words_each_time() {
    let (engine, other, repository) = (
        mk_default_engine().await,
        mk_default_engine().await,
        Repository::new(),
    );
    let mut wrong = Vec::new();
    for mistake in helm().into_iter().chain(kustomize()).chain(plain()) {
        let first = error(&engine, &repository, &mistake).await;
        for engine in [&engine, &other, &other, &other] {
            assert_eq!(first, error(engine, &repository, &mistake).await);
        }
        for noise in [
            "0xc0",
            "/tmp",
            "/remote",
            "/repository",
            "goroutine",
            "&{",
            "map[a",
            ".go:",
        ] {
            assert!(!first.contains(noise), "{}: {first}", mistake.what);
        }
        let (place, said) = first.split_once(": ").unwrap();
        assert!(place.starts_with("app at "), "{first}");
        if said != mistake.says {
            wrong.push(format!("{}\n  {said:?}\n", mistake.what));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
    assert_eq!(engine.replaced.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_quotes_a_value() {
    let (engine, repository) = (mk_default_engine().await, Repository::new());
    let (mut quoted, mut rendered) = (Vec::new(), Vec::new());
    for mistake in secrets() {
        let text = error(&engine, &repository, &mistake).await;
        if text.starts_with("renders: ") {
            rendered.push(mistake.what);
        } else if text.contains(SECRET) || text.contains(SECRET_NUMBER) {
            quoted.push(format!("{}\n  {text:?}\n", mistake.what));
        }
    }
    assert!(quoted.is_empty(), "{}", quoted.concat());
    assert!(rendered.is_empty(), "no mistakes at all: {rendered:?}");
}
