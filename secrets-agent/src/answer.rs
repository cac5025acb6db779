//! From allowed references to their values: one read per path and version, however many keys. Where a path is short, its store is
//! asked first which one it means.

use std::collections::{BTreeMap, BTreeSet};

use api::placeholder::PathForm;
use bus::message::secret::{Reference, Refusal, RefusalReason};
use bus::seal::SecretValue;
use futures::StreamExt as _;

use crate::backend::{Backend, BackendError, Document};
use crate::policy::{Allowed, Place, SecretPath};

/// Reads at once.
const CONCURRENT: usize = 16;

/// A path, and what of it.
pub(crate) type Which = (SecretPath, What);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Newest,
    Version(u64),
    /// What the path makes of this.
    Decrypted(String),
}

impl What {
    pub(crate) fn of(reference: &Reference) -> Self {
        match (reference.form, reference.version) {
            (PathForm::Ciphertext, _) => Self::Decrypted(reference.key.clone()),
            (PathForm::Api | PathForm::Short, None) => Self::Newest,
            (PathForm::Api | PathForm::Short, Some(version)) => Self::Version(version),
        }
    }
}

/// One read; what was decrypted is under the text that it was decrypted from.
pub(crate) async fn read<B: Backend>(
    backend: &B,
    project: &str,
    (path, what): Which,
) -> Result<Document, BackendError> {
    match what {
        What::Newest => backend.read(project, &path, None).await,
        What::Version(version) => backend.read(project, &path, Some(version)).await,
        What::Decrypted(ciphertext) => {
            let value = backend.decrypt(project, &path, &ciphertext).await?;
            Ok(Document::new(None, [(ciphertext, value)].into()))
        }
    }
}

/// What was read for one request.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// In the order of the request.
    wanted: Vec<Wanted>,
    documents: BTreeMap<Which, Document>,
    /// Documents as one value, where that was asked for.
    whole: BTreeMap<Which, SecretValue>,
}

/// A reference at the path where it is read.
#[derive(Debug)]
struct Wanted {
    reference: Reference,
    which: Which,
}

impl Resolved {
    /// The value and version of each reference, in the order given; all were found but for some of the optional ones.
    pub(crate) fn values(&self) -> impl Iterator<Item = (Option<&SecretValue>, Option<u64>)> {
        self.wanted.iter().map(|wanted| {
            let document = self.documents.get(&wanted.which);
            (
                self.value(wanted),
                document.and_then(|document| document.version),
            )
        })
    }

    fn value(&self, wanted: &Wanted) -> Option<&SecretValue> {
        if wanted.reference.key.is_empty() {
            return self.whole.get(&wanted.which);
        }
        self.documents
            .get(&wanted.which)?
            .get(&wanted.reference.key)
    }

    /// The paths of which the newest version was read, with that version.
    pub(crate) fn newest(&self) -> BTreeMap<SecretPath, Option<u64>> {
        self.documents
            .iter()
            .filter(|((_, what), _)| *what == What::Newest)
            .map(|((path, _), document)| (path.clone(), document.version))
            .collect()
    }
}

/// Reads what `allowed` names. Either everything is found, or the refusal names each reference that isn't.
pub(crate) async fn resolve<B: Backend>(
    backend: &B,
    project: &str,
    allowed: &[Allowed],
) -> Result<Resolved, Refusal> {
    let wanted = place(backend, project, allowed).await?;
    let which: BTreeSet<Which> = wanted.iter().map(|wanted| wanted.which.clone()).collect();
    let (documents, failed) = each(which, |which| read(backend, project, which)).await;
    let unread = wanted
        .iter()
        .filter(|wanted| failed.contains_key(&wanted.which))
        .map(|wanted| &wanted.reference);
    if let Some(refusal) = refuse_failed(&failed, unread) {
        return Err(refusal);
    }
    let mut resolved = Resolved {
        wanted,
        documents,
        whole: BTreeMap::new(),
    };
    resolved.make_whole()?;
    let missing: Vec<Reference> = resolved
        .wanted
        .iter()
        .filter(|wanted| !wanted.reference.optional && resolved.value(wanted).is_none())
        .map(|wanted| wanted.reference.clone())
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

impl Resolved {
    fn make_whole(&mut self) -> Result<(), Refusal> {
        for wanted in &self.wanted {
            if !wanted.reference.key.is_empty() || self.whole.contains_key(&wanted.which) {
                continue;
            }
            let Some(document) = self.documents.get(&wanted.which) else {
                continue;
            };
            let whole = document.whole().ok_or_else(|| {
                let path = wanted.which.0.clone();
                let why = "one of its values is not text, and all of them were asked for at once";
                let error = BackendError::Unreadable { path, why };
                Refusal::new(
                    error.reason(),
                    error.to_string(),
                    vec![wanted.reference.clone()],
                )
            })?;
            self.whole.insert(wanted.which.clone(), whole);
        }
        Ok(())
    }
}

/// Finds out where each reference is read.
async fn place<B: Backend>(
    backend: &B,
    project: &str,
    allowed: &[Allowed],
) -> Result<Vec<Wanted>, Refusal> {
    let short: BTreeSet<SecretPath> = allowed
        .iter()
        .filter_map(|allowed| match &allowed.place {
            Place::At(_) => None,
            Place::Meant { short, .. } => Some(short.clone()),
        })
        .collect();
    let (meant, failed) = each(short, |path| async move {
        backend.api_path(project, &path).await
    })
    .await;
    let mut wanted = Vec::with_capacity(allowed.len());
    let mut unplaced = Vec::new();
    for Allowed { reference, place } in allowed {
        let path = match place {
            Place::At(path) => path,
            Place::Meant { short, among } => match meant.get(short) {
                None => {
                    unplaced.push(reference);
                    continue;
                }
                Some(path) => allowed_meaning(short, among, path).map_err(|message| {
                    let references = vec![reference.clone()];
                    Refusal::new(RefusalReason::Forbidden, message, references)
                })?,
            },
        };
        wanted.push(Wanted {
            reference: reference.clone(),
            which: (path.clone(), What::of(reference)),
        });
    }
    match refuse_failed(&failed, unplaced.into_iter()) {
        None => Ok(wanted),
        Some(refusal) => Err(refusal),
    }
}

/// The path that a short one means, if it may be read.
pub(crate) fn allowed_meaning<'a>(
    short: &SecretPath,
    among: &[SecretPath],
    path: &'a SecretPath,
) -> Result<&'a SecretPath, String> {
    if among.contains(path) {
        return Ok(path);
    }
    Err(format!(
        "`{short}` is `{path}` in Vault's API, which is not allowed: add a glob that matches it to the AppProject's annotation {} (and to this secrets-agent's --allow-paths)",
        api::annotations::SECRET_PATHS
    ))
}

/// Does `each` of a set, several at once: what came of those that worked, and of those that failed.
pub(crate) async fn each<K, V, F>(
    set: BTreeSet<K>,
    each: impl Fn(K) -> F,
) -> (BTreeMap<K, V>, BTreeMap<K, BackendError>)
where
    K: Ord + Clone,
    F: Future<Output = Result<V, BackendError>>,
{
    let done: Vec<_> = futures::stream::iter(set)
        .map(|which| {
            let doing = each(which.clone());
            async move { (which, doing.await) }
        })
        .buffer_unordered(CONCURRENT)
        .collect()
        .await;
    let (mut worked, mut failed) = (BTreeMap::new(), BTreeMap::new());
    for (which, outcome) in done {
        match outcome {
            Ok(value) => drop(worked.insert(which, value)),
            Err(error) => drop(failed.insert(which, error)),
        }
    }
    (worked, failed)
}

/// A refusal for what failed. One that passes by itself counts before one that doesn't: what can't be read may be there.
fn refuse_failed<'a, K>(
    failed: &BTreeMap<K, BackendError>,
    references: impl Iterator<Item = &'a Reference>,
) -> Option<Refusal> {
    let worst = failed
        .values()
        .find(|error| error.reason().is_passing())
        .or_else(|| failed.values().next())?;
    let message = format!("{worst}{}", more(failed.len()));
    Some(Refusal::new(
        worst.reason(),
        message,
        references.cloned().collect(),
    ))
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
            _: &str,
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

        async fn api_path(&self, _: &str, path: &SecretPath) -> Result<SecretPath, BackendError> {
            let (mount, rest) = path.as_str().split_once('/').unwrap();
            Ok(SecretPath::parse(&format!("{mount}/data/{rest}")).unwrap())
        }

        async fn newest_version(
            &self,
            _: &str,
            _: &SecretPath,
        ) -> Result<Option<u64>, BackendError> {
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
                form: PathForm::Api,
            },
            place: Place::At(SecretPath::parse(path).unwrap()),
        }
    }

    fn short(path: &str, among: &[&str]) -> Allowed {
        let parse = |path: &str| SecretPath::parse(path).unwrap();
        let place = Place::Meant {
            short: parse(path),
            among: among.iter().map(|path| parse(path)).collect(),
        };
        Allowed {
            place,
            ..allowed(path, "", None)
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
        let resolved = resolve(&store, "shop", &asked).await.unwrap();
        assert_eq!(store.reads.load(Ordering::SeqCst), 3);
        let versions: Vec<_> = resolved.values().map(|(_, version)| version).collect();
        assert_eq!(versions, [Some(9), Some(2), Some(9), Some(9)]);
        assert_eq!(resolved.newest().len(), 2);
    }

    #[tokio::test]
    async fn a_short_path_is_read_where_it_means_if_that_is_allowed() {
        let store = Store::default();
        let asked = [short("kv/x", &["kv/data/x"])];
        let resolved = resolve(&store, "shop", &asked).await.unwrap();
        let (value, version) = resolved.values().next().unwrap();
        assert_eq!(value.unwrap().expose(), br#"{"a":"1"}"#);
        assert_eq!(version, Some(9));
        let path = SecretPath::parse("kv/data/x").unwrap();
        assert!(resolved.newest().contains_key(&path));
        let refusal = resolve(&store, "shop", &[short("kv/x", &["kv/x"])])
            .await
            .unwrap_err();
        assert_eq!(refusal.reason, RefusalReason::Forbidden);
        assert!(refusal.message.contains("kv/data/x"), "{}", refusal.message);
        assert_eq!(store.reads.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_missing_path_or_key_is_named_and_nothing_is_given() {
        let asked = [allowed("kv/gone", "a", None), allowed("kv/x", "a", None)];
        let refusal = resolve(&Store::default(), "shop", &asked)
            .await
            .unwrap_err();
        assert_eq!(refusal.reason, RefusalReason::NotFound);
        assert_eq!(refusal.references, [asked[0].reference.clone()]);
        let asked = [allowed("kv/x", "b", None), allowed("kv/x", "c", None)];
        let refusal = resolve(&Store::default(), "shop", &asked)
            .await
            .unwrap_err();
        assert_eq!(refusal.message, "path `kv/x` has no key `b` (and 1 more)");
        assert_eq!(refusal.references.len(), 2);
    }

    #[tokio::test]
    async fn what_passes_by_itself_counts_before_what_does_not() {
        let asked = [
            allowed("kv/gone", "a", None),
            allowed("kv/sealed", "a", None),
        ];
        let refusal = resolve(&Store::default(), "shop", &asked)
            .await
            .unwrap_err();
        assert_eq!(refusal.reason, RefusalReason::Unavailable);
        assert!(refusal.message.contains("sealed"), "{}", refusal.message);
    }

    #[tokio::test]
    async fn a_question_without_references_reads_nothing() {
        let store = Store::default();
        assert!(resolve(&store, "shop", &[]).await.is_ok());
        assert_eq!(store.reads.load(Ordering::SeqCst), 0);
    }
}
