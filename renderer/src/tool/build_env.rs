//! `$ARGOCD_APP_*` in parameters: Argo CD's build environment.

use std::sync::atomic::{AtomicBool, Ordering};

/// The variables of one source of one application.
#[derive(Debug, Default)]
pub(crate) struct BuildEnv {
    variables: Vec<(&'static str, String)>,
    revision_used: AtomicBool,
}

/// What the variables are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BuildFacts<'a> {
    pub(crate) app: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) project: &'a str,
    pub(crate) revision: &'a str,
    pub(crate) repo_url: &'a str,
    pub(crate) path: &'a str,
    pub(crate) target_revision: &'a str,
}

impl BuildEnv {
    pub(crate) fn new(facts: &BuildFacts<'_>) -> Self {
        let short = |length: usize| {
            facts
                .revision
                .get(..length)
                .unwrap_or(facts.revision)
                .to_owned()
        };
        Self {
            variables: vec![
                ("ARGOCD_APP_NAME", facts.app.to_owned()),
                ("ARGOCD_APP_NAMESPACE", facts.namespace.to_owned()),
                ("ARGOCD_APP_PROJECT_NAME", facts.project.to_owned()),
                ("ARGOCD_APP_REVISION", facts.revision.to_owned()),
                ("ARGOCD_APP_REVISION_SHORT", short(7)),
                ("ARGOCD_APP_REVISION_SHORT_8", short(8)),
                ("ARGOCD_APP_SOURCE_REPO_URL", facts.repo_url.to_owned()),
                ("ARGOCD_APP_SOURCE_PATH", facts.path.to_owned()),
                (
                    "ARGOCD_APP_SOURCE_TARGET_REVISION",
                    facts.target_revision.to_owned(),
                ),
            ],
            revision_used: AtomicBool::new(false),
        }
    }

    /// Whether the commit's id went into a parameter: then each commit renders again.
    pub(crate) fn revision_used(&self) -> bool {
        self.revision_used.load(Ordering::Relaxed)
    }

    /// Go's `os.Expand`: `$NAME` and `${NAME}`; an unknown name is nothing, `$$` is `$`.
    pub(crate) fn expand(&self, text: &str) -> String {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            expanded.push_str(&rest[..at]);
            let (name, after) = name(&rest[at + 1..]);
            match name {
                Some(name) => expanded.push_str(self.value(name)),
                None if after.len() == rest.len() - at - 1 => expanded.push('$'),
                // `${}` and `${` without an end: Go eats them.
                None => {}
            }
            rest = after;
        }
        expanded.push_str(rest);
        expanded
    }

    fn value(&self, name: &str) -> &str {
        if name == "$" {
            return "$";
        }
        if name.starts_with("ARGOCD_APP_REVISION") {
            self.revision_used.store(true, Ordering::Relaxed);
        }
        self.variables
            .iter()
            .find(|(known, _)| *known == name)
            .map_or("", |(_, value)| value)
    }
}

/// The variable's name at the start of a text, and what comes after it.
fn name(text: &str) -> (Option<&str>, &str) {
    if let Some(inner) = text.strip_prefix('{') {
        return match inner.find('}') {
            Some(0) => (None, &inner[1..]),
            Some(end) => (Some(&inner[..end]), &inner[end + 1..]),
            None => (None, inner),
        };
    }
    let special = |byte: u8| {
        matches!(
            byte,
            b'*' | b'#' | b'$' | b'@' | b'!' | b'?' | b'-' | b'0'..=b'9'
        )
    };
    match text.bytes().next() {
        Some(byte) if special(byte) => (Some(&text[..1]), &text[1..]),
        _ => {
            let end = text
                .bytes()
                .position(|byte| byte != b'_' && !byte.is_ascii_alphanumeric())
                .unwrap_or(text.len());
            if end == 0 {
                (None, text)
            } else {
                (Some(&text[..end]), &text[end..])
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn mk_env() -> BuildEnv {
        BuildEnv::new(&BuildFacts {
            app: "guider-north",
            namespace: "telescopes",
            project: "default",
            revision: "0123456789abcdef",
            repo_url: "https://git.example/deploy",
            path: "apps/guider",
            target_revision: "main",
        })
    }

    #[test]
    fn variables_are_expanded_as_go_does() {
        let env = mk_env();
        assert_eq!(
            env.expand("$ARGOCD_APP_NAME-${ARGOCD_APP_NAMESPACE}.x"),
            "guider-north-telescopes.x"
        );
        assert_eq!(env.expand("a$UNKNOWN/b"), "a/b");
        assert_eq!(env.expand("cost: $$5, $"), "cost: $5, $");
        assert_eq!(env.expand("${}x${"), "x");
        assert_eq!(env.expand("$/a"), "$/a");
        assert!(!env.revision_used());
    }

    #[test]
    fn the_use_of_the_revision_is_noticed() {
        let env = mk_env();
        assert_eq!(env.expand("v-$ARGOCD_APP_REVISION_SHORT"), "v-0123456");
        assert!(env.revision_used());
    }
}
