//! Why a real tool refuses a case, as far as its words tell.

/// The first cause one of whose words is in the message.
const CAUSES: [(&str, &[&str]); 9] = [
    ("path not at this revision", &["app path does not exist"]),
    (
        "a value is missing or wrong for the chart",
        &[
            "execution error at",
            "error calling",
            "nil pointer",
            "values don't meet the specifications",
            "wrong type for value",
            "can't iterate over",
            "incompatible types",
            "nil data",
        ],
    ),
    (
        "needs network: a chart, a remote base or file",
        &[
            "dial tcp",
            "proxyconnect",
            "127.0.0.1:9",
            "git fetch",
            "git clone",
            "transport '",
            "no cached repo",
            "no repository definition",
            "not a valid chart repository",
            "could not be found",
            "missing in charts/",
            "failed to run '/usr/bin/git",
            "hit 27s timeout",
        ],
    ),
    ("a library chart", &["library charts are not installable"]),
    ("a file outside of the overlay", &["security; file"]),
    (
        "a plugin or function",
        &[
            "external plugins disabled",
            "unable to find plugin",
            "unable to load external plugin",
            "fn run",
            "plugin",
        ],
    ),
    (
        "a component or patch without its base",
        &[
            "no matches for",
            "failed to find unique target",
            "no resource matches",
            "nothing selected by",
        ],
    ),
    (
        "a file is missing",
        &[
            "no such file",
            "must resolve to a file",
            "not found",
            "doesn't exist",
            "evalsymlink",
            "couldn't open import",
        ],
    ),
    (
        "not what the tool takes: YAML, fields, names",
        &[
            "yaml",
            "json",
            "unknown field",
            "invalid",
            "kustomization.yaml is empty",
            "without a name",
            "already exists",
            "may not add resource with an already registered id",
            "deprecated",
        ],
    ),
];

pub(crate) fn of(message: &str) -> &'static str {
    let message = message.to_lowercase();
    let is_in = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let found = CAUSES.iter().find(|(_, words)| is_in(words));
    found.map_or("something else", |(cause, _)| *cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tool_says_tells_why() {
        for (said, cause) in [
            (
                "Error: execution error at (a/b.yaml:6:11): host must be set",
                "a value is missing or wrong for the chart",
            ),
            (
                "Error: no cached repository for helm-manager-2f found: open x: no such file or directory",
                "needs network: a chart, a remote base or file",
            ),
            (
                "Error: accumulating resources: open /x/y: no such file or directory",
                "a file is missing",
            ),
            ("whatever", "something else"),
        ] {
            assert_eq!(of(said), cause, "{said}");
        }
    }
}
