//! `towline health` as a program: files in, lines and an exit code out.

#![expect(clippy::unwrap_used, reason = "how a test fails")]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const OBJECTS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, generation: 1}
spec: {paused: true}
---
# nothing here
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: settings}}
- {apiVersion: v1, kind: Pod, metadata: {name: web-1}, status: {phase: Failed, message: \"two\\nlines\"}}
---
apiVersion: example.org/v1
kind: Thing
metadata: {name: thing}
status: {state: fine}
";

const CONFIG: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-cm}
data:
  resource.customizations.health.example.org_Thing: |
    return {status = 'Healthy', message = 'is ' .. obj.status.state}
";

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn towline(arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_towline"))
        .arg("health")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(stdin.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn every_object_is_a_line_in_its_order() {
    let files = Files::new();
    let (objects, config) = (
        files.file("objects.yaml", OBJECTS),
        files.file("cm.yaml", CONFIG),
    );
    let (objects, config) = (objects.to_str().unwrap(), config.to_str().unwrap());
    let output = towline(&[objects, "--config", config], "");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "Suspended   Deployment is paused\n-\nDegraded    two lines\nHealthy     is fine\n"
    );
}

#[test]
fn a_line_of_json_has_a_status_and_a_message() {
    let output = towline(&["-", "-o", "json"], OBJECTS);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            json!({"status": "Suspended", "message": "Deployment is paused"}),
            json!({"status": "", "message": ""}),
            json!({"status": "Degraded", "message": "two\nlines"}),
            json!({"status": "", "message": ""}),
        ]
    );
}

#[test]
fn objects_may_come_as_json_one_after_the_other_and_by_the_thousand() {
    let service = json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "ClusterIP"}});
    let output = towline(&["-"], &format!("{service}\n{service}{service}"));
    assert_eq!(stdout(&output), "Healthy\n".repeat(3));
    let documents = "---\napiVersion: v1\nkind: Service\n".repeat(5_000);
    assert_eq!(
        stdout(&towline(&["-"], &documents)),
        "Healthy\n".repeat(5_000)
    );
}

#[test]
fn of_a_key_that_is_there_twice_the_last_one_counts() {
    let pod = "apiVersion: v1\nkind: Pod\nstatus: {phase: Failed}\nstatus: {phase: Succeeded}\n";
    assert_eq!(stdout(&towline(&["-"], pod)), "Healthy\n");
}

#[test]
fn a_customization_that_is_no_good_is_shown_and_fails() {
    let files = Files::new();
    let config = CONFIG.replace("obj.status.state", "obj.status.none.state");
    let config = files.file("cm.yaml", &config);
    let output = towline(&["-", "--config", config.to_str().unwrap()], OBJECTS);
    assert_eq!(output.status.code(), Some(1));
    let told = "line 1: attempt to index a nil value with key 'state'";
    assert!(
        stdout(&output).ends_with(&format!("Unknown     {told}\n")),
        "{}",
        stdout(&output)
    );
    assert!(
        stderr(&output).contains(&format!("health of Thing: {told}")),
        "{}",
        stderr(&output)
    );
    let config = files.file("other.yaml", &CONFIG.replace(".health.", ".helth."));
    let output = towline(&["-", "--config", config.to_str().unwrap()], OBJECTS);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("helth"), "{}", stderr(&output));
}

#[test]
fn what_cannot_be_read_is_named_without_its_text() {
    let files = Files::new();
    let broken = files.file(
        "broken.yaml",
        "kind: Pod\n---\nkind: Secret\ndata: {password: hunter2\n",
    );
    let output = towline(&[broken.to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("broken.yaml:"),
        "{}",
        stderr(&output)
    );
    assert!(!stderr(&output).contains("hunter2"), "{}", stderr(&output));
    let output = towline(&["absent.yaml"], "");
    assert_eq!(output.status.code(), Some(1));
    let output = towline(&["-", "--config", broken.to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        towline(&[], "").status.code(),
        Some(2),
        "without a file it is wrong usage"
    );
}
