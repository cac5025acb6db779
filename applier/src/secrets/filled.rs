//! The data of a Secret that stands in the place of a `VaultSecret`: whole paths, or keys of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use api::vault_secret::{Content, VaultSecret};
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::value::{Resolved, SecretText};

/// What is wrong with what was found; never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FilledError {
    #[error("{0} was not resolved")]
    Unresolved(String),
    #[error("{0} has none of the keys that the VaultSecret names, or none at all")]
    Empty(String),
    #[error(
        "key {key:?} of {path} can't be one of a Secret: those are letters, digits, '-', '_' and '.'"
    )]
    Name { path: String, key: String },
    #[error("key {key:?} of {path} isn't base64, which the VaultSecret's isBinary says")]
    NotBase64 { path: String, key: String },
    #[error("the values of {0} can't be read")]
    Unreadable(String),
}

/// By key, as base64.
pub(super) type Data = BTreeMap<String, Zeroizing<String>>;

/// The data, of the values that were resolved for its references.
pub(super) fn data(source: &VaultSecret, resolved: &Resolved) -> Result<Data, FilledError> {
    let mut data = Data::new();
    for path in &source.paths {
        let mut empty = true;
        for reference in source.references(path) {
            let value = resolved
                .get(&reference)
                .ok_or_else(|| FilledError::Unresolved(reference.to_string()))?;
            let Some(value) = value else { continue };
            let found = if reference.key.is_empty() {
                all(path, value)?
            } else {
                [(reference.key, value.clone())].into()
            };
            for (key, value) in found {
                empty = false;
                let encoded = encoded(path, &key, &value, source.content)?;
                // The first path that has a key counts.
                data.entry(key).or_insert(encoded);
            }
        }
        if empty {
            return Err(FilledError::Empty(path.clone()));
        }
    }
    Ok(data)
}

fn all(path: &str, value: &SecretText) -> Result<BTreeMap<String, SecretText>, FilledError> {
    let unreadable = || FilledError::Unreadable(path.to_owned());
    let raw: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(value.characters()).map_err(|_| unreadable())?;
    raw.into_iter()
        .map(|(key, value)| {
            let value = SecretText::of_json(value.get()).ok_or_else(unreadable)?;
            Ok((key.into_owned(), value))
        })
        .collect()
}

fn encoded(
    path: &str,
    key: &str,
    value: &SecretText,
    content: Content,
) -> Result<Zeroizing<String>, FilledError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if key.len() > 253 || !key.bytes().all(is_allowed) {
        return Err(FilledError::Name {
            path: path.to_owned(),
            key: key.chars().take(253).collect(),
        });
    }
    let text = value.characters().as_bytes();
    match (content, value) {
        (Content::Base64, SecretText::Text(text)) => {
            let lines = Zeroizing::new(text.replace(['\r', '\n'], ""));
            let bytes = AS_GO
                .decode(lines.as_bytes())
                .map(Zeroizing::new)
                .map_err(|_| FilledError::NotBase64 {
                    path: path.to_owned(),
                    key: key.to_owned(),
                })?;
            Ok(Zeroizing::new(STANDARD.encode(&bytes)))
        }
        _ => Ok(Zeroizing::new(STANDARD.encode(text))),
    }
}

/// As Go reads base64, which the operator is written in: trailing bits may be set.
const AS_GO: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn source(spec: &Value) -> VaultSecret {
        let object =
            json!({"apiVersion": "ricoberger.de/v1alpha1", "kind": "VaultSecret", "spec": spec});
        VaultSecret::take(object).unwrap().1
    }

    /// With what each reference of the source has, none where it lacks it.
    fn filled(
        source: &VaultSecret,
        values: &[(&str, Option<&str>)],
    ) -> Result<Vec<(String, String)>, FilledError> {
        let references = source.paths.iter().flat_map(|path| source.references(path));
        let resolved: Resolved = references
            .filter_map(|reference| {
                let name = reference.to_string();
                let (_, value) = values.iter().find(|(known, _)| *known == name)?;
                let value = value.map(|json| SecretText::of_json(json).unwrap());
                Some((reference, value))
            })
            .collect();
        let data = data(source, &resolved)?;
        Ok(data
            .iter()
            .map(|(key, value)| {
                let bytes = STANDARD.decode(value.as_bytes()).unwrap();
                (key.clone(), String::from_utf8_lossy(&bytes).into_owned())
            })
            .collect())
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn all_keys_of_a_path_are_there_whatever_their_types() {
        let found = filled(
            &source(&json!({"path": "kv/a"})),
            &[(
                "kv/a#*",
                Some(r#"{"text":"one\ntwo","count":7,"on":true,"doc":{"x":[1]}}"#),
            )],
        );
        assert_eq!(
            found.unwrap(),
            owned(&[
                ("count", "7"),
                ("doc", r#"{"x":[1]}"#),
                ("on", "true"),
                ("text", "one\ntwo"),
            ])
        );
    }

    #[test]
    fn named_keys_are_there_as_far_as_the_path_has_them() {
        let source = source(&json!({"path": "kv/a", "keys": ["x", "y"]}));
        let found = filled(&source, &[("kv/a#x", Some(r#""1""#)), ("kv/a#y", None)]);
        assert_eq!(found.unwrap(), owned(&[("x", "1")]));
        let none = filled(&source, &[("kv/a#x", None), ("kv/a#y", None)]);
        assert_eq!(none, Err(FilledError::Empty("kv/a".to_owned())));
        let unresolved = filled(&source, &[("kv/a#x", None)]);
        assert_eq!(
            unresolved,
            Err(FilledError::Unresolved("kv/a#y".to_owned()))
        );
    }

    #[test]
    fn of_several_paths_the_first_that_has_a_key_counts() {
        let found = filled(
            &source(&json!({"path": "kv/a", "paths": ["kv/b"]})),
            &[
                ("kv/a#*", Some(r#"{"x":"of a"}"#)),
                ("kv/b#*", Some(r#"{"x":"of b","y":"of b"}"#)),
            ],
        );
        assert_eq!(found.unwrap(), owned(&[("x", "of a"), ("y", "of b")]));
    }

    #[test]
    fn binary_data_is_not_encoded_twice() {
        let source = source(&json!({"path": "kv/a", "isBinary": true}));
        let found = filled(&source, &[("kv/a#*", Some(r#"{"a":"YmFy\nCg==","n":5}"#))]);
        assert_eq!(found.unwrap(), owned(&[("a", "bar\n"), ("n", "5")]));
        let canary = "not base64 of canary!";
        let json = json!({"a": canary}).to_string();
        let refused = filled(&source, &[("kv/a#*", Some(json.as_str()))]).unwrap_err();
        assert!(matches!(&refused, FilledError::NotBase64 { .. }));
        assert!(!refused.to_string().contains("canary"));
    }

    #[test]
    fn a_key_that_no_secret_may_have_is_named() {
        let found = filled(
            &source(&json!({"path": "kv/a"})),
            &[("kv/a#*", Some(r#"{"a b":"1"}"#))],
        );
        assert!(found.unwrap_err().to_string().contains("\"a b\""));
        let empty = filled(&source(&json!({"path": "kv/a"})), &[("kv/a#*", Some("{}"))]);
        assert_eq!(empty, Err(FilledError::Empty("kv/a".to_owned())));
    }
}
