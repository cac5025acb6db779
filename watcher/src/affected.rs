//! Which applications news can change: what each one's last render read of each source, against the sources' new trees. Pure.
//!
//! "Unchanged" is only ever concluded from the successful record of the newest published generation; any doubt renders again.

use std::sync::Arc;

use bus::message::desired::{Rendering, Setting};
use bus::message::need::Need;
use bus::message::render::{PseudoInput, Render, RenderOutcome};
use bus::{Digest, Generation};
use git2::Oid;

use crate::tree::Lookup;

/// What a source is at: two that are the same need no look at their files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub id: Arc<str>,
    pub tree: Oid,
}

/// A render's record, as small as the question needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub generation: Generation,
    /// The capabilities of the destination that it used. One that failed didn't come to say what it used: those that it had.
    pub capabilities: Option<Digest>,
    /// The settings that it used.
    pub settings: Box<[(Setting, Digest)]>,
    /// What it asked for beside the sources.
    pub needs: Arc<[Need]>,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Failed,
    /// It waits for what it asked for.
    Incomplete,
    /// Rendered from these, or in a way that can't be followed (then nothing is concluded from it).
    Rendered(Option<Arc<Inputs>>),
}

/// What a render read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// By source.
    files: Vec<(usize, Box<str>, Option<Oid>)>,
    /// Sources whose revision itself was used.
    revisions: Vec<usize>,
}

/// What news means for an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Unchanged,
    /// It must be published again.
    Affected,
}

impl Record {
    /// One that used nothing.
    pub fn of(generation: Generation, outcome: Outcome) -> Self {
        Self {
            generation,
            capabilities: None,
            settings: Box::default(),
            needs: Arc::default(),
            outcome,
        }
    }

    /// Whether it may come out otherwise now that the destination offers this.
    pub fn is_outdated_by(&self, offered: &Digest) -> bool {
        match (&self.outcome, &self.capabilities) {
            (_, Some(used)) => used != offered,
            (Outcome::Failed, None) => true,
            (Outcome::Rendered(_) | Outcome::Incomplete, None) => false,
        }
    }

    /// Whether it may come out otherwise with these settings than with those that it was given.
    pub fn is_changed_by(&self, given: &Rendering, now: &Rendering) -> bool {
        match self.outcome {
            Outcome::Rendered(_) => self
                .settings
                .iter()
                .any(|(setting, used)| now.digest(*setting) != *used),
            // What it would have used isn't known.
            Outcome::Failed | Outcome::Incomplete => given != now,
        }
    }
}

impl From<&Render> for Record {
    fn from(render: &Render) -> Self {
        let setting = |value: &PseudoInput| match value {
            PseudoInput::Setting { name, value } => Some((*name, value.clone())),
            PseudoInput::Capabilities(_) | PseudoInput::Revision { .. } => None,
        };
        let mut needs = render.needs.clone();
        needs.truncate(Need::MAX);
        Self {
            generation: render.generation,
            capabilities: render.values.iter().find_map(|value| match value {
                PseudoInput::Capabilities(used) => Some(used.clone()),
                PseudoInput::Revision { .. } | PseudoInput::Setting { .. } => None,
            }),
            settings: render.values.iter().filter_map(setting).collect(),
            needs: needs.into(),
            outcome: match render.outcome {
                RenderOutcome::Failed(_) => Outcome::Failed,
                RenderOutcome::Incomplete => Outcome::Incomplete,
                RenderOutcome::Rendered { .. } => Outcome::Rendered(inputs(render).map(Arc::new)),
            },
        }
    }
}

/// None when something in it can't be understood.
fn inputs(render: &Render) -> Option<Inputs> {
    let mut files = Vec::with_capacity(render.inputs.len());
    for input in &render.inputs {
        let object = match &input.object {
            Some(text) => Some(full_id(text)?),
            None => None,
        };
        let source = usize::try_from(input.source).ok()?;
        files.push((source, input.path.as_str().into(), object));
    }
    let mut revisions = Vec::new();
    for value in &render.values {
        if let PseudoInput::Revision { source } = value {
            revisions.push(usize::try_from(*source).ok()?);
        }
    }
    Some(Inputs { files, revisions })
}

fn full_id(text: &str) -> Option<Oid> {
    (text.len() == 40)
        .then(|| Oid::from_str(text).ok())
        .flatten()
}

/// The sources whose files must be looked at, given where each was when `published` was rendered and where it is now. None
/// when the answer is known without: it is affected.
pub fn suspects<'a>(
    published: Generation,
    before: &[Place],
    record: Option<&'a Record>,
    now: &[Place],
) -> Option<(&'a Arc<Inputs>, Vec<usize>)> {
    let inputs = match record {
        Some(Record {
            generation,
            outcome: Outcome::Rendered(Some(inputs)),
            ..
        }) if *generation == published && before.len() == now.len() => inputs,
        _ => return None,
    };
    if inputs.files.iter().any(|(source, ..)| *source >= now.len()) {
        return None;
    }
    let mut suspects = Vec::new();
    for (source, (before, now)) in before.iter().zip(now).enumerate() {
        if before.id != now.id && inputs.revisions.contains(&source) {
            return None;
        }
        if before.tree != now.tree {
            suspects.push(source);
        }
    }
    Some((inputs, suspects))
}

/// Whether something that was read of a source is among what `changes` since it was last looked at.
pub fn may_differ(inputs: &Inputs, source: usize, changes: impl Fn(&str) -> bool) -> bool {
    let mut of_source = inputs.files.iter().filter(|(of, ..)| *of == source);
    of_source.any(|(_, path, _)| changes(path))
}

/// Judges one source by its new tree. A part of it that can't be read is no proof.
pub fn judge(inputs: &Inputs, source: usize, tree: &mut impl Lookup) -> Verdict {
    let same = inputs
        .files
        .iter()
        .filter(|(of, ..)| *of == source)
        .all(|(_, path, object)| tree.object(path) == Ok(*object));
    if same {
        Verdict::Unchanged
    } else {
        Verdict::Affected
    }
}

#[cfg(test)]
mod tests;
