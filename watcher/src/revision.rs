//! What a target revision means among the references that a host offers. Pure.

use std::collections::BTreeMap;

use git2::Oid;

use crate::source::version::{self, Version};

/// A target revision for which only the tags count that begin with `prefix`, which may be empty. No name in Git has a colon.
pub fn prefixed(prefix: &str, target: &str) -> String {
    format!("{prefix}:{target}")
}

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
    /// The first digits of a commit id, in lower case.
    Abbreviated(String),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    #[error("the repository is empty")]
    Empty,
    #[error("the repository has no HEAD; name a branch in targetRevision")]
    NoHead,
    #[error("there is no branch, tag or commit {0:?}")]
    Unknown(String),
    #[error("{0:?} begins several commits' ids; name one by all 40 digits")]
    Ambiguous(String),
    #[error("{0:?} is the id of a commit in a repository with SHA-256, which isn't supported")]
    Sha256(String),
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

    /// In Argo CD's order: a full commit id, `HEAD`, the newest tag of a range of versions, a reference, the first digits of a
    /// commit id. Where a branch and a tag have one name, Argo CD takes either; here it is the branch. A prefix ([`prefixed`]) is
    /// left away from the tags that are compared with a range, and put before a target that is a version.
    pub fn resolve(&self, target: &str) -> Result<Resolved, RevisionError> {
        let (prefix, target) = target.split_once(':').unwrap_or(("", target));
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
        let name = match Version::parse(target) {
            Some(_) => format!("{prefix}{target}"),
            None => self
                .newest(prefix, target)
                .unwrap_or_else(|| target.to_owned()),
        };
        let reference = ["refs/heads/", "refs/tags/", "refs/remotes/", "refs/"]
            .iter()
            .map(|folder| format!("{folder}{name}"))
            .find_map(named)
            .or_else(|| named(name.clone()).filter(|_| name.starts_with("refs/")));
        if let Some(reference) = reference {
            return Ok(reference);
        }
        let shown = || target.chars().take(200).collect();
        let digits = target.bytes().all(|byte| byte.is_ascii_hexdigit());
        match target.len() {
            7..40 if digits => Ok(Resolved::Abbreviated(target.to_lowercase())),
            64 if digits => Err(RevisionError::Sha256(shown())),
            _ => Err(RevisionError::Unknown(shown())),
        }
    }

    /// The newest tag that is a version within a range, after its prefix.
    fn newest(&self, prefix: &str, target: &str) -> Option<String> {
        let range = version::range(target)?;
        let tags = self.by_name.keys().filter(|name| !name.ends_with("^{}"));
        let tags = tags.filter_map(|name| name.strip_prefix("refs/tags/"));
        let newest = range.newest(tags.filter_map(|tag| tag.strip_prefix(prefix)))?;
        Some(format!("{prefix}{newest}"))
    }

    /// A commit that a reference names and whose id begins so.
    pub fn beginning(&self, digits: &str) -> Option<Oid> {
        let tips = self.by_name.iter().filter(|(name, _)| {
            let peeled = format!("{name}^{{}}");
            !self.by_name.contains_key(&peeled)
        });
        tips.map(|(_, oid)| *oid)
            .find(|oid| oid.to_string().starts_with(digits))
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
            ("refs/pull/7/head".to_owned(), oid('6')),
        ])
    }

    fn commit(target: &str) -> Oid {
        match offered().resolve(target).unwrap() {
            Resolved::Reference { target, .. } | Resolved::Commit(target) => target,
            Resolved::Abbreviated(digits) => panic!("{digits} is not looked up here"),
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
    fn any_other_reference_is_named_as_a_whole_or_without_refs() {
        assert_eq!(commit("refs/pull/7/head"), oid('6'));
        assert_eq!(commit("pull/7/head"), oid('6'));
    }

    #[test]
    fn a_range_is_the_newest_version_among_the_tags() {
        let tags = [
            "v1.2.0",
            "1.10.1",
            "1.10.0",
            "v2.0.0-rc.1",
            "nightly",
            "2.0.0",
        ];
        let mut all: Vec<_> = tags
            .iter()
            .zip('1'..)
            .map(|(tag, digit)| (format!("refs/tags/{tag}"), oid(digit)))
            .collect();
        all.push(("refs/heads/1.x".to_owned(), oid('8')));
        all.push(("refs/tags/1.10.1^{}".to_owned(), oid('9')));
        let offered = References::new(all);
        let commit = |target: &str| match offered.resolve(target) {
            Ok(Resolved::Reference { target, .. }) => Some(target),
            _ => None,
        };
        for (target, digit) in [
            ("1.x", '9'),
            ("^1.2", '9'),
            (">= 1.2.0, < 1.10.1", '3'),
            ("*", '6'),
            (">= 2.0.0-0, < 2.0.0", '4'),
            // A version is a name.
            ("v1.2.0", '1'),
            ("1.10.0", '3'),
        ] {
            assert_eq!(commit(target), Some(oid(digit)), "{target}");
        }
        for target in ["v1.2", "3.x", "1.2.0"] {
            assert_eq!(commit(target), None, "{target}");
        }
    }

    #[test]
    fn a_prefix_says_which_tags_a_range_is_compared_with() {
        let offered = References::new([
            ("HEAD".to_owned(), oid('1')),
            ("refs/heads/main".to_owned(), oid('1')),
            ("refs/tags/1.0.9".to_owned(), oid('2')),
            ("refs/tags/a/1.0.1".to_owned(), oid('3')),
            ("refs/tags/a/v1.0.2".to_owned(), oid('4')),
            ("refs/tags/b/1.0.3".to_owned(), oid('5')),
        ]);
        let commit = |prefix: &str, target: &str| {
            let found = offered.resolve(&prefixed(prefix, target));
            match found.ok()? {
                Resolved::Reference { target, .. } => Some(target),
                _ => None,
            }
        };
        assert_eq!(commit("a/", "1.0.*"), Some(oid('4')));
        assert_eq!(commit("b/", "1.0.*"), Some(oid('5')));
        assert_eq!(commit("", "1.0.*"), Some(oid('2')));
        // A version is a pin, with the prefix before it.
        assert_eq!(commit("a/", "1.0.1"), Some(oid('3')));
        assert_eq!(commit("a/", "1.0.9"), None);
        // What is neither is a name as it stands.
        assert_eq!(commit("a/", "main"), Some(oid('1')));
        assert_eq!(commit("a/", ""), Some(oid('1')));
        assert_eq!(commit("c/", "1.0.*"), None);
        // A colon of the target's own is no prefix.
        assert_eq!(commit("", "a/:1.0.1"), None);
        assert_eq!(commit("", "x:main"), None);
    }

    #[test]
    fn a_range_that_no_tag_is_in_may_be_a_branch() {
        let offered = References::new([
            ("refs/heads/1.x".to_owned(), oid('1')),
            ("refs/tags/v2.0.0".to_owned(), oid('2')),
        ]);
        let found = offered.resolve("1.x").unwrap();
        assert!(matches!(found, Resolved::Reference { target, .. } if target == oid('1')));
    }

    #[test]
    fn seven_digits_or_more_may_begin_a_commits_id() {
        let found = offered().resolve("ABCDEF1");
        assert_eq!(found, Ok(Resolved::Abbreviated("abcdef1".to_owned())));
        assert!(matches!(
            offered().resolve("abcdef"),
            Err(RevisionError::Unknown(_))
        ));
        let sha256 = offered().resolve(&"a".repeat(64));
        assert!(matches!(sha256, Err(RevisionError::Sha256(_))));
        assert_eq!(offered().beginning("5555555"), Some(oid('5')));
        assert_eq!(offered().beginning("4444444"), None);
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
