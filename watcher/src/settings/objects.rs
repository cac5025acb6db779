//! What `argocd-cm` says about objects, brought to the appliers of all clusters by bucket `settings`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bus::message::settings::Settings;
use bus::subject::Bucket;
use bus::{Bus, Update};
use lease::Lead;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The keys that appliers use, as the ConfigMap has them now; none before it was read.
pub type Said = Option<Arc<BTreeMap<String, String>>>;

/// How soon what couldn't be written is written again.
const RETRY: Duration = Duration::from_secs(2);

/// Makes the bucket say what the ConfigMap says, also when a broker lost it.
pub async fn publish(
    bus: Bus,
    lead: Lead,
    mut said: watch::Receiver<Said>,
    token: CancellationToken,
) -> Result<(), Infallible> {
    let mut bucket = bus.watch_bucket::<Settings>(Bucket::Settings, ">");
    let mut there: Option<Settings> = None;
    let mut ready = false;
    let mut failed = false;
    let mut begun = false;
    loop {
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            () = lead.begun(), if !begun => begun = true,
            update = bucket.next() => match update {
                Update::Put(stored) => {
                    there = Some(stored.value);
                    // A watcher that led before may have written after us.
                    if !ready {
                        continue;
                    }
                }
                Update::Deleted { .. } => there = None,
                Update::Ready if ready => there = None,
                Update::Ready => ready = true,
                Update::Unreadable { error, .. } => {
                    tracing::warn!(error, "the settings on the bus can't be read; writing them again");
                    there = None;
                }
            },
            changed = said.changed() => if changed.is_err() {
                // Who read the ConfigMap ends with the process.
                token.cancelled().await;
                return Ok(());
            },
            () = tokio::time::sleep(RETRY), if failed => {}
        }
        let Some(data) = said.borrow().clone().filter(|_| begun && ready) else {
            continue;
        };
        let wanted = wanted(&data, there.as_ref());
        failed = false;
        if there.as_ref() == Some(&wanted) {
            continue;
        }
        if let Some(why) = &wanted.outdated {
            tracing::warn!(why, "what argocd-cm says about objects has no effect");
        }
        if !lead.holds() {
            failed = true;
            continue;
        }
        match bus.put(Bucket::Settings, Settings::KEY, &wanted).await {
            Ok(_) => there = Some(wanted),
            Err(error) => {
                failed = true;
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "publishing the settings; trying again"
                );
            }
        }
    }
}

/// What is to be on the bus: too much is not carried, and what was said before still holds.
fn wanted(data: &BTreeMap<String, String>, there: Option<&Settings>) -> Settings {
    let size = Settings::size(data);
    if size <= Settings::MAX_BYTES {
        return Settings {
            data: data.clone(),
            outdated: None,
        };
    }
    Settings {
        data: there.map(|it| it.data.clone()).unwrap_or_default(),
        outdated: Some(format!(
            "the keys resource.customizations* of argocd-cm have {size} bytes, more than {}: what they said before still holds; take out \
             what isn't needed",
            Settings::MAX_BYTES
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> BTreeMap<String, String> {
        [("resource.customizations".to_owned(), text.to_owned())].into()
    }

    #[test]
    fn what_is_too_much_leaves_what_was_said_before() {
        let before = wanted(&data("a"), None);
        assert_eq!(before.outdated, None);
        let large = data(&"x".repeat(Settings::MAX_BYTES));
        let after = wanted(&large, Some(&before));
        assert_eq!(after.data, before.data);
        assert!(after.outdated.as_ref().unwrap().contains("bytes"));
        assert_eq!(wanted(&large, Some(&after)), after);
        assert_eq!(wanted(&data("b"), Some(&after)).outdated, None);
    }
}
