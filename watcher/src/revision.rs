//! What a target revision means among the references that a host offers. Pure.

use std::collections::BTreeMap;

use git2::Oid;

/// The references of a repository, as its host lists them.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// Full name → object. Annotated tags have a second entry `<name>^{}` with what they point to.
    by_name: BTreeMap<String, Oid>,
}

/// What to fetch for a target revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// A reference, and the commit (or, for a tag whose host doesn't say, the tag) behind it.
    Reference { name: String, target: Oid },
    /// A full commit id. No reference needs to name it.
    Commit(Oid),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    #[error("the repository is empty")]
    Empty,
    #[error("the repository has no HEAD; name a branch in targetRevision")]
    NoHead,
    #[error("there is no branch, tag or commit {0:?}; a commit must be named by all 40 digits")]
    Unknown(String),
}

impl References {
    pub fn new(entries: impl IntoIterator<Item = (String, Oid)>) -> Self {
        Self {
            by_name: entries.into_iter().collect(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, Oid)> {
        self.by_name.iter().map(|(name, oid)| (name.as_str(), *oid))
    }

    /// In Argo CD's order: a full commit id, `HEAD`, a full reference name, a branch, a tag.
    pub fn resolve(&self, target: &str) -> Result<Resolved, RevisionError> {
        if let Some(commit) = full_commit_id(target) {
            return Ok(Resolved::Commit(commit));
        }
        if self.by_name.is_empty() {
            return Err(RevisionError::Empty);
        }
        let named = |name: String| {
            let target = self
                .by_name
                .get(&format!("{name}^{{}}"))
                .or_else(|| self.by_name.get(&name))?;
            Some(Resolved::Reference {
                name,
                target: *target,
            })
        };
        if target.is_empty() || target == "HEAD" {
            return named("HEAD".to_owned()).ok_or(RevisionError::NoHead);
        }
        let full = target.starts_with("refs/").then(|| target.to_owned());
        full.and_then(named)
            .or_else(|| named(format!("refs/heads/{target}")))
            .or_else(|| named(format!("refs/tags/{target}")))
            .ok_or_else(|| RevisionError::Unknown(target.chars().take(200).collect()))
    }
}

/// The commit that a target revision names by itself, whatever the repository says.
pub fn full_commit_id(target: &str) -> Option<Oid> {
    (target.len() == 40 && target.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| Oid::from_str(target).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(digit: char) -> Oid {
        Oid::from_str(&digit.to_string().repeat(40)).unwrap()
    }

    fn offered() -> References {
        References::new([
            ("HEAD".to_owned(), oid('1')),
            ("refs/heads/main".to_owned(), oid('1')),
            ("refs/heads/v1".to_owned(), oid('2')),
            ("refs/tags/v1".to_owned(), oid('3')),
            ("refs/tags/v2".to_owned(), oid('4')),
            ("refs/tags/v2^{}".to_owned(), oid('5')),
        ])
    }

    fn commit(target: &str) -> Oid {
        match offered().resolve(target).unwrap() {
            Resolved::Reference { target, .. } | Resolved::Commit(target) => target,
        }
    }

    #[test]
    fn empty_and_head_are_the_default_branch() {
        assert_eq!(commit(""), oid('1'));
        assert_eq!(commit("HEAD"), oid('1'));
    }

    #[test]
    fn a_branch_wins_over_a_tag_of_the_same_name() {
        assert_eq!(commit("v1"), oid('2'));
        assert_eq!(commit("refs/tags/v1"), oid('3'));
    }

    #[test]
    fn an_annotated_tag_is_the_commit_behind_it() {
        assert_eq!(commit("v2"), oid('5'));
    }

    #[test]
    fn a_full_commit_id_needs_no_reference() {
        let id = "a".repeat(40);
        assert_eq!(offered().resolve(&id), Ok(Resolved::Commit(oid('a'))));
    }

    #[test]
    fn what_is_not_there_is_said() {
        assert_eq!(
            offered().resolve("nope"),
            Err(RevisionError::Unknown("nope".into()))
        );
        assert_eq!(
            References::default().resolve("main"),
            Err(RevisionError::Empty)
        );
        let headless = References::new([("refs/heads/main".to_owned(), oid('1'))]);
        assert_eq!(headless.resolve("HEAD"), Err(RevisionError::NoHead));
    }
}
