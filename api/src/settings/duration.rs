//! Go's durations, as Argo CD's settings hold them.

use std::time::Duration;

/// Reads `180s`, `1h30m`, `1.5h`, `500ms`, also with days (`2d`). `None` for anything else, and for
/// more than a hundred years.
pub fn parse(text: &str) -> Option<Duration> {
    const MAX_SECONDS: f64 = 100.0 * 365.0 * 86_400.0;
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|symbol: char| !symbol.is_ascii_digit() && symbol != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit_end = after
            .find(|symbol: char| symbol.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let scale = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = after;
    }
    (seconds <= MAX_SECONDS).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        assert_eq!(parse("180s"), Some(Duration::from_mins(3)));
        assert_eq!(parse("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(parse("1.5h"), Some(Duration::from_mins(90)));
        assert_eq!(parse("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse("0"), Some(Duration::ZERO));
    }

    #[test]
    fn other_texts_are_no_duration() {
        for text in [
            "",
            "s",
            "3",
            "3x",
            "-3s",
            "1e9h",
            "3s4",
            "99999999999h",
            "1..2s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
