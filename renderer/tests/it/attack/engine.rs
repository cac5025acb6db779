//! An engine that was taken over: what it says is as hostile as any repository.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use renderer::{Pool, PoolOptions};

use super::{CHART, source};
use crate::repository::{Engine, Repository, mk_default_engine};

const READY: &str =
    r#"frame '{"ready":{"landlock":0,"seccomp":false,"emptyRoot":false,"noCapabilities":false}}'"#;

/// An engine that is a shell script; `frame TEXT` writes a frame, `request` reads one of less than 64 KiB.
fn mk_false_engine(folder: &Path, script: &str, require_confinement: bool) -> Engine {
    let program = folder.join("engine");
    let octal = r#"
octal() { printf '\\%03o' $1; }
length() { printf "$(octal $(($1 / 16777216 % 256)))$(octal $(($1 / 65536 % 256)))$(octal $(($1 / 256 % 256)))$(octal $(($1 % 256)))"; }
frame() { length ${#1}; printf '%s' "$1"; }
PATH=/usr/bin:/bin
request() { set -- $(head -c 4 | od -An -tu1); head -c $(($3 * 256 + $4)) > /dev/null; }
"#;
    std::fs::write(&program, format!("#!/bin/sh\n{octal}\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let replaced = prometheus::IntCounter::new("replaced", "replaced").unwrap();
    let options = PoolOptions {
        engine: program,
        folder: folder.to_owned(),
        workers: 1,
        memory_limit: 512 << 20,
        time_limit: Duration::from_secs(5),
        require_confinement,
    };
    Engine::new(Pool::new(options, replaced.clone()), replaced)
}

async fn said(script: &str) -> String {
    let (folder, repository) = (tempfile::tempdir().unwrap(), Repository::new());
    let engine = mk_false_engine(folder.path(), script, false);
    let files = [("app/kustomization.yaml", "resources: []\n")];
    let job = repository.job(source(), &files);
    engine.render(job).await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_are_none_end_the_worker() {
    let documents = r#"frame '{"ok":{"documents":[]}}'"#;
    for (what, script, says) in [
        (
            "noise first",
            "printf 'hello, world, hello'".to_owned(),
            "ended in the middle of a render: a frame of",
        ),
        (
            "nothing",
            "exit 0".to_owned(),
            "ended in the middle of a render",
        ),
        (
            "an answer first",
            format!("{documents}; sleep 100"),
            "its first word is another than `ready`",
        ),
        (
            "no JSON",
            format!("{READY}; request; frame 'hello'; sleep 100"),
            "does not speak our wire",
        ),
        (
            "an unknown word",
            format!("{READY}; request; frame '{{\"exec\":1}}'; sleep 100"),
            "does not speak our wire",
        ),
        (
            "an unknown kind",
            format!(
                "{READY}; request; frame '{{\"ok\":{{\"documents\":[{{\"kind\":\"x\",\"source\":\"\",\"text\":\"\"}}]}}}}'; sleep 100"
            ),
            "does not speak our wire",
        ),
        (
            "a frame of 4 GiB",
            format!("{READY}; request; printf '\\377\\377\\377\\377'; sleep 100"),
            "a frame of 4294967295 bytes",
        ),
        (
            "half a frame",
            format!("{READY}; request; length 1000; printf '{{'"),
            "ended in the middle of a render",
        ),
        (
            "ready twice",
            format!("{READY}; request; {READY}; sleep 100"),
            "it is ready twice",
        ),
        (
            "silence",
            format!("{READY}; request; sleep 100"),
            "longer than 5 s, the limit of one render",
        ),
        (
            "endless noise on stderr",
            format!("{READY}; request; cat /dev/zero >&2"),
            "longer than 5 s",
        ),
        (
            "deep JSON",
            format!("{READY}; request; frame \"$(printf '[%.0s' $(seq 10000))\"; sleep 100"),
            "does not speak our wire",
        ),
        (
            "questions without end",
            format!(
                "{READY}; request; while :; do frame '{{\"read\":{{\"path\":\"x\"}}}}'; request; done"
            ),
            "longer than 5 s",
        ),
    ] {
        let text = said(&script).await;
        assert!(text.contains(says), "{what}: {text}\nshould say {says}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_kept_for_the_next_render_is_not_taken() {
    let (folder, repository) = (tempfile::tempdir().unwrap(), Repository::new());
    let documents = r#"frame '{"ok":{"documents":[]}}'"#;
    let script = format!("{READY}; request; {documents}; {documents}; : > sent; sleep 100");
    let engine = mk_false_engine(folder.path(), &script, false);
    let job = || repository.job(source(), &[CHART]);
    engine.render(job()).await.unwrap();
    let begun = Instant::now();
    while !folder.path().join("sent").exists() {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let text = engine.render(job()).await.unwrap_err().to_string();
    assert!(text.ends_with("it answers before it is asked"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_questions_path_is_bounded_and_stays_in_the_repository() {
    let script = |path: &str| {
        format!(
            "{READY}; request; frame '{{\"read\":{{\"path\":\"{path}\"}}}}'; request; frame '{{\"error\":{{\"kind\":\"kustomize\",\"message\":\"answered\"}}}}'; sleep 100"
        )
    };
    assert!(
        said(&script("../../etc/passwd"))
            .await
            .contains("leaves the repository")
    );
    assert!(said(&script(&"x".repeat(5000))).await.contains("answered"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_starts_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::new();
    let script = format!(
        "{READY}; request; sleep 1000 & frame \"$(printf '{{\"error\":{{\"kind\":\"kustomize\",\"message\":\"child %s\"}}}}' $!)\"; sleep 1000"
    );
    let engine = mk_false_engine(folder.path(), &script, false);
    let text = engine
        .render(repository.job(source(), &[CHART]))
        .await
        .unwrap_err()
        .to_string();
    let child: u32 = text.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(Path::new(&format!("/proc/{child}")).exists());
    drop(engine);
    let begun = Instant::now();
    // Killed, it may be left as a zombie until its new parent looks.
    while std::fs::read_to_string(format!("/proc/{child}/stat"))
        .is_ok_and(|stat| !stat.contains(") Z"))
    {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{child} still runs"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_not_closed_in_does_not_render_where_that_is_demanded() {
    let (folder, repository) = (tempfile::tempdir().unwrap(), Repository::new());
    let engine = mk_false_engine(folder.path(), &format!("{READY}; sleep 100"), true);
    let error = engine
        .render(repository.job(source(), &[CHART]))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("does not permit seccomp and landlock"),
        "{error}"
    );
    assert!(error.may_pass(), "another replica may do it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_engine_is_closed_in_as_far_as_this_kernel_permits() {
    let engine = mk_default_engine().await;
    let confinement = engine.pool.try_out().await.unwrap();
    let there: Vec<_> = confinement
        .layers()
        .filter(|(_, there)| *there)
        .map(|(layer, _)| layer)
        .collect();
    eprintln!("{there:?}");
    // Each kernel since 3.17 has it, for each process.
    assert!(there.contains(&renderer::Layer::Seccomp));
}
