//! From allowed references to their values: one read per path and version, however many keys.

use std::collections::BTreeMap;

use bus::message::secret::{Reference, Refusal, RefusalReason};
use bus::seal::SecretValue;
use futures::StreamExt as _;

use crate::backend::{Backend, BackendError, Document};
use crate::policy::{Allowed, SecretPath};

/// Reads at once.
const CONCURRENT: usize = 16;

/// What was read for one request.
#[derive(Debug)]
pub(crate) struct Resolved {
    documents: BTreeMap<(SecretPath, Option<u64>), Document>,
}

impl Resolved {
    /// The value and version of each reference, in the order given; all were found but for some of the optional ones.
    pub(crate) fn values<'a>(
        &'a self,
        allowed: &'a [Allowed],
    ) -> impl Iterator<Item = (Option<&'a SecretValue>, Option<u64>)> {
        allowed.iter().map(|allowed| {
            let document = self.document(allowed);
            let value = document.and_then(|document| document.get(&allowed.reference.key));
            (value, document.and_then(|document| document.version))
        })
    }

    /// The paths of which the newest version was read, with that version.
    pub(crate) fn newest(&self) -> BTreeMap<SecretPath, Option<u64>> {
        self.documents
            .iter()
            .filter(|((_, pinned), _)| pinned.is_none())
            .map(|((path, _), document)| (path.clone(), document.version))
            .collect()
    }

    fn document(&self, allowed: &Allowed) -> Option<&Document> {
        self.documents
            .get(&(allowed.path.clone(), allowed.reference.version))
    }
}

/// Reads what `allowed` names. Either everything is found, or the refusal names each reference that isn't.
pub(crate) async fn resolve<B: Backend>(
    backend: &B,
    allowed: &[Allowed],
) -> Result<Resolved, Refusal> {
    let mut wanted: Vec<(SecretPath, Option<u64>)> = allowed
        .iter()
        .map(|allowed| (allowed.path.clone(), allowed.reference.version))
        .collect();
    wanted.sort();
    wanted.dedup();
    let reads: Vec<_> = futures::stream::iter(wanted)
        .map(|(path, version)| async move {
            let read = backend.read(&path, version).await;
            ((path, version), read)
        })
        .buffer_unordered(CONCURRENT)
        .collect()
        .await;
    let mut resolved = Resolved {
        documents: BTreeMap::new(),
    };
    let mut failed = BTreeMap::new();
    for (which, read) in reads {
        match read {
            Ok(document) => {
                resolved.documents.insert(which, document);
            }
            Err(error) => {
                failed.insert(which, error);
            }
        }
    }
    if let Some(refusal) = refuse_failed(&failed, allowed) {
        return Err(refusal);
    }
    let missing: Vec<Reference> = allowed
        .iter()
        .filter(|allowed| {
            let document = resolved.document(allowed);
            !allowed.reference.optional
                && document.is_none_or(|document| document.get(&allowed.reference.key).is_none())
        })
        .map(|allowed| allowed.reference.clone())
        .collect();
    match missing.first() {
        None => Ok(resolved),
        Some(first) => {
            let message = format!(
                "path `{}` has no key `{}`{}",
                first.path,
                first.key.escape_debug(),
                more(missing.len())
            );
            Err(Refusal::new(RefusalReason::NotFound, message, missing))
        }
    }
}

/// A refusal for reads that failed. One that passes by itself counts before one that doesn't: what can't be read may be there.
fn refuse_failed(
    failed: &BTreeMap<(SecretPath, Option<u64>), BackendError>,
    allowed: &[Allowed],
) -> Option<Refusal> {
    let worst = failed
        .values()
        .find(|error| error.reason().is_passing())
        .or_else(|| failed.values().next())?;
    let references: Vec<Reference> = allowed
        .iter()
        .filter(|allowed| failed.contains_key(&(allowed.path.clone(), allowed.reference.version)))
        .map(|allowed| allowed.reference.clone())
        .collect();
    let message = format!("{worst}{}", more(failed.len()));
    Some(Refusal::new(worst.reason(), message, references))
}

fn more(count: usize) -> String {
    if count > 1 {
        format!(" (and {} more)", count - 1)
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Holds key `a` with value `1` at every path, but for what its name says.
    #[derive(Default)]
    struct Store {
        reads: AtomicUsize,
    }

    impl Backend for Store {
        async fn read(
            &self,
            path: &SecretPath,
            version: Option<u64>,
        ) -> Result<Document, BackendError> {
            self.reads.fetch_add(1, Ordering::SeqCst);
            match path.as_str() {
                "kv/gone" => Err(BackendError::NoPath { path: path.clone() }),
                "kv/sealed" => Err(BackendError::Sealed),
                _ => {
                    let value = SecretValue::new(b"1".to_vec());
                    Ok(Document::new(
                        version.or(Some(9)),
                        [("a".to_owned(), value)].into(),
                    ))
                }
            }
        }

        async fn newest_version(&self, _: &SecretPath) -> Result<Option<u64>, BackendError> {
            Ok(Some(9))
        }
    }

    fn allowed(path: &str, key: &str, version: Option<u64>) -> Allowed {
        Allowed {
            reference: Reference {
                path: path.to_owned(),
                key: key.to_owned(),
                version,
                optional: false,
            },
            path: SecretPath::parse(path).unwrap(),
        }
    }

    #[tokio::test]
    async fn each_path_and_version_is_read_once_however_many_keys() {
        let store = Store::default();
        let asked = [
            allowed("kv/x", "a", None),
            allowed("kv/x", "a", Some(2)),
            allowed("kv/x", "a", None),
            allowed("kv/y", "a", None),
        ];
        let resolved = resolve(&store, &asked).await.unwrap();
        assert_eq!(store.reads.load(Ordering::SeqCst), 3);
        let versions: Vec<_> = resolved
            .values(&asked)
            .map(|(_, version)| version)
            .collect();
        assert_eq!(versions, [Some(9), Some(2), Some(9), Some(9)]);
        assert_eq!(resolved.newest().len(), 2);
    }

    #[tokio::test]
    async fn a_missing_path_or_key_is_named_and_nothing_is_given() {
        let asked = [allowed("kv/gone", "a", None), allowed("kv/x", "a", None)];
        let refusal = resolve(&Store::default(), &asked).await.unwrap_err();
        assert_eq!(refusal.reason, RefusalReason::NotFound);
        assert_eq!(refusal.references, [asked[0].reference.clone()]);
        let asked = [allowed("kv/x", "b", None), allowed("kv/x", "c", None)];
        let refusal = resolve(&Store::default(), &asked).await.unwrap_err();
        assert_eq!(refusal.message, "path `kv/x` has no key `b` (and 1 more)");
        assert_eq!(refusal.references.len(), 2);
    }

    #[tokio::test]
    async fn what_passes_by_itself_counts_before_what_does_not() {
        let asked = [
            allowed("kv/gone", "a", None),
            allowed("kv/sealed", "a", None),
        ];
        let refusal = resolve(&Store::default(), &asked).await.unwrap_err();
        assert_eq!(refusal.reason, RefusalReason::Unavailable);
        assert!(refusal.message.contains("sealed"), "{}", refusal.message);
    }

    #[tokio::test]
    async fn a_question_without_references_reads_nothing() {
        let store = Store::default();
        assert!(resolve(&store, &[]).await.is_ok());
        assert_eq!(store.reads.load(Ordering::SeqCst), 0);
    }
}
