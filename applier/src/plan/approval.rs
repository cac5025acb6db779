//! A person's word about deletions: `argocd.argoproj.io/deletion-approved` on the Application, as Argo CD has it.

/// Whether the annotation approves what was asked `since` (Unix milliseconds): its time isn't before that.
pub(crate) fn approves(note: Option<&str>, since: u64) -> bool {
    let given = note.and_then(|text| api::Timestamp::from_text(text.trim()).instant());
    // Annotations are written in whole seconds.
    let since = i64::try_from(since / 1_000).unwrap_or(i64::MAX);
    given.is_some_and(|given| given.as_second() >= since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_word_given_after_the_question_counts() {
        // 2026-01-02T03:04:05.678Z
        let asked = 1_767_323_045_678;
        assert!(approves(Some("2026-01-02T03:04:05Z"), asked));
        assert!(approves(Some(" 2026-01-02T05:04:06+02:00"), asked));
        assert!(!approves(Some("2026-01-02T03:04:04Z"), asked));
        assert!(!approves(Some("yes"), asked));
        assert!(!approves(None, asked));
    }
}
