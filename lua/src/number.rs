//! Numbers as texts, both ways.

/// A number as Lua writes it: decimal with an optional exponent, or hexadecimal digits after `0x`. Space around it counts for nothing.
pub(crate) fn parse(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text)
        .ok()?
        .trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    let hexadecimal = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    if let Some(digits) = hexadecimal {
        return whole(digits, 16).map(|number| sign * number);
    }
    // What Rust reads beyond that (`inf`, `nan`, a second sign) is no number of Lua's.
    let starts = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let plain = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !starts || !plain {
        return None;
    }
    digits.parse::<f64>().ok().map(|number| sign * number)
}

/// Digits of a base between 2 and 36.
pub(crate) fn whole(digits: &str, base: u32) -> Option<f64> {
    if digits.is_empty() {
        return None;
    }
    let mut number = 0.0;
    for digit in digits.chars() {
        number = number * f64::from(base) + f64::from(digit.to_digit(base)?);
    }
    Some(number)
}

/// As `tostring` shows it: a whole number without a point, others with as few digits as tell them apart.
pub(crate) fn show(number: f64) -> String {
    if let Some(whole) = as_integer(number) {
        return whole.to_string();
    }
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = number.abs();
    if (1e-4..1e21).contains(&size) {
        return number.to_string();
    }
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(rest) => ('-', rest),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

/// The number if it is whole and fits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "whether the cast is exact is what is asked"
)]
pub(crate) fn as_integer(number: f64) -> Option<i64> {
    let whole = number as i64;
    (whole as f64 == number && whole != i64::MAX).then_some(whole)
}

/// The whole part; what is too large or no number becomes the nearest one.
#[expect(clippy::cast_possible_truncation, reason = "such casts are saturating")]
pub(crate) fn truncated(number: f64) -> i64 {
    number as i64
}

/// As Lua counts.
#[expect(
    clippy::cast_precision_loss,
    reason = "nothing here is as large as 2^53"
)]
pub(crate) fn of_count(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_argo_cd_shows_them() {
        for (number, text) in [
            (3.0, "3"),
            (-0.5, "-0.5"),
            (1e15, "1000000000000000"),
            (0.1, "0.1"),
            (1e300, "1e+300"),
            (0.000_01, "1e-05"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(show(number), text);
        }
    }

    #[test]
    fn only_what_lua_calls_a_number_is_read() {
        for (text, number) in [
            ("10", Some(10.0)),
            (" 0x1F ", Some(31.0)),
            ("-2.5e3", Some(-2500.0)),
            (".5", Some(0.5)),
            ("inf", None),
            ("nan", None),
            ("--1", None),
            ("", None),
            ("1 2", None),
            ("0x", None),
        ] {
            assert_eq!(parse(text.as_bytes()), number, "{text}");
        }
    }
}
