//! What a render needs beside its sources: what there is of it, and a record of what was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bus::message::need::Need;

use crate::tree::Tree;

/// A name or address longer than this is nobody's.
const MAX_LENGTH: usize = 2048;

/// A render asks for more than it may.
#[derive(Debug, thiserror::Error)]
pub enum TooManyNeeds {
    #[error(
        "more than {} charts, repositories and files are needed beside the sources, the limit of one render",
        Need::MAX
    )]
    Many,
    #[error(
        "something that is needed beside the sources has an address of {length} bytes; the limit is {MAX_LENGTH}"
    )]
    Long { length: usize },
}

/// The dependencies of a job, by what they were asked for as.
#[derive(Default)]
pub struct Dependencies {
    had: BTreeMap<Need, Arc<Tree>>,
    asked: Mutex<BTreeSet<Need>>,
}

impl Dependencies {
    pub fn new(had: impl IntoIterator<Item = (Need, Arc<Tree>)>) -> Self {
        Self {
            had: had.into_iter().collect(),
            asked: Mutex::default(),
        }
    }

    /// The files of a need, if they are there. Asking is what makes it a need: a caller that gets none goes on looking for
    /// what else is needed, and then gives up with [`crate::ToolError::Waits`].
    ///
    /// What is read of the tree need not be recorded: the need with its tree's id stands for it.
    pub(crate) fn get(&self, need: Need) -> Result<Option<Arc<Tree>>, TooManyNeeds> {
        let length = length(&need);
        if length > MAX_LENGTH {
            return Err(TooManyNeeds::Long { length });
        }
        let tree = self.had.get(&need).map(Arc::clone);
        let mut asked = self.asked();
        if asked.len() >= Need::MAX && !asked.contains(&need) {
            return Err(TooManyNeeds::Many);
        }
        asked.insert(need);
        Ok(tree)
    }

    /// Everything that was asked for, sorted.
    pub fn needs(&self) -> Vec<Need> {
        self.asked().iter().cloned().collect()
    }

    /// What was asked for and isn't there, sorted.
    pub fn missing(&self) -> Vec<Need> {
        let missing = |need: &&Need| !self.had.contains_key(*need);
        self.asked().iter().filter(missing).cloned().collect()
    }

    /// The files of all that there is.
    pub(crate) fn had(&self) -> impl Iterator<Item = &Arc<Tree>> {
        self.had.values()
    }

    /// What there is, by the ids of its trees.
    pub fn trees(&self) -> Vec<(&Need, String)> {
        let trees = self.had.iter();
        trees.map(|(need, tree)| (need, tree.root())).collect()
    }

    /// Takes over what an earlier render asked for, after it was found to be still the same.
    pub(crate) fn ask_again(&self, needs: &[Need]) {
        self.asked().extend(needs.iter().cloned());
    }

    fn asked(&self) -> MutexGuard<'_, BTreeSet<Need>> {
        // Each change is one insertion: a panic leaves it whole.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn length(need: &Need) -> usize {
    match need {
        Need::Chart {
            repository,
            name,
            version,
        } => repository.len() + name.len() + version.len(),
        Need::Git { url, reference } => url.len() + reference.len(),
        Need::File { url } => url.len(),
    }
}

/// A need in words, without the password that its address may hold.
pub fn describe(need: &Need) -> String {
    let shown = |url: &str| api::git_url::without_credentials(url);
    match need {
        Need::Chart {
            repository,
            name,
            version,
        } if version.is_empty() => format!("the chart {name} of {}", shown(repository)),
        Need::Chart {
            repository,
            name,
            version,
        } => format!("the chart {name} {version} of {}", shown(repository)),
        Need::Git { url, reference } if reference.is_empty() => {
            format!("the repository {}", shown(url))
        }
        Need::Git { url, reference } => format!("the repository {} at {reference}", shown(url)),
        Need::File { url } => format!("the file {}", shown(url)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::mk_tree;

    fn mk_need(name: usize) -> Need {
        Need::File {
            url: format!("https://example.org/{name:03}"),
        }
    }

    #[test]
    fn asking_is_recorded_whether_it_is_there_or_not() {
        let dependencies = Dependencies::new([(mk_need(1), Arc::new(mk_tree(&[("file", "x")])))]);
        assert!(dependencies.get(mk_need(1)).unwrap().is_some());
        assert!(dependencies.get(mk_need(0)).unwrap().is_none());
        assert_eq!(dependencies.needs(), [mk_need(0), mk_need(1)]);
        assert_eq!(dependencies.missing(), [mk_need(0)]);
    }

    #[test]
    fn the_number_of_needs_is_bounded() {
        let dependencies = Dependencies::default();
        for number in 0..Need::MAX {
            assert!(dependencies.get(mk_need(number)).is_ok());
        }
        assert!(dependencies.get(mk_need(0)).is_ok());
        let error = dependencies.get(mk_need(Need::MAX)).err().unwrap();
        assert!(error.to_string().contains("256"));
    }

    #[test]
    fn an_address_is_bounded_and_told_without_its_password() {
        let long = Need::File {
            url: format!("https://example.org/{}", "a".repeat(MAX_LENGTH)),
        };
        let dependencies = Dependencies::default();
        let error = dependencies.get(long).err().unwrap();
        assert!(error.to_string().contains("2048"));
        assert!(dependencies.needs().is_empty());
        let secret = Need::Git {
            url: "https://user:token@git.example/a".to_owned(),
            reference: "v1".to_owned(),
        };
        assert_eq!(
            describe(&secret),
            "the repository https://git.example/a at v1"
        );
    }
}
