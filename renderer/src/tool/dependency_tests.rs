use bus::message::need::Need;
use serde_json::json;

use super::*;
use crate::job::tests::mk_job;
use crate::need::Dependencies;
use crate::tool::archive::tests::mk_archive;
use crate::tree::tests::mk_tree;

const REMOTE: &str = "apiVersion: v2\nname: dome\nversion: 1.0.0\ndependencies:\n\
    - {name: redis, version: ^1.0, repository: 'https://charts.example/x', alias: cache}\n\
    - {name: redis, version: ^1.0, repository: 'https://charts.example/x', condition: redis.enabled}\n\
    - {name: pg, version: 2.1.0, repository: 'oci://oci.example/charts'}\n\
    - {name: named, version: '', repository: '@mine'}\n";

fn mk_need(repository: &str, name: &str, version: &str) -> Need {
    Need::Chart {
        repository: repository.to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
    }
}

fn mk_dome(files: &[(&str, &str)]) -> Job {
    mk_job(json!([{"repoURL": "r", "path": "dome"}]), files)
}

/// Subcharts with the files of each.
type Added = Vec<(String, Vec<String>)>;

/// What was added; none while it waits.
fn added(job: &Job) -> Result<Option<Added>, String> {
    let tree = &job.sources[0].tree;
    let mut chart = chart::load(tree, "dome").unwrap();
    let additions = add(job, tree, "dome", &mut chart).map_err(|error| error.to_string())?;
    if additions.waits {
        return Ok(None);
    }
    let subcharts = additions.subcharts(tree, &mut chart).unwrap();
    let names = |files: Vec<File>| files.into_iter().map(|file| file.name).collect();
    Ok(Some(
        subcharts
            .into_iter()
            .map(|subchart| (subchart.name, names(subchart.files)))
            .collect(),
    ))
}

fn read(job: &Job) -> Vec<String> {
    job.inputs().into_iter().map(|input| input.path).collect()
}

#[test]
fn everything_that_is_missing_is_asked_for_at_once() {
    let job = mk_dome(&[("dome/Chart.yaml", REMOTE)]);
    assert_eq!(added(&job).unwrap(), None);
    let expected = [
        mk_need("@mine", "named", ""),
        mk_need("https://charts.example/x", "redis", "^1.0"),
        mk_need("oci://oci.example/charts", "pg", "2.1.0"),
    ];
    assert_eq!(job.dependencies.missing(), expected);
}

#[test]
fn what_was_fetched_is_added_once_for_two_aliases() {
    let mut job = mk_dome(&[("dome/Chart.yaml", REMOTE)]);
    let chart = [("Chart.yaml", "name: redis"), ("README.md", "x")];
    let had = [
        mk_need("@mine", "named", ""),
        mk_need("https://charts.example/x", "redis", "^1.0"),
        mk_need("oci://oci.example/charts", "pg", "2.1.0"),
    ];
    job.dependencies = Dependencies::new(had.map(|need| (need, Arc::new(mk_tree(&chart)))));
    let added = added(&job).unwrap().unwrap();
    let names: Vec<_> = added.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["redis", "pg", "named"]);
    assert_eq!(added[0].1, ["Chart.yaml", "README.md"]);
}

#[test]
fn nothing_is_needed_where_charts_holds_every_name() {
    let chart = "apiVersion: v2\nname: dome\ndependencies: [{name: a, version: 9.9.9, repository: 'https://x'}, {name: b}]\n";
    let job = mk_dome(&[
        ("dome/Chart.yaml", chart),
        (
            "dome/charts/any-folder/Chart.yaml",
            "name: a\nversion: 1.0.0",
        ),
        ("dome/charts/b/Chart.yaml", "name: b\nversion: 1.0.0"),
    ]);
    assert_eq!(added(&job).unwrap().unwrap(), []);
    assert!(job.dependencies.needs().is_empty());
}

#[test]
fn a_vendored_chart_of_just_the_version_stays_when_another_is_missing() {
    let chart = "apiVersion: v2\nname: dome\ndependencies:\n\
        - {name: a, version: 1.0.0, repository: 'https://x'}\n\
        - {name: b, version: 1.x, repository: 'https://x'}\n\
        - {name: c, version: 1.0.0, repository: 'https://x'}\n";
    let job = mk_dome(&[
        ("dome/Chart.yaml", chart),
        ("dome/charts/a/Chart.yaml", "name: a\nversion: v1.0.0"),
        ("dome/charts/b/Chart.yaml", "name: b\nversion: 1.0.0"),
    ]);
    assert_eq!(added(&job).unwrap(), None);
    let expected = [
        mk_need("https://x", "b", "1.x"),
        mk_need("https://x", "c", "1.0.0"),
    ];
    assert_eq!(job.dependencies.missing(), expected);
}

#[test]
fn packages_that_are_not_had_again_are_taken_away() {
    let tree = mk_tree(&[(
        "Chart.yaml",
        "name: dome\ndependencies: [{name: b, version: 1.x, repository: 'https://x'}]\n",
    )]);
    let mut chart = chart::load(&tree, "").unwrap();
    let package = mk_archive(&[("old/Chart.yaml", "name: old\nversion: 1.0.0")]);
    chart.take("charts/old-1.0.0.tgz".to_owned(), package);
    let mut job = mk_dome(&[]);
    job.dependencies =
        Dependencies::new([(mk_need("https://x", "b", "1.x"), Arc::new(mk_tree(&[])))]);
    add(&job, &tree, "", &mut chart).unwrap();
    assert!(chart.file("charts/old-1.0.0.tgz").is_none());
}

#[test]
fn a_lock_in_sync_says_the_version_and_one_out_of_sync_is_told() {
    // Written by `helm dependency update` of Helm 4.3.
    let chart = "apiVersion: v2\nname: dome\nversion: 0.1.0\ndependencies:\n- name: redis\n  version: '>=1.0.0 <2.0.0'\n  repository: https://charts.example/x\n";
    let lock = format!(
        "dependencies:\n- name: redis\n  repository: https://charts.example/x\n  version: 1.4.2\ndigest: {}\n",
        "sha256:LOCK"
    );
    let digest = {
        let json = r#"[[{"name":"redis","version":"\u003e=1.0.0 \u003c2.0.0","repository":"https://charts.example/x"}],[{"name":"redis","version":"1.4.2","repository":"https://charts.example/x"}]]"#;
        format!("sha256:{}", bus::Digest::of(json.as_bytes()))
    };
    let lock = lock.replace("sha256:LOCK", &digest);
    let job = mk_dome(&[("dome/Chart.yaml", chart), ("dome/Chart.lock", &lock)]);
    assert_eq!(added(&job).unwrap(), None);
    assert_eq!(
        job.dependencies.missing(),
        [mk_need("https://charts.example/x", "redis", "1.4.2")]
    );
    let changed = chart.replace("<2.0.0", "<3.0.0");
    let job = mk_dome(&[("dome/Chart.yaml", &changed), ("dome/Chart.lock", &lock)]);
    let error = added(&job).unwrap_err();
    assert!(
        error.contains("dome/Chart.lock is out of sync with the dependencies in Chart.yaml"),
        "{error}"
    );
}

#[test]
fn a_local_chart_is_read_by_the_same_rules_as_the_chart_itself() {
    let files = |template| {
        [
            (
                "dome/Chart.yaml",
                "name: dome\ndependencies: [{name: lib, version: '*', repository: 'file://../lib/'}]\n",
            ),
            ("lib/Chart.yaml", "name: lib\nversion: 1.0.0\n"),
            ("lib/values-other.yaml", "x: 1"),
            ("lib/templates/a.yaml", template),
        ]
    };
    let job = mk_dome(&files("a: 1"));
    assert_eq!(
        added(&job).unwrap().unwrap()[0].1,
        ["Chart.yaml", "templates/a.yaml"]
    );
    assert!(!read(&job).contains(&"lib".to_owned()));
    assert!(read(&job).contains(&"lib/templates".to_owned()));
    let job = mk_dome(&files("{{ .Files.Get \"values-other.yaml\" }}"));
    assert_eq!(added(&job).unwrap().unwrap()[0].1.len(), 3);
    assert!(read(&job).contains(&"lib".to_owned()));
}

#[test]
fn no_dependency_leaves_the_repository() {
    let error = |repository: &str| {
        let chart = format!(
            "name: dome\ndependencies: [{{name: lib, version: '*', repository: '{repository}'}}]\n"
        );
        added(&mk_dome(&[("dome/Chart.yaml", &chart)])).unwrap_err()
    };
    assert!(error("file://../../lib").contains("leaves the repository"));
    assert!(error("file:///etc").contains("not in the repository"));
    assert!(error("file://../lib").contains("lib/Chart.yaml"));
    assert!(error("s3://bucket").contains("s3://bucket is neither"));
    assert!(error("").contains("names no repository"));
}

#[test]
fn the_old_requirements_files_count_like_the_new() {
    let job = mk_dome(&[
        ("dome/Chart.yaml", "name: dome\nversion: 1.0.0\n"),
        (
            "dome/requirements.yaml",
            "dependencies: [{name: a, version: 1.0.0, repository: 'https://x'}]\n",
        ),
    ]);
    assert_eq!(added(&job).unwrap(), None);
    assert_eq!(
        job.dependencies.missing(),
        [mk_need("https://x", "a", "1.0.0")]
    );
}
