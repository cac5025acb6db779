//! What the annotations of an application ask of its releases. Pure.

use std::collections::BTreeMap;

use api::annotations;

use crate::plan::Limit;

/// How long a release may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Timeout {
    pub(super) millis: u64,
    /// As it was written.
    pub(super) text: String,
}

/// `towline.dev/sync-timeout`; `0` is none, as in Argo CD's own setting.
pub(super) fn sync_timeout(annotations: &BTreeMap<String, String>) -> Option<Timeout> {
    let text = annotations.get(annotations::SYNC_TIMEOUT)?.trim();
    let time = api::settings::parse_duration(text).filter(|time| !time.is_zero())?;
    Some(Timeout {
        millis: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        text: text.to_owned(),
    })
}

/// `towline.dev/rollback: on-failure`.
pub(super) fn goes_back(annotations: &BTreeMap<String, String>) -> bool {
    annotations
        .get(annotations::ROLLBACK)
        .is_some_and(|text| text.trim() == annotations::ROLLBACK_ON_FAILURE)
}

/// `towline.dev/pin-policy: until-newer-revision`.
pub(super) fn pins_end_by_newer(annotations: &BTreeMap<String, String>) -> bool {
    annotations
        .get(annotations::PIN_POLICY)
        .is_some_and(|text| text.trim() == annotations::PIN_UNTIL_NEWER)
}

/// What is written there and has no effect, for a person.
pub(super) fn warnings(annotations: &BTreeMap<String, String>) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(text) = annotations.get(annotations::SYNC_TIMEOUT)
        && api::settings::parse_duration(text).is_none()
    {
        warnings.push(format!(
            "annotation {} is `{}`, which is no duration such as 10m: releases take as long as they take",
            annotations::SYNC_TIMEOUT,
            text.chars().take(80).collect::<String>()
        ));
    }
    if let Some(text) = annotations.get(annotations::MAX_DELETIONS)
        && Limit::read(text).is_none()
    {
        warnings.push(format!(
            "annotation {} is `{}`, which is neither a number such as 12 nor a share such as 30%: half of the objects counts, when there are more than ten",
            annotations::MAX_DELETIONS,
            text.chars().take(80).collect::<String>()
        ));
    }
    let words = [
        (
            annotations::ROLLBACK,
            annotations::ROLLBACK_ON_FAILURE,
            goes_back(annotations),
        ),
        (
            annotations::PIN_POLICY,
            annotations::PIN_UNTIL_NEWER,
            pins_end_by_newer(annotations),
        ),
    ];
    for (key, known, understood) in words {
        if let Some(text) = annotations.get(key).filter(|_| !understood) {
            warnings.push(format!(
                "annotation {key} is `{}`: only `{known}` has a meaning",
                text.chars().take(80).collect::<String>()
            ));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(key: &str, text: &str) -> BTreeMap<String, String> {
        [(key.to_owned(), text.to_owned())].into()
    }

    #[test]
    fn a_timeout_is_a_duration_as_go_writes_it() {
        let timeout = |text| sync_timeout(&annotated(annotations::SYNC_TIMEOUT, text));
        assert_eq!(timeout("10m").map(|timeout| timeout.millis), Some(600_000));
        assert_eq!(
            timeout(" 1h30m ").map(|timeout| timeout.text),
            Some("1h30m".to_owned())
        );
        assert_eq!(timeout("0"), None);
        assert_eq!(timeout("ten minutes"), None);
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let warned = |text| warnings(&annotated(annotations::SYNC_TIMEOUT, text));
        assert!(warned("ten minutes")[0].contains("ten minutes"));
        assert!(warnings(&annotated(annotations::ROLLBACK, "always"))[0].contains("always"));
        assert!(warnings(&annotated(annotations::ROLLBACK, "on-failure")).is_empty());
        assert!(warned("10m").is_empty() && warned("0").is_empty());
        assert!(warnings(&annotated(annotations::MAX_DELETIONS, "101%"))[0].contains("101%"));
        assert!(warnings(&annotated(annotations::MAX_DELETIONS, "30 %")).is_empty());
    }
}
