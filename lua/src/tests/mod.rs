mod language;
mod library;
mod limits;

use serde_json::{Value as Json, json};

use crate::{Libraries, Limits, RunError, Script};

/// 2026-01-02T03:04:05Z
const NOW: i64 = 1_767_323_045;

fn run_on(object: &Json, script: &str) -> Result<Json, RunError> {
    let script = Script::parse(script).unwrap_or_else(|error| panic!("{script}: {error}"));
    script.run(object, Libraries::All, Limits::default(), NOW)
}

fn run(script: &str) -> Result<Json, RunError> {
    run_on(&json!({}), script)
}

/// What `return <expressions>` comes to, all of them, as `tostring` shows them.
fn shown(expressions: &str) -> String {
    let script = format!(
        "local shown = {{}}\nlocal all = {{n = select('#', {expressions}), {expressions}}}\nfor i = 1, all.n do shown[i] = tostring(all[i]) end\nreturn table.concat(shown, ' ')"
    );
    match run(&script) {
        Ok(Json::String(text)) => text,
        other => panic!("{expressions}: {other:?}"),
    }
}

fn raised(script: &str) -> String {
    match run(script) {
        Err(RunError::Raised(message)) => message,
        other => panic!("{script}: {other:?}"),
    }
}
