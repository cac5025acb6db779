//! Kubernetes' quantities, compared by what they amount to: `1000m` is `1`, `0.5Gi` is `512Mi`.

/// A text that is the same for all ways to write the amount; none if it isn't one, or is beyond what a quantity holds.
pub(super) fn canonical(text: &str) -> Option<String> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let end = unsigned
        .find(|symbol: char| !symbol.is_ascii_digit() && symbol != '.')
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if number.len() > 30 || whole.len() + fraction.len() == 0 || fraction.contains('.') {
        return None;
    }
    let mut amount: u128 = format!("{whole}{fraction}").parse().ok()?;
    let mut exponent = -i32::try_from(fraction.len()).ok()?;
    match scale(suffix)? {
        Scale::Ten(power) => exponent += power,
        Scale::Binary(power) => amount = amount.checked_mul(1024_u128.checked_pow(power)?)?,
    }
    if amount == 0 {
        return Some("0".to_owned());
    }
    while amount.is_multiple_of(10) {
        amount /= 10;
        exponent += 1;
    }
    Some(format!("{sign}{amount}e{exponent}"))
}

enum Scale {
    /// Times ten to this power.
    Ten(i32),
    /// Times 1024 to this power.
    Binary(u32),
}

fn scale(suffix: &str) -> Option<Scale> {
    Some(match suffix {
        "n" => Scale::Ten(-9),
        "u" => Scale::Ten(-6),
        "m" => Scale::Ten(-3),
        "" => Scale::Ten(0),
        "k" => Scale::Ten(3),
        "M" => Scale::Ten(6),
        "G" => Scale::Ten(9),
        "T" => Scale::Ten(12),
        "P" => Scale::Ten(15),
        "E" => Scale::Ten(18),
        "Ki" => Scale::Binary(1),
        "Mi" => Scale::Binary(2),
        "Gi" => Scale::Binary(3),
        "Ti" => Scale::Binary(4),
        "Pi" => Scale::Binary(5),
        "Ei" => Scale::Binary(6),
        _ => {
            let power = suffix.strip_prefix(['e', 'E'])?;
            Scale::Ten(
                power
                    .parse()
                    .ok()
                    .filter(|power| (-99..=99).contains(power))?,
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_amounts_to_the_same_is_the_same() {
        for (one, other) in [
            ("1000m", "1"),
            ("1", "1.0"),
            ("0.1", "100m"),
            ("0.5Gi", "512Mi"),
            ("1Ki", "1024"),
            ("1k", "1e3"),
            ("1E3", "1000"),
            ("12E", "12e18"),
            ("+2", "2"),
            ("0Gi", "0"),
            ("-0", "0"),
            ("100000000000u", "100k"),
            (".5", "500m"),
            ("5.", "5"),
        ] {
            assert!(canonical(one).is_some(), "{one}");
            assert_eq!(canonical(one), canonical(other), "{one} {other}");
        }
    }

    #[test]
    fn what_amounts_to_something_else_is_not() {
        for (one, other) in [
            ("1", "1m"),
            ("1G", "1Gi"),
            ("1", "-1"),
            ("1e3", "1e4"),
            ("10", "100"),
        ] {
            assert_ne!(canonical(one), canonical(other), "{one} {other}");
        }
    }

    #[test]
    fn other_texts_are_no_quantity() {
        for text in [
            "",
            "m",
            ".",
            "1.2.3",
            "1x",
            "1 Gi",
            "e3",
            "--1",
            "1e",
            "1e9999999999",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
        assert_eq!(canonical(&"9".repeat(200)), None);
    }
}
