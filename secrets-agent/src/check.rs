//! What is at each reference of a question, told without a value: what a person asks who wants to know why a release doesn't go on.

use std::collections::{BTreeMap, BTreeSet};

use bus::message::secret::{Found, Reference, RefusalReason};

use crate::answer::{What, Which, allowed_meaning, each, read};
use crate::backend::{Backend, BackendError, Document};
use crate::policy::{Allowed, Place, SecretPath};

/// Reads what may be read of `judged`, in its order, and drops the values at once.
pub(crate) async fn check<B: Backend>(
    backend: &B,
    project: &str,
    judged: Vec<Result<Allowed, String>>,
) -> Vec<Found> {
    let short: BTreeSet<SecretPath> = judged
        .iter()
        .flatten()
        .filter_map(|allowed| match &allowed.place {
            Place::At(_) => None,
            Place::Meant { short, .. } => Some(short.clone()),
        })
        .collect();
    let meant = each(short, |path| async move {
        backend.api_path(project, &path).await
    })
    .await;
    let placed: Vec<Result<(Reference, Which), Found>> = judged
        .into_iter()
        .map(|judged| {
            let Allowed { reference, place } =
                judged.map_err(|message| Found::Forbidden { message })?;
            let path = at(place, &meant)?;
            let which = (path, What::of(&reference));
            Ok((reference, which))
        })
        .collect();
    let which: BTreeSet<Which> = placed
        .iter()
        .flatten()
        .map(|(_, which)| which.clone())
        .collect();
    let (documents, failed) = each(which, |which| read(backend, project, which)).await;
    placed
        .into_iter()
        .map(|placed| {
            let (reference, which) = match placed {
                Ok(placed) => placed,
                Err(found) => return found,
            };
            match (documents.get(&which), failed.get(&which)) {
                (Some(document), _) => held(&reference, document),
                (None, Some(error)) => not_read(error),
                (None, None) => Found::Unknown {
                    message: format!("path `{}` was not read", which.0),
                },
            }
        })
        .collect()
}

/// What was found out of short paths.
type Meant = (
    BTreeMap<SecretPath, SecretPath>,
    BTreeMap<SecretPath, BackendError>,
);

fn at(place: Place, (meant, failed): &Meant) -> Result<SecretPath, Found> {
    match place {
        Place::At(path) => Ok(path),
        Place::Meant { short, among } => match (meant.get(&short), failed.get(&short)) {
            (Some(path), _) => allowed_meaning(&short, &among, path)
                .cloned()
                .map_err(|message| Found::Forbidden { message }),
            (None, Some(error)) => Err(not_read(error)),
            (None, None) => Err(Found::Unknown {
                message: format!("path `{short}` was not looked up"),
            }),
        },
    }
}

fn held(reference: &Reference, document: &Document) -> Found {
    let (is_there, message) = if reference.key.is_empty() {
        let whole = document.whole().is_some();
        let message = format!(
            "path `{}` has a value that is not text, and all of them are asked for at once",
            reference.path
        );
        (whole, message)
    } else {
        let message = format!(
            "path `{}` has no key `{}`",
            reference.path,
            reference.key.escape_debug()
        );
        (document.get(&reference.key).is_some(), message)
    };
    if is_there {
        Found::Present {
            version: document.version,
        }
    } else {
        Found::Missing { message }
    }
}

fn not_read(error: &BackendError) -> Found {
    let message = error.to_string();
    match error.reason() {
        RefusalReason::NotFound => Found::Missing { message },
        RefusalReason::Forbidden => Found::Forbidden { message },
        RefusalReason::Malformed
        | RefusalReason::Signature
        | RefusalReason::Replayed
        | RefusalReason::NotDesired
        | RefusalReason::Unavailable => Found::Unknown { message },
    }
}

#[cfg(test)]
mod tests {
    use api::placeholder::PathForm;
    use bus::seal::SecretValue;

    use super::*;

    /// Holds key `a` at every path of `kv`, but for what its name says; short paths mean `kv/data/…`.
    struct Store;

    impl Backend for Store {
        async fn read(
            &self,
            _: &str,
            path: &SecretPath,
            _: Option<u64>,
        ) -> Result<Document, BackendError> {
            match path.as_str() {
                "kv/data/gone" => Err(BackendError::NoPath { path: path.clone() }),
                "kv/data/sealed" => Err(BackendError::Sealed),
                _ => {
                    let value = SecretValue::new(b"canary-value".to_vec());
                    Ok(Document::new(Some(9), [("a".to_owned(), value)].into()))
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

    fn parse(path: &str) -> SecretPath {
        SecretPath::parse(path).unwrap()
    }

    fn allowed(path: &str, key: &str, place: Place) -> Allowed {
        Allowed {
            reference: Reference {
                path: path.to_owned(),
                key: key.to_owned(),
                version: None,
                optional: false,
                form: PathForm::Api,
            },
            place,
        }
    }

    fn at(path: &str, key: &str) -> Allowed {
        allowed(path, key, Place::At(parse(path)))
    }

    fn short(path: &str, among: &[&str]) -> Allowed {
        let place = Place::Meant {
            short: parse(path),
            among: among.iter().map(|path| parse(path)).collect(),
        };
        allowed(path, "", place)
    }

    #[tokio::test]
    async fn each_reference_is_told_by_itself_and_no_value_is() {
        let found = check(
            &Store,
            "shop",
            vec![
                Ok(at("kv/data/x", "a")),
                Ok(at("kv/data/x", "b")),
                Ok(at("kv/data/gone", "a")),
                Ok(at("kv/data/sealed", "a")),
                Err("not this one".to_owned()),
                Ok(short("kv/x", &["kv/data/x"])),
                Ok(short("kv/y", &["kv/y"])),
            ],
        )
        .await;
        let states: Vec<&str> = found
            .iter()
            .map(|found| match found {
                Found::Present { version: Some(9) } => "present",
                Found::Present { .. } => "of another version",
                Found::Missing { .. } => "missing",
                Found::Forbidden { .. } => "forbidden",
                Found::Unknown { .. } => "unknown",
            })
            .collect();
        assert_eq!(
            states,
            [
                "present",
                "missing",
                "missing",
                "unknown",
                "forbidden",
                "present",
                "forbidden"
            ]
        );
        assert!(!format!("{found:?}").contains("canary"));
    }
}
