//! Globs over paths, with the names of who asks: `kv/data/{project}/{app}/*`.
//!
//! `*` stays within a segment, `**` crosses them. A name is put in as text, never as a pattern.

use super::SecretPath;
use crate::args::Globs;

/// Whoever asks, as the agent knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    pub(super) project: &'a str,
    pub(super) namespace: &'a str,
    pub(super) app: &'a str,
    pub(super) cluster: &'a str,
}

/// What any project may be allowed at most.
#[derive(Clone, Debug)]
pub struct Bounds(Globs);

/// A glob that would not do what it seems to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{glob}` is not a glob of paths: {{project}}, {{namespace}}, {{app}} and {{cluster}} are the names that there are"
)]
pub struct PatternProblem {
    glob: String,
}

impl Bounds {
    /// Refuses malformed globs: here, whoever wrote them can be told.
    pub fn new(globs: Globs) -> Result<Self, PatternProblem> {
        let sample = Names {
            project: "p",
            namespace: "n",
            app: "a",
            cluster: "c",
        };
        let well_formed = |glob: &&String| {
            expand(glob, &sample)
                .is_some_and(|glob| api::glob::matches(&glob, "x/y", Some('/')).is_some())
        };
        match globs.iter().find(|glob| !well_formed(glob)) {
            Some(glob) => Err(PatternProblem { glob: glob.clone() }),
            None => Ok(Self(globs)),
        }
    }

    pub(super) fn allow(&self, names: &Names<'_>, path: &SecretPath) -> bool {
        any_matches(&self.0, names, path)
    }
}

/// Whether a glob matches the whole path. One that is malformed matches nothing.
pub(super) fn any_matches(globs: &[String], names: &Names<'_>, path: &SecretPath) -> bool {
    globs.iter().any(|glob| {
        expand(glob, names)
            .and_then(|glob| api::glob::matches(&glob, path.as_str(), Some('/')))
            .unwrap_or(false)
    })
}

/// Puts in the names. None when a name is unknown, or is no plain name: a namespace is free text in an Application, and an empty
/// or dotted one would turn the glob into another.
fn expand(glob: &str, names: &Names<'_>) -> Option<String> {
    let mut out = String::with_capacity(glob.len() + 32);
    let mut rest = glob;
    while let Some(open) = rest.find('{') {
        let close = open + rest[open..].find('}')?;
        let inside = &rest[open + 1..close];
        out.push_str(&rest[..open]);
        let name = match inside {
            "project" => names.project,
            "namespace" => names.namespace,
            "app" => names.app,
            "cluster" => names.cluster,
            // `{a,b}` chooses. Nothing is gained by nesting, and a name inside a choice would not be put in.
            choice if choice.contains(',') && !choice.contains('{') => {
                out.push_str(&rest[open..=close]);
                rest = &rest[close + 1..];
                continue;
            }
            _ => return None,
        };
        out.push_str(is_name(name).then_some(name)?);
        rest = &rest[close + 1..];
    }
    out.push_str(rest);
    Some(out)
}

/// Lower-case letters, digits, `-` and `.` inside: what Kubernetes calls a name. Nothing in it means something to a glob.
fn is_name(text: &str) -> bool {
    let edge = |byte: Option<u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let inner = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
    };
    text.len() <= 253
        && text.bytes().all(inner)
        && edge(text.bytes().next())
        && edge(text.bytes().last())
}
