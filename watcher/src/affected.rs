//! Which applications a new commit can change: what each one's last render read, against the new tree. Pure.
//!
//! "Unchanged" is only ever concluded from the successful record of the newest published generation; any doubt renders again.

use std::sync::Arc;

use bus::message::render::{PseudoInput, Render, RenderOutcome};
use bus::{Digest, Generation};
use git2::Oid;

use crate::tree::Lookup;

/// A render's record, as small as the question needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub generation: Generation,
    /// The capabilities of the destination that it used. One that failed didn't come to say what it used: those that it had.
    pub capabilities: Option<Digest>,
    pub outcome: Outcome,
}

impl Record {
    /// Whether it may come out otherwise now that the destination offers this.
    pub fn is_outdated_by(&self, offered: &Digest) -> bool {
        match (&self.outcome, &self.capabilities) {
            (_, Some(used)) => used != offered,
            (Outcome::Failed, None) => true,
            (Outcome::Rendered(_), None) => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Failed,
    /// Rendered from these, or in a way that can't be followed (then nothing is concluded from it).
    Rendered(Option<Arc<Inputs>>),
}

/// What a render read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    files: Vec<(Box<str>, Option<Oid>)>,
    /// The commit's id itself was used.
    revision: bool,
}

/// What a new commit means for an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Unchanged,
    /// It must be published again.
    Affected,
}

impl From<&Render> for Record {
    fn from(render: &Render) -> Self {
        Self {
            generation: render.generation,
            capabilities: render.values.iter().find_map(|value| match value {
                PseudoInput::Capabilities(used) => Some(used.clone()),
                PseudoInput::Revision { .. } | PseudoInput::Setting { .. } => None,
            }),
            outcome: match render.outcome {
                RenderOutcome::Failed(_) | RenderOutcome::Incomplete => Outcome::Failed,
                RenderOutcome::Rendered { .. } => Outcome::Rendered(inputs(render).map(Arc::new)),
            },
        }
    }
}

/// None when something in it can't be understood, or is of a source that this version doesn't follow.
fn inputs(render: &Render) -> Option<Inputs> {
    let mut files = Vec::with_capacity(render.inputs.len());
    for input in &render.inputs {
        let object = match &input.object {
            Some(text) => Some(full_id(text)?),
            None => None,
        };
        if input.source != 0 {
            return None;
        }
        files.push((input.path.as_str().into(), object));
    }
    let revision = |value: &PseudoInput| matches!(value, PseudoInput::Revision { .. });
    Some(Inputs {
        files,
        revision: render.values.iter().any(revision),
    })
}

fn full_id(text: &str) -> Option<Oid> {
    (text.len() == 40)
        .then(|| Oid::from_str(text).ok())
        .flatten()
}

/// Judges one application: its newest published generation and commit, its record if there is one, the new commit and tree.
pub fn judge(
    published: Generation,
    published_commit: Oid,
    record: Option<&Record>,
    commit: Oid,
    tree: &mut impl Lookup,
) -> Verdict {
    if commit == published_commit {
        return Verdict::Unchanged;
    }
    let inputs = match record {
        Some(Record {
            generation,
            outcome: Outcome::Rendered(Some(inputs)),
            ..
        }) if *generation == published => inputs,
        _ => return Verdict::Affected,
    };
    let same = !inputs.revision
        && inputs
            .files
            .iter()
            .all(|(path, object)| tree.object(path) == *object);
    if same {
        Verdict::Unchanged
    } else {
        Verdict::Affected
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bus::message::condition::{Condition, ConditionType};
    use bus::message::render::Input;
    use bus::{AppId, ClusterId, Digest};

    use super::*;

    struct Files(HashMap<&'static str, Oid>);

    impl Lookup for Files {
        fn object(&mut self, path: &str) -> Option<Oid> {
            self.0.get(path).copied()
        }
    }

    fn oid(digit: char) -> Oid {
        Oid::from_str(&digit.to_string().repeat(40)).unwrap()
    }

    fn files(list: &[(&'static str, char)]) -> Files {
        Files(
            list.iter()
                .map(|(path, digit)| (*path, oid(*digit)))
                .collect(),
        )
    }

    fn render(inputs: &[(&str, Option<char>)]) -> Render {
        Render {
            app: AppId::new("argocd", "web").unwrap(),
            cluster: ClusterId::in_cluster(),
            generation: Generation(7),
            parameters: Digest::of(b""),
            inputs: inputs
                .iter()
                .map(|(path, digit)| Input {
                    source: 0,
                    path: (*path).to_owned(),
                    object: digit.map(|digit| digit.to_string().repeat(40)),
                })
                .collect(),
            values: Vec::new(),
            needs: Vec::new(),
            outcome: RenderOutcome::Rendered {
                digest: Digest::of(b""),
                count: 1,
                size: 1,
                source_types: Vec::new(),
                conditions: Vec::new(),
            },
        }
    }

    fn verdict(render: &Render, tree: &mut Files) -> Verdict {
        judge(
            Generation(7),
            oid('1'),
            Some(&render.into()),
            oid('2'),
            tree,
        )
    }

    #[test]
    fn a_commit_elsewhere_changes_nothing() {
        let render = render(&[("web/a.yaml", Some('a')), ("web/b.yaml", None)]);
        let mut tree = files(&[("web/a.yaml", 'a'), ("other/c.yaml", 'c')]);
        assert_eq!(verdict(&render, &mut tree), Verdict::Unchanged);
    }

    #[test]
    fn a_changed_file_affects() {
        let render = render(&[("web/a.yaml", Some('a'))]);
        assert_eq!(
            verdict(&render, &mut files(&[("web/a.yaml", 'b')])),
            Verdict::Affected
        );
    }

    #[test]
    fn a_file_that_appears_or_goes_affects() {
        let absent = render(&[("web/values.yaml", None)]);
        assert_eq!(
            verdict(&absent, &mut files(&[("web/values.yaml", 'b')])),
            Verdict::Affected
        );
        let present = render(&[("web/values.yaml", Some('b'))]);
        assert_eq!(verdict(&present, &mut files(&[])), Verdict::Affected);
    }

    #[test]
    fn a_render_that_used_the_commit_is_affected_by_each() {
        let mut render = render(&[]);
        render.values.push(PseudoInput::Revision { source: 0 });
        assert_eq!(verdict(&render, &mut files(&[])), Verdict::Affected);
    }

    #[test]
    fn only_the_newest_generations_success_proves_anything() {
        let ok = render(&[]);
        let tree = &mut files(&[]);
        assert_eq!(
            judge(Generation(8), oid('1'), Some(&(&ok).into()), oid('2'), tree),
            Verdict::Affected
        );
        assert_eq!(
            judge(Generation(7), oid('1'), None, oid('2'), tree),
            Verdict::Affected
        );
        let failed = Render {
            outcome: RenderOutcome::Failed(Condition::new(ConditionType::ComparisonError, "x", 0)),
            ..ok
        };
        assert_eq!(verdict(&failed, tree), Verdict::Affected);
    }

    #[test]
    fn a_record_that_cannot_be_read_proves_nothing() {
        let mut odd = render(&[("a", Some('a'))]);
        odd.inputs[0].object = Some("main".to_owned());
        assert_eq!(verdict(&odd, &mut files(&[("a", 'a')])), Verdict::Affected);
        let mut second = render(&[("a", Some('a'))]);
        second.inputs[0].source = 1;
        assert_eq!(
            verdict(&second, &mut files(&[("a", 'a')])),
            Verdict::Affected
        );
    }

    #[test]
    fn the_same_commit_needs_no_record() {
        assert_eq!(
            judge(Generation(7), oid('1'), None, oid('1'), &mut files(&[])),
            Verdict::Unchanged
        );
    }
}
