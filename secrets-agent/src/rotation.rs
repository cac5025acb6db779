//! Looks for newer versions of the paths in use: one request per path and round, however many applications use it.

use std::sync::Arc;
use std::time::Duration;

use bus::message::event::{Event, EventKind};
use bus::subject::{self, Bucket};
use bus::{Bus, BusError, ClusterId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, BackendError};
use crate::known::Known;
use crate::metrics::Metrics;
use crate::policy::SecretPath;
use crate::uses::{Outdated, Uses};

/// What looking takes.
pub(crate) struct Rotation<B> {
    pub(crate) bus: Bus,
    pub(crate) cluster: ClusterId,
    pub(crate) backend: Arc<B>,
    pub(crate) known: Arc<Known>,
    pub(crate) uses: Arc<Uses>,
    pub(crate) metrics: Metrics,
}

impl<B: Backend> Rotation<B> {
    /// Looks once in each `interval`; an interval of zero never looks.
    pub(crate) async fn watch(
        self,
        interval: Duration,
        token: CancellationToken,
    ) -> Result<(), BusError> {
        if interval.is_zero() {
            token.cancelled().await;
            return Ok(());
        }
        let Self {
            bus,
            cluster,
            backend,
            known,
            uses,
            metrics,
        } = self;
        let teller = Teller {
            bus,
            cluster,
            uses,
            metrics,
        };
        let rounds = async {
            loop {
                let paths = teller.uses.paths();
                teller.metrics.paths(paths.len());
                if paths.is_empty() {
                    teller.uses.added().await;
                    continue;
                }
                // An application that isn't known yet, as after a start, has its turn in the next round.
                let paths = paths
                    .into_iter()
                    .filter_map(|(path, app)| Some((path, known.project_of(&app)?)))
                    .collect();
                round(&*backend, paths, interval, &teller).await;
            }
        };
        token.run_until_cancelled(rounds).await;
        Ok(())
    }
}

/// Hears the newest version of each path.
trait Listener: Sync {
    fn newest(&self, path: &SecretPath, version: u64) -> impl Future<Output = ()> + Send;
}

/// Asks for each path once, at a moment chosen by chance in its own share of `interval`, and ends with it: neither agents nor rounds
/// fall into step, and no interval sees more requests than there are paths. With each path comes the project that it is asked for.
async fn round<B: Backend>(
    backend: &B,
    paths: Vec<(SecretPath, String)>,
    interval: Duration,
    listener: &impl Listener,
) {
    let began = Instant::now();
    let count = u32::try_from(paths.len().max(1)).unwrap_or(u32::MAX);
    let share = interval / count;
    for (at, (path, project)) in (0..count).zip(paths) {
        let due = share * at + share.mul_f64(rand::random());
        tokio::time::sleep_until(began + due).await;
        match backend.newest_version(&project, &path).await {
            Ok(Some(version)) => listener.newest(&path, version).await,
            Ok(None) => {}
            // Whoever resolves it next is told; here nobody waits for an answer.
            Err(BackendError::NoPath { .. }) => {
                tracing::debug!(%path, "a path in use is gone");
            }
            Err(error) => {
                tracing::warn!(%path, error = %error, "can't look for a newer version");
            }
        }
    }
    tokio::time::sleep_until(began + interval).await;
}

/// Tells people by an event, and the applier by the application's state.
struct Teller {
    bus: Bus,
    cluster: ClusterId,
    uses: Arc<Uses>,
    metrics: Metrics,
}

impl Listener for Teller {
    async fn newest(&self, path: &SecretPath, version: u64) {
        for outdated in self.uses.outdated(path, version) {
            if self.tell(path, version, &outdated).await {
                self.metrics.rotated();
                self.uses.told(&outdated.app, path, version);
            }
        }
    }
}

impl Teller {
    /// Whether the state was written: if not, it is told again.
    async fn tell(&self, path: &SecretPath, newest: u64, outdated: &Outdated) -> bool {
        let Outdated { app, version, used } = outdated;
        let event = Event::new(
            app,
            &self.cluster,
            EventKind::SecretRotated,
            format!("{path} has version {newest}, the application uses {version}"),
        )
        .generation(used.generation)
        .detail("path", path.as_str())
        .detail("version", newest.to_string());
        self.bus.event(&event).await;
        let key = subject::state(crate::SERVICE, Some(&self.cluster), app);
        let state = used.state(app, &self.cluster);
        let written = self.bus.put(Bucket::State, &key, &state).await;
        if let Err(error) = &written {
            tracing::warn!(
                key,
                error = error as &dyn std::error::Error,
                "a rotation was not written down, and will be told again"
            );
        }
        written.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::backend::Document;

    /// Counts what it is asked for.
    #[derive(Default)]
    struct Counted(Mutex<Vec<(SecretPath, Instant)>>);

    impl Backend for Counted {
        async fn read(
            &self,
            _: &str,
            path: &SecretPath,
            _: Option<u64>,
        ) -> Result<Document, BackendError> {
            Err(BackendError::NoPath { path: path.clone() })
        }

        async fn api_path(&self, _: &str, path: &SecretPath) -> Result<SecretPath, BackendError> {
            Ok(path.clone())
        }

        async fn newest_version(
            &self,
            _: &str,
            path: &SecretPath,
        ) -> Result<Option<u64>, BackendError> {
            self.0.lock().unwrap().push((path.clone(), Instant::now()));
            Ok(Some(2))
        }
    }

    /// Counts the applications that use another version.
    struct Heard<'a>(&'a Uses, Mutex<usize>);

    impl Listener for Heard<'_> {
        async fn newest(&self, path: &SecretPath, version: u64) {
            *self.1.lock().unwrap() += self.0.outdated(path, version).len();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_applications_on_two_hundred_paths_cost_two_hundred_requests_per_interval() {
        let uses = Uses::default();
        for number in 0..1_000 {
            let app = bus::AppId::new("argocd", &format!("app-{number}")).unwrap();
            let path = SecretPath::parse(&format!("kv/data/{}", number % 200)).unwrap();
            let first = crate::uses::Use {
                generation: bus::Generation(1),
                paths: [(path, Some(1))].into(),
            };
            uses.given(&app, first);
        }
        let interval = Duration::from_mins(1);
        let (backend, began) = (Counted::default(), Instant::now());
        let heard = Heard(&uses, Mutex::default());
        for _ in 0..2 {
            let paths = uses.paths().into_keys();
            let paths = paths.map(|path| (path, String::new())).collect();
            round(&backend, paths, interval, &heard).await;
        }
        assert_eq!(began.elapsed(), interval * 2);
        assert_eq!(*heard.1.lock().unwrap(), 2_000);
        let asked = backend.0.into_inner().unwrap();
        assert_eq!(asked.len(), 400);
        let paths: std::collections::BTreeSet<_> =
            asked[..200].iter().map(|(path, _)| path.clone()).collect();
        assert_eq!(paths.len(), 200);
        // Spread over the interval, and not at the same moments in each round.
        let moment = |at: usize| asked[at].1 - began;
        assert!(moment(100) > interval / 3 && moment(100) < interval * 2 / 3);
        let alike = (0..200)
            .filter(|&at| moment(at) + interval == moment(at + 200))
            .count();
        assert!(alike < 20, "{alike}");
    }
}
