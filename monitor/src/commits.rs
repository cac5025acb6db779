//! Who made the commits of late, in memory: a history entry names its revisions only.

use std::collections::{HashMap, VecDeque};

use bus::message::desired::Commit;

const MAX: usize = 20_000;

#[derive(Debug, Default)]
pub(crate) struct Commits {
    of: HashMap<String, Commit>,
    /// In the order in which they were heard, to know which to forget first.
    order: VecDeque<String>,
}

impl Commits {
    pub(crate) fn remember(&mut self, revision: &str, commit: &Commit) {
        if self.of.contains_key(revision) {
            return;
        }
        self.of.insert(revision.to_owned(), commit.clone());
        self.order.push_back(revision.to_owned());
        if self.order.len() > MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.of.remove(&oldest);
        }
    }

    pub(crate) fn get(&self, revision: &str) -> Option<&Commit> {
        self.of.get(revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_commits_are_forgotten_first() {
        let mut commits = Commits::default();
        let commit = Commit {
            author: "Vera".to_owned(),
            subject: "x".to_owned(),
            time: 1,
        };
        for number in 0..=MAX {
            commits.remember(&number.to_string(), &commit);
        }
        assert_eq!(commits.get("0"), None);
        assert_eq!(commits.get("1"), Some(&commit));
        assert_eq!(commits.of.len(), MAX);
    }
}
