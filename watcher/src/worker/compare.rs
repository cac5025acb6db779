//! Compares what applications read with new trees, away from the tasks that must not block: one visit to each repository.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bus::Generation;
use git2::Oid;

use super::store::StoreError;
use super::stores::Stores;
use crate::affected::{self, Inputs, Verdict};
use crate::decide::Decision;
use crate::index::Candidate;
use crate::slot::RepoKey;
use crate::tree::Tree;

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
            let Some(held) = candidate.sources.get(source) else {
                continue;
            };
            let of_repository = suspects.entry(held.slot.key.clone()).or_default();
            of_repository.push(Suspect {
                candidate: number,
                source,
                inputs: Arc::clone(inputs),
                tree: held.revision.tree,
            });
        }
    }
    for (key, suspects) in suspects {
        let store = stores.of(&key);
        let found = store.blocking(move |repository| {
            let mut trees: BTreeMap<Oid, Tree<'_>> = BTreeMap::new();
            let guilty = suspects.into_iter().filter(|suspect| {
                let tree = trees
                    .entry(suspect.tree)
                    .or_insert_with(|| Tree::new(repository, suspect.tree));
                affected::judge(&suspect.inputs, suspect.source, tree) == Verdict::Affected
            });
            guilty.map(|suspect| suspect.candidate).collect::<Vec<_>>()
        });
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
