//! What `| modifier` does to a value, as argocd-vault-plugin does it.

use api::placeholder::Modifier;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::cleared::Cleared;
use super::json_path::{self, PathError};
use super::value::SecretText;

/// The largest value that a modifier makes.
const MAX_RESULT: usize = 2 << 20;

/// What is wrong with a value or a modifier; never quotes the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ModifierError {
    #[error("{0} is for a text, a number or a boolean, and the value is an object or a list")]
    Composed(&'static str),
    #[error("the value is not base64 of a text, as base64decode wants")]
    NotBase64,
    #[error("the value is not JSON, as {0} wants")]
    NotJson(&'static str),
    #[error("the value is not YAML, as yamlParse wants")]
    NotYaml,
    #[error("jsonPath: {0}")]
    Path(#[from] PathError),
    #[error("its result is larger than {MAX_RESULT} bytes")]
    TooLarge,
}

pub(super) fn apply(modifier: &Modifier, value: &SecretText) -> Result<SecretText, ModifierError> {
    let result = match modifier {
        Modifier::Base64Encode => {
            SecretText::text(STANDARD.encode(scalar(value, "base64encode")?.as_bytes()))
        }
        Modifier::Base64Decode => decoded(scalar(value, "base64decode")?)?,
        Modifier::Sha256Sum => SecretText::text(hex::encode(Sha256::digest(
            scalar(value, "sha256sum")?.as_bytes(),
        ))),
        Modifier::Indent(width) => indented(scalar(value, "indent")?, usize::from(*width))
            .ok_or(ModifierError::TooLarge)?,
        Modifier::JsonParse => {
            let json = scalar(value, "jsonParse")?;
            let raw: &RawValue =
                serde_json::from_str(json).map_err(|_| ModifierError::NotJson("jsonParse"))?;
            SecretText::of_json(raw.get()).ok_or(ModifierError::NotJson("jsonParse"))?
        }
        Modifier::YamlParse => yaml(scalar(value, "yamlParse")?)?,
        Modifier::JsonPath(expression) => {
            let root: &RawValue = serde_json::from_str(value.characters())
                .map_err(|_| ModifierError::NotJson("jsonPath"))?;
            SecretText::Text(json_path::evaluate(expression, root)?)
        }
    };
    if result.characters().len() > MAX_RESULT {
        return Err(ModifierError::TooLarge);
    }
    Ok(result)
}

/// argocd-vault-plugin refuses a number here; its text is what is meant.
fn scalar<'a>(
    value: &'a SecretText,
    modifier: &'static str,
) -> Result<&'a Zeroizing<String>, ModifierError> {
    if value.is_composed() {
        Err(ModifierError::Composed(modifier))
    } else {
        Ok(value.characters())
    }
}

fn decoded(text: &str) -> Result<SecretText, ModifierError> {
    let bytes = STANDARD
        .decode(text.trim())
        .map(Zeroizing::new)
        .map_err(|_| ModifierError::NotBase64)?;
    std::str::from_utf8(&bytes)
        .map(SecretText::text)
        .map_err(|_| ModifierError::NotBase64)
}

/// Every line but the first is moved in, after the white space around it was taken away; an empty line is left out.
fn indented(text: &str, width: usize) -> Option<SecretText> {
    let lines: Vec<&str> = text.split('\n').collect();
    let size = lines.iter().try_fold(0_usize, |size, line| {
        size.checked_add(line.len() + width + 1)
            .filter(|size| *size <= MAX_RESULT)
    })?;
    let mut out = Zeroizing::new(String::with_capacity(size));
    for (at, line) in lines.iter().enumerate() {
        if at > 0 && line.is_empty() {
            continue;
        }
        if at > 0 {
            out.extend(std::iter::repeat_n(' ', width));
        }
        out.push_str(line.trim());
        if at + 1 < lines.len() {
            out.push('\n');
        }
    }
    Some(SecretText::Text(out))
}

/// The parser's own buffers aren't cleared, those of what it gave are.
fn yaml(text: &str) -> Result<SecretText, ModifierError> {
    let value = Cleared::new(serde_saphyr::from_str(text).map_err(|_| ModifierError::NotYaml)?);
    if let Some(text) = value.as_str() {
        return Ok(SecretText::text(text));
    }
    let json = value.write().map_err(|_| ModifierError::NotYaml)?;
    std::str::from_utf8(&json)
        .ok()
        .and_then(SecretText::of_json)
        .ok_or(ModifierError::NotYaml)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(modifiers: &[Modifier], value: &str) -> Result<String, ModifierError> {
        chain(modifiers, SecretText::text(value)).map(|value| value.characters().to_string())
    }

    fn chain(modifiers: &[Modifier], value: SecretText) -> Result<SecretText, ModifierError> {
        modifiers
            .iter()
            .try_fold(value, |value, modifier| apply(modifier, &value))
    }

    #[test]
    fn base64_and_digests_are_of_the_characters() {
        assert_eq!(
            text(&[Modifier::Base64Encode], "hunter2").unwrap(),
            "aHVudGVyMg=="
        );
        assert_eq!(
            text(&[Modifier::Base64Decode], "aHVudGVyMg==\n").unwrap(),
            "hunter2"
        );
        assert_eq!(
            text(&[Modifier::Base64Decode], "not base64!"),
            Err(ModifierError::NotBase64)
        );
        assert_eq!(
            text(&[Modifier::Base64Decode], "/w=="),
            Err(ModifierError::NotBase64)
        );
        assert_eq!(
            text(&[Modifier::Sha256Sum], "").unwrap(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn lines_are_moved_in_as_the_plugin_does_it() {
        let indent = |value| text(&[Modifier::Indent(2)], value).unwrap();
        assert_eq!(indent("a"), "a");
        assert_eq!(
            indent("-----BEGIN\nx\n-----END\n"),
            "-----BEGIN\n  x\n  -----END\n"
        );
        assert_eq!(indent(" a: \n   b: 1\n\nc"), "a:\n  b: 1\n  c");
    }

    #[test]
    fn parsed_values_keep_their_type() {
        let json = |modifier: Modifier, value| chain(&[modifier], SecretText::text(value));
        for (value, expected) in [
            ("3", "3"),
            ("true", "true"),
            (r#"{"a":[1,null]}"#, r#"{"a":[1,null]}"#),
        ] {
            let parsed = json(Modifier::JsonParse, value).ok().unwrap();
            assert!(
                matches!(&parsed, SecretText::Json(json) if **json == expected),
                "{value}"
            );
        }
        assert!(
            matches!(json(Modifier::JsonParse, r#""a\nb""#).ok().unwrap(), SecretText::Text(text) if *text == "a\nb")
        );
        assert!(matches!(
            json(Modifier::JsonParse, "{"),
            Err(ModifierError::NotJson(_))
        ));
        let parsed = json(Modifier::YamlParse, "a:\n  b: x\nn: 4\n")
            .ok()
            .unwrap();
        assert_eq!(**parsed.characters(), r#"{"a":{"b":"x"},"n":4}"#);
        assert!(matches!(
            json(Modifier::YamlParse, "a: [\n"),
            Err(ModifierError::NotYaml)
        ));
    }

    #[test]
    fn one_modifier_takes_what_the_other_gave() {
        let path = Modifier::JsonPath("{.b}{':'}{.n}".into());
        assert_eq!(
            text(
                &[Modifier::YamlParse, path.clone(), Modifier::Base64Encode],
                "b: x\nn: 4"
            )
            .unwrap(),
            "eDo0"
        );
        assert_eq!(text(&[path], r#"{"b":"x","n":4}"#).unwrap(), "x:4");
        let number = Modifier::JsonPath("{.n}".into());
        let parsed = chain(
            &[number, Modifier::JsonParse],
            SecretText::text(r#"{"n":4}"#),
        );
        assert!(matches!(parsed.ok().unwrap(), SecretText::Json(json) if *json == "4"));
    }

    #[test]
    fn an_object_is_no_text_and_a_number_is_its_digits() {
        let object = SecretText::of_json(r#"{"a":1}"#).unwrap();
        assert_eq!(
            apply(&Modifier::Base64Encode, &object).err(),
            Some(ModifierError::Composed("base64encode"))
        );
        let number = SecretText::of_json("42").unwrap();
        assert_eq!(
            **apply(&Modifier::Base64Encode, &number)
                .ok()
                .unwrap()
                .characters(),
            "NDI="
        );
    }

    proptest! {
        #[test]
        fn no_value_makes_a_modifier_panic(value in ".{0,60}", width in any::<u8>(), expression in "[{}.a\\[\\]0-9:'\"*@?()= -]{0,20}") {
            for modifier in [
                Modifier::Base64Encode, Modifier::Base64Decode, Modifier::Sha256Sum, Modifier::Indent(width),
                Modifier::JsonParse, Modifier::YamlParse, Modifier::JsonPath(expression),
            ] {
                let _ = apply(&modifier, &SecretText::text(value.as_str()));
            }
        }

        #[test]
        fn what_is_encoded_comes_back(value in ".{0,60}") {
            prop_assert_eq!(text(&[Modifier::Base64Encode, Modifier::Base64Decode], &value).unwrap(), value);
        }
    }
}
