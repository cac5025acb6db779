//! One state after another: the watcher's verdict on each application, against what rendering it gives.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use git2::Oid;
use serde_json::Value;
use watcher::affected::{self, Verdict};
use watcher::tree::Tree;

use crate::fleet::{self, Definition, Key};
use crate::history::{Commit, History};
use crate::render::{GENERATION, Known, Outcome, Renderer};

/// Which applications the oracle renders.
#[derive(Clone, Debug)]
pub(crate) struct Oracle {
    pub(crate) parallel: usize,
    /// Top-level folders in which each application has a folder of its own.
    pub(crate) own: Vec<String>,
    /// Top-level entries that no application reads.
    pub(crate) aside: Vec<String>,
}

#[derive(Clone, Debug)]
struct App {
    definition: Definition,
    known: Known,
}

/// What a state came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) applications: usize,
    /// To be rendered by the watcher's verdict, or because the Application is new or another now.
    pub(crate) rendered: BTreeSet<Key>,
    /// Of those, what came out otherwise than before.
    pub(crate) changed: BTreeSet<Key>,
    /// What came out otherwise though it wasn't to be rendered.
    pub(crate) missed: BTreeSet<Key>,
    /// Without manifests before and after: rendered again with each commit, since nothing can be concluded.
    pub(crate) failing: BTreeSet<Key>,
    /// Comes out otherwise each time.
    pub(crate) random: BTreeSet<Key>,
    /// How many renders the comparison took.
    pub(crate) compared: usize,
}

/// The fleet at the last state.
pub(crate) struct Replay<'r> {
    history: &'r History,
    renderer: &'r Renderer,
    charts: &'r [String],
    oracle: Oracle,
    apps: BTreeMap<Key, App>,
    random: BTreeSet<Key>,
    at: Commit,
}

/// What is rendered at a state, with the objects of parents.
type Rendered = BTreeMap<Key, (Known, Vec<Value>)>;

impl<'r> Replay<'r> {
    /// Renders everything, twice: what differs then is random.
    pub(crate) async fn begin(
        history: &'r History,
        renderer: &'r Renderer,
        charts: &'r [String],
        oracle: Oracle,
        at: Commit,
    ) -> anyhow::Result<Self> {
        let mut replay = Self {
            history,
            renderer,
            charts,
            oracle,
            apps: BTreeMap::new(),
            random: BTreeSet::new(),
            at,
        };
        let commit = replay.at.clone();
        let parents = replay.parents(&commit)?;
        let mut first_renders = replay.render(&parents, &commit).await?;
        let definitions = replay.with_children(parents, &first_renders);
        let rest = missing(&definitions, &first_renders);
        first_renders.extend(replay.render(&rest, &commit).await?);
        for (key, (again, _)) in replay.render(&definitions, &commit).await? {
            if first_renders
                .get(&key)
                .is_some_and(|(first, _)| first.outcome != again.outcome)
            {
                replay.random.insert(key);
            }
        }
        replay.apps = definitions
            .into_iter()
            .filter_map(|(key, definition)| {
                let (known, _) = first_renders.remove(&key)?;
                Some((key, App { definition, known }))
            })
            .collect();
        Ok(replay)
    }

    /// Every application with its definition and what its last render came to.
    pub(crate) fn applications(&self) -> impl Iterator<Item = (&Key, &Definition, &Outcome)> {
        self.apps
            .iter()
            .map(|(key, app)| (key, &app.definition, &app.known.outcome))
    }

    pub(crate) fn at(&self) -> &Commit {
        &self.at
    }

    pub(crate) fn random(&self) -> &BTreeSet<Key> {
        &self.random
    }

    /// The applications that the watcher has rendered again for the files of a state, as they are defined now.
    pub(crate) fn affected(&self, commit: &Commit) -> BTreeSet<Key> {
        let mut tree = Tree::new(&self.history.git, commit.place.tree);
        let mut affected = BTreeSet::new();
        for (key, app) in &self.apps {
            if is_affected(app, commit, &mut tree) {
                affected.insert(key.clone());
            }
        }
        affected
    }

    /// Goes on to the next state. `whole`: everything is rendered to compare with, not only what the oracle suspects.
    pub(crate) async fn step(&mut self, commit: &Commit, whole: bool) -> anyhow::Result<Step> {
        let parents = self.parents(commit)?;
        let mut rendered = self.render(&parents, commit).await?;
        let definitions = self.with_children(parents, &rendered);
        let mut affected = self.affected(commit);
        for (key, definition) in &definitions {
            if self
                .apps
                .get(key)
                .is_none_or(|app| app.definition != *definition)
            {
                affected.insert(key.clone());
            }
        }
        affected.retain(|key| definitions.contains_key(key));
        let mut wanted = missing(&definitions, &rendered);
        if !whole {
            let outside = self.outside(&self.at)? != self.outside(commit)?;
            wanted.retain(|key, definition| {
                affected.contains(key) || outside || self.folders_differ(definition, commit)
            });
        }
        rendered.extend(self.render(&wanted, commit).await?);
        let mut step = Step {
            applications: definitions.len(),
            compared: rendered.len(),
            ..Step::default()
        };
        let mut apps = BTreeMap::new();
        for (key, definition) in definitions {
            let before = self.apps.remove(&key);
            let Some((fresh, _)) = rendered.remove(&key) else {
                // Left out by the oracle, thus known.
                apps.extend(before.map(|app| (key, app)));
                continue;
            };
            let is_due = affected.contains(&key);
            let differs = before
                .as_ref()
                .is_none_or(|app| app.known.outcome != fresh.outcome);
            if differs && !is_due && !self.random.contains(&key) {
                let (again, _) = self
                    .renderer
                    .render(&definition, &commit.place, self.history)
                    .await?;
                if again.outcome != fresh.outcome {
                    self.random.insert(key.clone());
                }
            }
            let is_failing = |known: &Known| !matches!(known.outcome, Outcome::Manifests(_));
            let was_failing = before.as_ref().is_some_and(|app| is_failing(&app.known));
            let set = if self.random.contains(&key) {
                is_due.then_some(&mut step.random)
            } else if is_failing(&fresh) && was_failing {
                is_due.then_some(&mut step.failing)
            } else {
                if is_due && differs {
                    step.changed.insert(key.clone());
                }
                match (is_due, differs) {
                    (true, _) => Some(&mut step.rendered),
                    (false, true) => Some(&mut step.missed),
                    (false, false) => None,
                }
            };
            if let Some(set) = set {
                set.insert(key.clone());
            }
            let known = match before {
                // The watcher goes on from what it published last.
                Some(app) if !is_due && !differs => app.known,
                _ => fresh,
            };
            apps.insert(key, App { definition, known });
        }
        self.apps = apps;
        self.at = commit.clone();
        Ok(step)
    }

    /// As [`Self::step`], and back again.
    pub(crate) async fn try_step(&mut self, commit: &Commit) -> anyhow::Result<Step> {
        let (apps, at) = (self.apps.clone(), self.at.clone());
        let step = self.step(commit, true).await?;
        (self.apps, self.at) = (apps, at);
        Ok(step)
    }

    fn parents(&self, commit: &Commit) -> anyhow::Result<BTreeMap<Key, Definition>> {
        let files = self.history.files(&commit.place)?;
        let of_chart = |chart: &'r String| fleet::parents(chart, &files).collect::<Vec<_>>();
        Ok(self.charts.iter().flat_map(of_chart).collect())
    }

    /// A parent that fails keeps the children that it had.
    fn with_children(
        &self,
        mut definitions: BTreeMap<Key, Definition>,
        rendered: &Rendered,
    ) -> BTreeMap<Key, Definition> {
        for (parent, (known, objects)) in rendered {
            if matches!(known.outcome, Outcome::Manifests(_)) {
                definitions.extend(fleet::children(parent, objects));
                continue;
            }
            let kept = self
                .apps
                .iter()
                .filter(|(key, _)| key.app.is_some() && key.environment == parent.environment);
            definitions.extend(kept.map(|(key, app)| (key.clone(), app.definition.clone())));
        }
        definitions
    }

    async fn render(
        &self,
        definitions: &BTreeMap<Key, Definition>,
        commit: &Commit,
    ) -> anyhow::Result<Rendered> {
        let mut renders = futures::stream::iter(definitions)
            .map(async |(key, definition)| {
                let (known, mut objects) = self
                    .renderer
                    .render(definition, &commit.place, self.history)
                    .await?;
                if key.app.is_some() {
                    objects.clear();
                }
                anyhow::Ok((key.clone(), (known, objects)))
            })
            .buffer_unordered(self.oracle.parallel.max(1));
        let mut rendered = BTreeMap::new();
        while let Some(one) = renders.next().await {
            rendered.extend([one?]);
        }
        Ok(rendered)
    }

    /// Everything outside of applications' folders that one may read.
    fn outside(&self, commit: &Commit) -> anyhow::Result<Vec<(String, Oid)>> {
        let mut entries = self.history.top(&commit.place)?;
        let is_left_out = |name: &String| {
            self.oracle.own.contains(name)
                || self.oracle.aside.contains(name)
                // Parents are rendered in any case.
                || self.charts.contains(name)
        };
        entries.retain(|(name, _)| !is_left_out(name));
        Ok(entries)
    }

    fn folders_differ(&self, definition: &Definition, commit: &Commit) -> bool {
        definition.sources.iter().any(|source| {
            let at = |place| self.history.object(place, source.path());
            at(&self.at.place) != at(&commit.place)
        })
    }
}

/// The watcher's own question.
fn is_affected(app: &App, commit: &Commit, tree: &mut Tree<'_>) -> bool {
    let Known { place, record, .. } = &app.known;
    let sources = app.definition.sources.len();
    let before = vec![place.clone(); sources];
    let now = vec![commit.place.clone(); sources];
    match affected::suspects(GENERATION, &before, Some(record), &now) {
        None => true,
        Some((inputs, suspects)) => suspects
            .into_iter()
            .any(|source| affected::judge(inputs, source, tree) == Verdict::Affected),
    }
}

fn missing(
    definitions: &BTreeMap<Key, Definition>,
    rendered: &Rendered,
) -> BTreeMap<Key, Definition> {
    let is_missing = |(key, _): &(&Key, &Definition)| !rendered.contains_key(*key);
    let missing = definitions.iter().filter(is_missing);
    missing
        .map(|(key, definition)| (key.clone(), definition.clone()))
        .collect()
}
