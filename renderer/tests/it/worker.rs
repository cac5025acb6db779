//! The tests of the Go worker itself: what it reads and writes, and what it can't do any more once it is sealed.

use std::path::Path;
use std::process::Command;

#[test]
fn the_workers_own_tests_pass() {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("engine");
    let output = Command::new("go")
        .args(["test", "-count=1", "./..."])
        .current_dir(engine)
        // As it is built: without C, the seal reaches every thread.
        .env("CGO_ENABLED", "0")
        .output()
        .expect("Go is on the PATH, as the README demands");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
