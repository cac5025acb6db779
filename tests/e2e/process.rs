//! How processes end.

use std::time::Duration;

use tests::scene::own;
use tests::wait::{check, until};

#[tokio::test]
async fn up_ends_everything_that_it_started_and_says_zero() -> anyhow::Result<()> {
    let towline = own("ends").await?;
    let services = towline.state()?.services;
    assert_eq!(services.len(), 5, "{services:?}");
    assert!(towline.stop().await.success());
    for service in services {
        let process = std::path::PathBuf::from(format!("/proc/{}", service.pid));
        until(&format!("{} has ended", service.name), || async {
            check(!process.exists(), || "it runs".to_owned())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn services_end_with_their_parent_even_when_it_is_killed() -> anyhow::Result<()> {
    let towline = own("killed").await?;
    let services = towline.state()?.services;
    towline.up().kill().await;
    for service in services {
        let process = std::path::PathBuf::from(format!("/proc/{}", service.pid));
        until(&format!("{} has ended", service.name), || async {
            check(!process.exists(), || "it runs".to_owned())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_service_whose_task_fails_ends_with_an_error() -> anyhow::Result<()> {
    let towline = own("fails").await?;
    let state = towline.state()?;
    // Two webhooks can't have one port: the second watcher's task fails, and with it the process.
    let address = state
        .webhook
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let run = tokio::process::Command::new(&towline.options.executable)
        .args(["service", "watcher", "--webhook-listen", &address])
        .args(["--namespace", towline.namespace()])
        .env("KUBECONFIG", towline.stack().kubeconfig())
        .env("TOWLINE_NATS", towline.nats.url())
        .env(
            "TOWLINE_NATS_SEED",
            towline.keys.folder().join("watcher.nk"),
        )
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_mins(1), run).await??;
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(&address), "{text}");
    Ok(())
}

#[tokio::test]
async fn wrong_usage_and_a_missing_towline_have_exit_codes_of_their_own() -> anyhow::Result<()> {
    let run = |arguments: &[&str]| {
        tokio::process::Command::new(tests::installation::executable())
            .args(arguments)
            .env("TOWLINE_STATE", "/nonexistent/state.json")
            .output()
    };
    assert_eq!(run(&["no-such-command"]).await?.status.code(), Some(2));
    let output = run(&["get"]).await?;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/state.json"));
    Ok(())
}
