//! A started process is gone when its parent was killed without a chance to say
//! anything.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use deploy::process::{Process, Program};

const LOG_FOLDER: &str = "PARENT_DEATH_LOG_FOLDER";
const PID_LINE: &str = "child pid: ";

/// Not a test of its own: what the test below runs in another process. Without
/// the variable that it sets there is nothing to do.
#[test]
fn parent_that_never_ends() {
    let Ok(folder) = std::env::var(LOG_FOLDER) else {
        return;
    };
    let child = Process::start(&Program {
        name: "child".to_owned(),
        executable: PathBuf::from("/bin/sleep"),
        arguments: vec!["600".into()],
        environment: Vec::new(),
        folder: None,
        log: PathBuf::from(folder).join("child.log"),
    })
    .unwrap();
    println!("\n{PID_LINE}{}", child.pid());
    loop {
        std::thread::park();
    }
}

#[test]
fn a_process_is_gone_after_its_parent_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "parent_that_never_ends", "--nocapture"])
        .env(LOG_FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid: u32 = BufReader::new(parent.stdout.take().unwrap())
        .lines()
        .find_map(|line| line.unwrap().strip_prefix(PID_LINE)?.parse().ok())
        .unwrap();
    assert!(runs(pid));

    parent.kill().unwrap();
    parent.wait().unwrap();

    let deadline = Instant::now() + Duration::from_secs(10);
    while runs(pid) {
        assert!(
            Instant::now() < deadline,
            "process {pid} outlived its parent"
        );
        std::thread::yield_now();
    }
}

/// A zombie doesn't run: it only waits for whoever adopted it.
fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit(") ").next().unwrap_or_default();
        !state.starts_with('Z')
    })
}
