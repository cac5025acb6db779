//! What a YAML scalar means: the rules of `sigs.k8s.io/yaml` (go-yaml v2, then JSON), which Kubernetes' own tools,
//! Helm and Argo CD go by. They are YAML 1.1 with exceptions, and no YAML 1.2 library has them.

use base64::Engine as _;
use serde_json::{Number, Value};

/// Why a scalar has no value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ScalarError {
    #[error("an infinite number or none (`.inf`, `.nan`) is not one that JSON can hold")]
    NotFinite,
    #[error("a value does not fit its tag: it is no {0}")]
    Tag(&'static str),
    #[error("a mapping's key is {0}; keys must be strings, integers, floats or booleans")]
    Key(&'static str),
}

/// The value of a scalar. `tag` is the part after `tag:yaml.org,2002:`, `plain` whether it is neither quoted nor a block.
pub(crate) fn resolve(text: &str, tag: Option<&str>, plain: bool) -> Result<Value, ScalarError> {
    let wrong = ScalarError::Tag;
    match tag {
        None if plain => untagged(text),
        Some("bool") => untagged(text)
            .ok()
            .filter(Value::is_boolean)
            .ok_or_else(|| wrong("boolean")),
        Some("null") => untagged(text)
            .ok()
            .filter(Value::is_null)
            .ok_or_else(|| wrong("null")),
        Some("int") => untagged(text)
            .ok()
            .filter(|v| v.is_i64() || v.is_u64())
            .ok_or_else(|| wrong("integer")),
        Some("float") => untagged(text)
            .ok()
            .filter(Value::is_number)
            .ok_or_else(|| wrong("float")),
        Some("binary") => {
            let compact: String = text.split_whitespace().collect();
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(compact)
                .map_err(|_| wrong("base64 text"))?;
            Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned()))
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// A scalar as a mapping's key.
pub(crate) fn key(value: Value) -> Result<String, ScalarError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Ok(integer.to_string()),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "go-yaml prints a float key as a 32-bit one"
            )]
            (None, Some(float)) if number.is_f64() => Ok((float as f32).to_string()),
            _ => Err(ScalarError::Key("an integer over 63 bits")),
        },
        Value::Null => Err(ScalarError::Key("null")),
        Value::Array(_) => Err(ScalarError::Key("a sequence")),
        Value::Object(_) => Err(ScalarError::Key("a mapping")),
    }
}

fn untagged(text: &str) -> Result<Value, ScalarError> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Ok(Value::Bool(true));
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Ok(Value::Bool(false));
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => return Err(ScalarError::NotFinite),
        _ => {}
    }
    let number = match text.as_bytes().first() {
        Some(b'.') => text.parse().ok().and_then(float),
        Some(b'0'..=b'9' | b'+' | b'-') => {
            let plain = text.replace('_', "");
            integer(&plain).or_else(|| {
                decimal(&plain)
                    .then(|| plain.parse().ok().and_then(float))
                    .flatten()
            })
        }
        _ => None,
    };
    Ok(number.unwrap_or_else(|| Value::String(text.to_owned())))
}

/// Go's `strconv.ParseInt` and `ParseUint` with base 0: `0x`, `0o`, `0b`, and a leading zero is octal.
fn integer(text: &str) -> Option<Value> {
    let (negative, signed, digits) = match text.as_bytes().first()? {
        b'-' => (true, true, &text[1..]),
        b'+' => (false, true, &text[1..]),
        _ => (false, false, text),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        Some(_) if digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    // Rust's parsers take a sign of their own.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0_i64.checked_sub_unsigned(magnitude).map(Value::from);
    }
    if signed && i64::try_from(magnitude).is_err() {
        return None;
    }
    Some(Value::from(magnitude))
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)),
        ),
        None => (unsigned, None),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    mantissa_fits && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

/// A float as Go's JSON writes it and Kubernetes reads it back: without a fraction it is an integer.
fn float(value: f64) -> Option<Value> {
    const EXACT: f64 = 9_223_372_036_854_774_784.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole and within i64, tested above"
        )]
        return Some(Value::from(value as i64));
    }
    Number::from_f64(value).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plain(text: &str) -> Value {
        resolve(text, None, true).unwrap()
    }

    #[test]
    fn booleans_are_those_of_yaml_1_1() {
        for text in ["y", "Yes", "on", "TRUE"] {
            assert_eq!(plain(text), json!(true), "{text}");
        }
        for text in ["n", "No", "OFF", "false"] {
            assert_eq!(plain(text), json!(false), "{text}");
        }
        for text in ["yEs", "oN", "truE", "yes "] {
            assert!(plain(text).is_string(), "{text}");
        }
    }

    #[test]
    fn a_leading_zero_is_octal_and_what_cannot_be_octal_is_decimal() {
        assert_eq!(plain("0755"), json!(493));
        assert_eq!(plain("0o755"), json!(493));
        assert_eq!(plain("08"), json!(8));
        assert_eq!(plain("0x1F"), json!(31));
        assert_eq!(plain("-0b11"), json!(-3));
        assert_eq!(plain("1_000"), json!(1000));
        assert_eq!(plain("0"), json!(0));
    }

    #[test]
    fn large_numbers_keep_what_go_keeps() {
        assert_eq!(
            plain("9223372036854775807"),
            json!(9_223_372_036_854_775_807_i64)
        );
        assert_eq!(
            plain("18446744073709551615"),
            json!(18_446_744_073_709_551_615_u64)
        );
        assert_eq!(
            plain("18446744073709551616"),
            json!(18_446_744_073_709_551_616.0)
        );
        assert_eq!(plain("-9223372036854775808"), json!(i64::MIN));
    }

    #[test]
    fn floats_without_a_fraction_are_integers() {
        assert_eq!(plain("1.0"), json!(1));
        assert_eq!(plain("1e3"), json!(1000));
        assert_eq!(plain(".5"), json!(0.5));
        assert_eq!(plain("2."), json!(2));
        assert_eq!(plain("1.5"), json!(1.5));
    }

    #[test]
    fn what_only_looks_like_a_number_is_text() {
        for text in [
            "1.2.3",
            "2001-01-01",
            "12h",
            "1e",
            "0x",
            "-",
            "+",
            "1:30",
            "-.",
            "0o",
            "infinity",
            "+-1",
            "0x-1",
        ] {
            assert!(plain(text).is_string(), "{text}");
        }
        assert!(resolve(".inf", None, true).is_err());
    }

    #[test]
    fn quotes_and_tags_decide_before_the_looks() {
        assert_eq!(resolve("yes", None, false).unwrap(), json!("yes"));
        assert_eq!(resolve("12", Some("str"), true).unwrap(), json!("12"));
        assert_eq!(resolve("12", Some("int"), false).unwrap(), json!(12));
        assert_eq!(resolve("aGk=", Some("binary"), true).unwrap(), json!("hi"));
        assert!(resolve("x", Some("int"), true).is_err());
    }

    #[test]
    fn keys_become_text() {
        assert_eq!(key(json!(8080)).unwrap(), "8080");
        assert_eq!(key(json!(true)).unwrap(), "true");
        assert_eq!(key(json!(1.5)).unwrap(), "1.5");
        assert!(key(Value::Null).is_err());
        assert!(key(json!([])).is_err());
    }
}
