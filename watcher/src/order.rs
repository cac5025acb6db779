//! `towline.dev/depends-on`: which application is released after which others. Pure.

use std::collections::{BTreeMap, BTreeSet};

use bus::message::state::{ApplierState, HealthStatus, OperationPhase, SyncStatus};
use bus::{AppId, Generation};

/// How many applications one may wait for.
const MAX: usize = 64;

/// The applications that the annotation's text names, each once; or what is wrong with it.
pub fn read(text: &str, own: &AppId) -> Result<Vec<AppId>, String> {
    let annotation = api::annotations::DEPENDS_ON;
    let mut named = Vec::new();
    for part in text.split([',', '\n']).map(str::trim) {
        if part.is_empty() {
            continue;
        }
        let id = part
            .split_once('/')
            .and_then(|(namespace, name)| AppId::new(namespace, name).ok())
            .ok_or_else(|| {
                let shown: String = part.chars().take(80).collect();
                format!("annotation {annotation} names `{shown}`, which is not <namespace>/<name> of an Application: nothing is released until that is right")
            })?;
        if id == *own {
            return Err(format!(
                "annotation {annotation} names the Application itself, which can't wait for itself: take it out"
            ));
        }
        if !named.contains(&id) {
            named.push(id);
        }
        if named.len() > MAX {
            return Err(format!(
                "annotation {annotation} names more than {MAX} Applications: nothing is released until there are fewer"
            ));
        }
    }
    Ok(named)
}

/// Who waits for whom, as far as that can be read.
#[derive(Debug, Default)]
pub struct Order(BTreeMap<AppId, Result<Vec<AppId>, String>>);

impl Order {
    /// What an application's annotation says now. Whether that is news.
    pub fn set(&mut self, id: &AppId, annotation: Option<&str>) -> bool {
        match annotation {
            None => self.0.remove(id).is_some(),
            Some(text) => {
                let said = read(text, id);
                self.0.insert(id.clone(), said.clone()) != Some(said)
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The applications that wait for others.
    pub fn followers(&self) -> impl Iterator<Item = &AppId> {
        self.0.keys()
    }

    pub fn waits_for(&self, id: &AppId) -> &[AppId] {
        match self.0.get(id) {
            Some(Ok(named)) => named,
            Some(Err(_)) | None => &[],
        }
    }

    /// Why an application can't be released whatever the others do.
    pub fn problem(&self, id: &AppId) -> Option<String> {
        if let Err(wrong) = self.0.get(id)? {
            return Some(wrong.clone());
        }
        let circle = self.circle(id)?;
        let names: Vec<String> = circle.iter().map(ToString::to_string).collect();
        Some(format!(
            "{id} waits for itself: {} by annotation {}; none of them is released until one of these annotations is taken back",
            names.join(" depends on "),
            api::annotations::DEPENDS_ON,
        ))
    }

    /// The way from an application back to itself.
    fn circle(&self, id: &AppId) -> Option<Vec<AppId>> {
        // From each application that was reached, whence; breadth first, so the shortest way is found, in linear time.
        let mut from: BTreeMap<&AppId, &AppId> = BTreeMap::new();
        let mut next = std::collections::VecDeque::from([id]);
        while let Some(at) = next.pop_front() {
            for named in self.waits_for(at) {
                if named == id {
                    let mut way = vec![id.clone()];
                    let mut back = at;
                    while back != id {
                        way.push(back.clone());
                        back = from.get(back)?;
                    }
                    way.push(id.clone());
                    way.reverse();
                    return Some(way);
                }
                if !from.contains_key(named) {
                    from.insert(named, at);
                    next.push_back(named);
                }
            }
        }
        None
    }

    /// In turns: each of `all` comes in a later one than those of `all` that it waits for. Of a circle nobody waits.
    pub fn turns<T>(&self, all: Vec<T>, id: impl Fn(&T) -> &AppId) -> Vec<Vec<T>> {
        if self.is_empty() || all.len() < 2 {
            return vec![all];
        }
        let mut left = all;
        let mut turns = Vec::new();
        while !left.is_empty() {
            let names: BTreeSet<AppId> = left.iter().map(|it| id(it).clone()).collect();
            let (later, now): (Vec<T>, Vec<T>) = left.into_iter().partition(|it| {
                self.waits_for(id(it))
                    .iter()
                    .any(|named| names.contains(named))
            });
            if now.is_empty() {
                turns.push(later);
                return turns;
            }
            turns.push(now);
            left = later;
        }
        turns
    }
}

/// How an application is that others wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The generation at which it is released and Healthy.
    pub healthy: Option<Generation>,
    pub says: &'static str,
}

/// What its applier says of it, as far as those who wait for it need it.
pub fn standing(state: &ApplierState) -> Standing {
    let not = |says| Standing {
        healthy: None,
        says,
    };
    if state.deleted.is_some() {
        return not("is deleted");
    }
    // What only was tried says nothing of what is.
    let last = state.operation.as_ref().filter(|last| !last.dry_run);
    if last.is_some_and(|last| last.phase == OperationPhase::Running) {
        return not("is being released");
    }
    let of_this = last.filter(|last| last.generation == state.generation);
    match of_this.map(|last| last.phase) {
        Some(OperationPhase::Failed | OperationPhase::Error) => {
            return not("failed to be released");
        }
        // Drift of what was released doesn't undo that it was.
        Some(OperationPhase::Succeeded) => {}
        Some(OperationPhase::Running | OperationPhase::Terminating) | None => match state.sync {
            SyncStatus::Synced => {}
            SyncStatus::OutOfSync if state.pin.is_some() => return not("is pinned"),
            SyncStatus::OutOfSync => return not("is OutOfSync"),
            SyncStatus::Unknown => return not("is in an Unknown state"),
        },
    }
    match state.health.status {
        HealthStatus::Healthy => Standing {
            healthy: Some(state.generation),
            says: "is Healthy",
        },
        HealthStatus::Progressing => not("is Progressing"),
        HealthStatus::Degraded => not("is Degraded"),
        HealthStatus::Suspended => not("is Suspended"),
        HealthStatus::Missing => not("is Missing"),
        HealthStatus::Unknown => not("has an Unknown health"),
    }
}

#[cfg(test)]
mod tests;
