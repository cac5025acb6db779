//! How a host says that it is asked too much: 429, or a refusal with `Retry-After`. Pure.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// It asks to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// For how long, if it says so.
    pub after: Option<Duration>,
}

pub fn busy(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Busy> {
    let after = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| retry_after(text, now));
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(Busy { after }),
        // GitHub's secondary limits come as 403, and a host under maintenance says 503.
        StatusCode::FORBIDDEN | StatusCode::SERVICE_UNAVAILABLE if after.is_some() => {
            Some(Busy { after })
        }
        _ => None,
    }
}

/// Seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, after: Option<&str>) -> Option<Busy> {
        let now = httpdate::parse_http_date("Wed, 25 Nov 2026 01:00:00 GMT").unwrap();
        let mut headers = HeaderMap::new();
        if let Some(after) = after {
            headers.insert(RETRY_AFTER, after.parse().unwrap());
        }
        busy(StatusCode::from_u16(status).unwrap(), &headers, now)
    }

    #[test]
    fn a_busy_host_may_say_for_how_long_in_seconds_or_as_a_date() {
        let asked = |after| Some(Busy { after: Some(after) });
        assert_eq!(said(429, Some("120")), asked(Duration::from_mins(2)));
        let date = "Wed, 25 Nov 2026 01:02:00 GMT";
        assert_eq!(said(503, Some(date)), asked(Duration::from_mins(2)));
        assert_eq!(said(403, Some("60")), asked(Duration::from_mins(1)));
        let past = "Tue, 24 Nov 2026 01:02:00 GMT";
        assert_eq!(said(429, Some(past)), asked(Duration::ZERO));
        for odd in ["", "soon", "-1", "1e9", "99999999999999999999999"] {
            assert_eq!(said(429, Some(odd)), Some(Busy { after: None }), "{odd}");
        }
    }

    #[test]
    fn other_refusals_are_not_about_being_busy() {
        for (status, after) in [(403, None), (503, None), (500, Some("1")), (200, Some("1"))] {
            assert_eq!(said(status, after), None, "{status}");
        }
    }
}
