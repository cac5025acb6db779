//! Compares what applications read with new trees, away from the tasks that must not block: one visit to each repository.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bus::Generation;
use git2::{Oid, Repository};

use super::store::StoreError;
use super::stores::Stores;
use crate::affected::{self, Inputs, Verdict};
use crate::changes::Changes;
use crate::decide::Decision;
use crate::index::Candidate;
use crate::slot::RepoKey;
use crate::tree::Tree;

/// So many that were last looked at in one tree are worth finding out first what is another in the new one.
const MANY: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) affected: Vec<Candidate>,
    /// With the generation that was proven.
    pub(super) unchanged: Vec<(Candidate, Generation)>,
}

/// A source of a candidate whose files must be looked at.
struct Suspect {
    candidate: usize,
    source: usize,
    inputs: Arc<Inputs>,
    /// Where it was proven to need nothing new.
    proven: Oid,
    tree: Oid,
}

pub(super) async fn judge(
    stores: &Stores,
    candidates: Vec<Candidate>,
) -> Result<Judged, StoreError> {
    let mut affected: BTreeSet<usize> = BTreeSet::new();
    let mut suspects: BTreeMap<RepoKey, Vec<Suspect>> = BTreeMap::new();
    for (number, candidate) in candidates.iter().enumerate() {
        let Decision::Compare(generation) = candidate.decision else {
            affected.insert(number);
            continue;
        };
        let (record, places) = (candidate.record.as_ref(), candidate.places());
        let found = affected::suspects(generation, &candidate.before, record, &places);
        let Some((inputs, sources)) = found else {
            affected.insert(number);
            continue;
        };
        for source in sources {
            let (Some(held), Some(proven)) =
                (candidate.sources.get(source), candidate.proven.get(source))
            else {
                affected.insert(number);
                continue;
            };
            let (proven, tree) = (proven.tree, held.revision.tree);
            if proven == tree {
                continue;
            }
            let of_repository = suspects.entry(held.slot.key.clone()).or_default();
            of_repository.push(Suspect {
                candidate: number,
                source,
                inputs: Arc::clone(inputs),
                proven,
                tree,
            });
        }
    }
    for (key, suspects) in suspects {
        let store = stores.of(&key);
        let found = store.blocking(move |repository| guilty(repository, suspects));
        affected.extend(found.await?);
    }
    let mut judged = Judged::default();
    for (number, candidate) in candidates.into_iter().enumerate() {
        match candidate.decision {
            Decision::Compare(generation) if !affected.contains(&number) => {
                judged.unchanged.push((candidate, generation));
            }
            _ => judged.affected.push(candidate),
        }
    }
    Ok(judged)
}

/// The candidates that read something which is another now.
fn guilty(repository: &Repository, suspects: Vec<Suspect>) -> Vec<usize> {
    let mut ways: HashMap<(Oid, Oid), usize> = HashMap::new();
    for suspect in &suspects {
        *ways.entry((suspect.proven, suspect.tree)).or_default() += 1;
    }
    let ways = ways.into_iter().filter(|(_, suspects)| *suspects >= MANY);
    let changes: HashMap<_, _> = ways
        .filter_map(|((before, now), _)| {
            let changes = Changes::between(repository, before, now)?;
            Some(((before, now), changes))
        })
        .collect();
    let mut trees: BTreeMap<Oid, Tree<'_>> = BTreeMap::new();
    let guilty = suspects.into_iter().filter(|suspect| {
        let Suspect { inputs, source, .. } = suspect;
        let changes = changes.get(&(suspect.proven, suspect.tree));
        let unmoved = changes.is_some_and(|changes| {
            !affected::may_differ(inputs, *source, |path| changes.touch(path))
        });
        if unmoved {
            return false;
        }
        let tree = trees
            .entry(suspect.tree)
            .or_insert_with(|| Tree::new(repository, suspect.tree));
        affected::judge(inputs, *source, tree) == Verdict::Affected
    });
    guilty.map(|suspect| suspect.candidate).collect()
}
