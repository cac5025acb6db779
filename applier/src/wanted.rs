//! Which application of the cluster wants which objects, so that one that moves from an application to another changes its owner
//! and is not deleted on the way: who has it lets it go, who wants it takes it over.
//!
//! In memory alone: after a restart nothing is settled until every application was heard of.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bus::message::desired::{Desired, DesiredState};
use bus::{AppId, Generation};

use crate::object::Key;

/// How long a render may take before nobody waits any more for what it may want.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether everything is known that could still want an object which is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    Yes,
    /// Not before this is known; looked at again after that time, if nobody calls sooner.
    No {
        waits_for: String,
        again: Duration,
    },
}

#[derive(Default)]
pub(crate) struct Wanted {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The broker has said everything that it holds.
    delivered: bool,
    /// By the hash of the application.
    apps: HashMap<Box<str>, Wish>,
    by_key: HashMap<Arc<Key>, Vec<Box<str>>>,
    /// Who waits until everything is settled.
    waiting: HashSet<Box<str>>,
}

/// What is known of one application.
struct Wish {
    app: AppId,
    /// Its name in tracking ids.
    instance: Box<str>,
    keys: Vec<Arc<Key>>,
    /// Whether `keys` say anything, and since when.
    known: Option<Instant>,
    /// When the watcher published what `keys` are of, Unix milliseconds; 0 where it didn't.
    published: u64,
    generation: Generation,
    awaited: Option<Awaited>,
}

/// A generation without manifests so far.
struct Awaited {
    generation: Generation,
    /// Of the first one since manifests were known.
    since: Instant,
    /// When the watcher had its files, Unix milliseconds.
    fetched: u64,
}

impl Awaited {
    /// How long it is waited for; none where that is over.
    fn left(&self, now: Instant) -> Option<Duration> {
        let left = (self.since + PATIENCE).checked_duration_since(now)?;
        (!left.is_zero()).then_some(left)
    }
}

/// What an application says that it wants.
pub(crate) struct Said {
    pub(crate) generation: Generation,
    /// When its desired state was published, Unix milliseconds.
    pub(crate) published: u64,
    pub(crate) instance: Box<str>,
    pub(crate) keys: HashSet<Key>,
}

/// Who is to look again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Stirred {
    /// Objects that somebody else wants now than before.
    pub(crate) keys: Vec<Key>,
    /// Applications that waited.
    pub(crate) waiting: Vec<Box<str>>,
}

impl Wanted {
    /// There is such an application, of which nothing is known yet.
    pub(crate) fn begin(&self, hash: &str, app: &AppId, now: Instant) {
        let mut inner = self.lock();
        inner.apps.entry(hash.into()).or_insert_with(|| Wish {
            awaited: Some(Awaited {
                generation: Generation(0),
                since: now,
                fetched: 0,
            }),
            ..Wish::new(app)
        });
    }

    /// A desired state came, of which the manifests may follow.
    pub(crate) fn desired(&self, hash: &str, desired: &Desired, now: Instant) -> Stirred {
        match &desired.state {
            DesiredState::Present(present) => {
                let mut inner = self.lock();
                let wish = inner
                    .apps
                    .entry(hash.into())
                    .or_insert_with(|| Wish::new(&desired.app));
                wish.instance = present.tracking.instance.as_str().into();
                let last = wish.awaited.as_ref().map(|it| it.generation);
                if last.unwrap_or(wish.generation) < desired.generation {
                    let new = Awaited {
                        generation: desired.generation,
                        since: now,
                        fetched: present.trigger.fetched,
                    };
                    let before = wish.awaited.take_if(|it| it.left(now).is_some());
                    wish.awaited = Some(match before {
                        Some(before) => Awaited {
                            generation: desired.generation,
                            ..before
                        },
                        None => new,
                    });
                }
                Stirred::default()
            }
            DesiredState::Deleted(_) => self.says(
                hash,
                &desired.app,
                Said {
                    generation: desired.generation,
                    published: 0,
                    instance: Box::default(),
                    keys: HashSet::new(),
                },
                now,
            ),
        }
    }

    /// An application knows what it wants.
    pub(crate) fn says(&self, hash: &str, app: &AppId, said: Said, now: Instant) -> Stirred {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let wish = inner
            .apps
            .entry(hash.into())
            .or_insert_with(|| Wish::new(app));
        wish.known.get_or_insert(now);
        if !said.instance.is_empty() {
            wish.instance = said.instance;
        }
        if wish.published != said.published {
            wish.published = said.published;
            wish.known = Some(now);
        }
        wish.generation = said.generation;
        let settles = wish
            .awaited
            .take_if(|awaited| awaited.generation <= said.generation)
            .is_some();
        let mut stirred = Stirred::default();
        wish.keys.retain(|key| {
            let still = said.keys.contains(&**key);
            if !still {
                stirred.keys.push(Key::clone(key));
                drop_one(&mut inner.by_key, key, hash);
            }
            still
        });
        for key in said.keys {
            let of_key = inner.by_key.get(&key);
            if of_key.is_some_and(|apps| apps.iter().any(|app| **app == *hash)) {
                continue;
            }
            stirred.keys.push(key.clone());
            let key = Arc::new(key);
            wish.keys.push(key.clone());
            inner.by_key.entry(key).or_default().push(hash.into());
        }
        if settles {
            stirred.waiting = inner.waiting.drain().collect();
        }
        stirred
    }

    /// There is no such application any more.
    pub(crate) fn forget(&self, hash: &str) -> Stirred {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let Some(wish) = inner.apps.remove(hash) else {
            return Stirred::default();
        };
        for key in &wish.keys {
            drop_one(&mut inner.by_key, key, hash);
        }
        Stirred {
            keys: wish.keys.iter().map(|key| Key::clone(key)).collect(),
            waiting: inner.waiting.drain().collect(),
        }
    }

    /// Everything that the broker holds has been delivered.
    pub(crate) fn delivered(&self) -> Stirred {
        let mut inner = self.lock();
        inner.delivered = true;
        Stirred {
            keys: Vec::new(),
            waiting: inner.waiting.drain().collect(),
        }
    }

    /// Which application beside this one wants the object.
    pub(crate) fn other(&self, key: &Key, hash: &str) -> Option<AppId> {
        let inner = self.lock();
        let apps = inner.by_key.get(key)?;
        let other = apps.iter().find(|app| ***app != *hash)?;
        inner.apps.get(other).map(|wish| wish.app.clone())
    }

    /// Whether the application that an object names as its owner, by hash or in its tracking id, doesn't want it any more. Of one
    /// that is no application of this cluster only the hash, which Towline gives, counts.
    pub(crate) fn is_let_go(&self, key: &Key, hash: Option<&str>, instance: &str) -> bool {
        let inner = self.lock();
        if !inner.delivered {
            return false;
        }
        let owner = match hash {
            Some(hash) => match inner.apps.get_key_value(hash) {
                Some(owner) => owner,
                None => return true,
            },
            None => match inner
                .apps
                .iter()
                .find(|(_, wish)| *wish.instance == *instance)
            {
                Some(owner) => owner,
                None => return false,
            },
        };
        let (hash, wish) = owner;
        let wants = inner
            .by_key
            .get(key)
            .is_some_and(|apps| apps.contains(hash));
        wish.known.is_some() && !wants
    }

    /// Whether every application that could want what this one leaves has said what it wants. If not, it is woken when that changes.
    pub(crate) fn settled(&self, hash: &str, now: Instant) -> Settled {
        let mut inner = self.lock();
        let settled = inner.is_settled(hash, now);
        if settled != Settled::Yes {
            inner.waiting.insert(hash.into());
        }
        settled
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere ends the process; what is behind the lock is whole either way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn is_settled(&self, hash: &str, now: Instant) -> Settled {
        if !self.delivered {
            return Settled::No {
                waits_for: "what the broker holds".to_owned(),
                again: PATIENCE,
            };
        }
        let own = self.apps.get(hash);
        let (known, published) =
            own.map_or((now, 0), |own| (own.known.unwrap_or(now), own.published));
        let others = self.apps.iter().filter(|(other, _)| ***other != *hash);
        let awaited = others.filter_map(|(_, wish)| {
            let awaited = wish.awaited.as_ref()?;
            // What came later is another commit's.
            let concerns = awaited.since <= known || awaited.fetched <= published;
            let left = awaited.left(now)?;
            concerns.then_some((left, &wish.app))
        });
        match awaited.min_by_key(|(left, _)| *left) {
            None => Settled::Yes,
            Some((again, app)) => Settled::No {
                waits_for: format!("the manifests of application {app}"),
                again,
            },
        }
    }
}

impl Wish {
    fn new(app: &AppId) -> Self {
        Self {
            app: app.clone(),
            instance: Box::default(),
            keys: Vec::new(),
            known: None,
            published: 0,
            generation: Generation(0),
            awaited: None,
        }
    }
}

fn drop_one(by_key: &mut HashMap<Arc<Key>, Vec<Box<str>>>, key: &Arc<Key>, hash: &str) {
    if let Some(apps) = by_key.get_mut(key) {
        apps.retain(|app| **app != *hash);
        if apps.is_empty() {
            by_key.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> AppId {
        AppId::new("argocd", name).unwrap()
    }

    fn key(name: &str) -> Key {
        Key::new("", "ConfigMap", "shop", name)
    }

    fn said(generation: u64, names: &[&str]) -> Said {
        Said {
            generation: Generation(generation),
            published: generation,
            instance: Box::default(),
            keys: names.iter().map(|name| key(name)).collect(),
        }
    }

    fn deleted(name: &str, generation: u64) -> Desired {
        use bus::message::desired::{Cascade, Deleted};
        Desired {
            app: id(name),
            cluster: bus::ClusterId::in_cluster(),
            generation: Generation(generation),
            state: DesiredState::Deleted(Deleted::new("u", Cascade::Foreground)),
        }
    }

    /// Two applications of which one has an object that the other will want.
    fn two(now: Instant) -> Wanted {
        let wanted = Wanted::default();
        wanted.delivered();
        for name in ["a", "b"] {
            wanted.begin(name, &id(name), now);
        }
        wanted.says("a", &id("a"), said(1, &["moves"]), now);
        wanted
    }

    #[test]
    fn an_object_is_let_go_when_its_owner_wants_it_no_longer() {
        let now = Instant::now();
        let wanted = two(now);
        wanted.says("b", &id("b"), said(1, &["moves"]), now);
        assert!(!wanted.is_let_go(&key("moves"), Some("a"), "a"));
        let stirred = wanted.says("a", &id("a"), said(2, &[]), now);
        assert_eq!(stirred.keys, [key("moves")]);
        assert!(wanted.is_let_go(&key("moves"), Some("a"), "a"));
        assert_eq!(wanted.other(&key("moves"), "a"), Some(id("b")));
        assert_eq!(wanted.other(&key("moves"), "b"), None);
    }

    #[test]
    fn nothing_is_let_go_by_who_is_not_known_to_want_nothing() {
        let now = Instant::now();
        let wanted = two(now);
        assert!(!wanted.is_let_go(&key("x"), Some("b"), "b"));
        assert!(
            !wanted.is_let_go(&key("x"), None, "elsewhere"),
            "Argo CD's own"
        );
        assert!(wanted.is_let_go(&key("x"), Some("gone"), "gone"));
        let silent = Wanted::default();
        assert!(!silent.is_let_go(&key("x"), Some("gone"), "gone"));
    }

    #[test]
    fn an_application_that_is_deleted_lets_everything_go() {
        let now = Instant::now();
        let wanted = two(now);
        let stirred = wanted.desired("a", &deleted("a", 2), now);
        assert_eq!(stirred.keys, [key("moves")]);
        assert!(wanted.is_let_go(&key("moves"), Some("a"), "a"));
    }

    #[test]
    fn nothing_is_settled_before_the_others_have_said_what_they_want() {
        let now = Instant::now();
        let wanted = two(now);
        assert!(
            matches!(wanted.settled("a", now), Settled::No { waits_for, .. } if waits_for.contains("argocd/b"))
        );
        let stirred = wanted.says("b", &id("b"), said(1, &["moves"]), now);
        assert_eq!(stirred.waiting, ["a".into()]);
        assert_eq!(wanted.settled("a", now), Settled::Yes);
    }

    #[test]
    fn a_render_that_never_ends_is_not_waited_for_for_ever() {
        let now = Instant::now();
        let wanted = two(now);
        let almost = now + PATIENCE / 2;
        assert!(matches!(
            wanted.settled("a", almost),
            Settled::No { again, .. } if again == PATIENCE / 2
        ));
        assert_eq!(wanted.settled("a", now + PATIENCE), Settled::Yes);
    }
}
