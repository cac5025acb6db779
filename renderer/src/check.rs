//! What it means that the same inputs gave other objects when they were rendered again: chance, the clock, or something
//! that was read and isn't recorded. The last is a fault of Towline's, and counted.

use std::sync::Arc;

use bus::Digest;
use bus::message::render::Listing;

use crate::engine::Pool;
use crate::job::Job;
use crate::objects::Limits;
use crate::publish::Packed;
use crate::render;
use crate::tree::{Answer, Tree, TreeError, Walk};

/// Words by which a template asks for the time, as whole words. Chance shows when it is tried again at once.
const CLOCK: [&[u8]; 2] = [b"now", b"ago"];

/// What a check came to: a render of inputs that an earlier render had too, past all that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    Same,
    /// Random values, or the time.
    Random,
    /// An input isn't recorded, so that a change of it can be overlooked. This must never be.
    Missed,
}

/// What becomes of objects that should have been others all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The new ones are published now.
    Published,
    /// The new ones are published when somebody asks for them.
    HardRefresh,
}

impl Remedy {
    pub(crate) fn said(self) -> &'static str {
        match self {
            Self::Published => "The new objects count",
            Self::HardRefresh => "A hard refresh publishes the new objects",
        }
    }
}

/// Tells why `found` isn't what an earlier render of the same inputs came to. `again` is the job once more, of which nothing
/// was read yet.
pub(crate) async fn explain(job: &Arc<Job>, again: Job, found: &Digest, pool: &Pool) -> Checked {
    let again = render::render(&Arc::new(again), pool, Limits::DEFAULT).await;
    // What fails now, or can't be packed, is as unsteady as can be.
    let again = again.ok().and_then(|it| Packed::new(&it.objects).ok());
    if again.is_none_or(|packed| packed.digest != *found) {
        return Checked::Random;
    }
    let job = Arc::clone(job);
    let clock = tokio::task::spawn_blocking(move || reads_the_clock(&job)).await;
    // In doubt it is no fault.
    if matches!(clock, Ok(Ok(false))) {
        Checked::Missed
    } else {
        Checked::Random
    }
}

fn reads_the_clock(job: &Job) -> Result<bool, TreeError> {
    for (index, source) in (0_u32..).zip(&job.sources) {
        for input in source.tree.inputs(index) {
            if Listing::parse(&input.path).is_none() && is_said_at(&source.tree, &input.path)? {
                return Ok(true);
            }
        }
    }
    for tree in job.dependencies.had() {
        if is_said_at(tree, "")? {
            return Ok(true);
        }
    }
    // Parameters are templates too, for a chart that evaluates them.
    let specs = job.sources.iter().map(|source| &source.spec);
    let parameters = serde_json::to_vec(&specs.collect::<Vec<_>>());
    Ok(parameters.map_or(true, |text| says_clock(&text)))
}

fn is_said_at(tree: &Tree, path: &str) -> Result<bool, TreeError> {
    match tree.at(path)? {
        Answer::File { data, .. } => Ok(says_clock(&data)),
        Answer::Absent => Ok(false),
        Answer::Folder { path } => {
            let leaves = tree.folder(&path, Walk::Following)?.unwrap_or_default();
            for leaf in &leaves {
                // A packed chart doesn't show its words.
                if leaf.name.ends_with("gz") || says_clock(&tree.leaf(&path, leaf)?) {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

fn says_clock(text: &[u8]) -> bool {
    text.split(|byte| !byte.is_ascii_alphanumeric())
        .any(|word| CLOCK.contains(&word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::job::tests::mk_job;

    fn mk_read(files: &[(&str, &str)]) -> Job {
        let job = mk_job(json!([{"repoURL": "r"}]), files);
        job.sources[0].tree.file("values.yaml").unwrap();
        job.sources[0]
            .tree
            .folder("templates", Walk::Following)
            .unwrap();
        job
    }

    #[test]
    fn the_clock_is_looked_for_in_all_that_was_read_and_nowhere_else() {
        let says = |files: &[(&str, &str)]| reads_the_clock(&mk_read(files)).unwrap();
        let template = |text| [("templates/a.yaml", text), ("values.yaml", "known: 1")];
        assert!(says(&template("at: {{ now | date \"2006\" }}")));
        assert!(says(&template("at: {{now}}")));
        assert!(!says(&template("at: {{ .Values.known }}")));
        assert!(says(&[("values.yaml", "at: '{{ now }}'")]));
        assert!(!says(&[("README.md", "now")]));
        assert!(says(&[("templates/charts/lib.tgz", "")]));
    }
}
