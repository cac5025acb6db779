//! The sync options that have a meaning, `Name=value` each.

const YES_NO: &[&str] = &["true", "false"];
const KNOWN: [(&str, &[&str]); 14] = [
    ("ApplyOutOfSyncOnly", YES_NO),
    ("ClientSideApplyMigration", YES_NO),
    ("CreateNamespace", YES_NO),
    ("Delete", &["true", "false", "confirm"]),
    ("FailOnSharedResource", YES_NO),
    ("Force", YES_NO),
    ("Prune", &["true", "false", "confirm"]),
    ("PruneLast", YES_NO),
    (
        "PrunePropagationPolicy",
        &["foreground", "background", "orphan"],
    ),
    ("Replace", YES_NO),
    ("RespectIgnoreDifferences", YES_NO),
    ("ServerSideApply", YES_NO),
    ("SkipDryRunOnMissingResource", YES_NO),
    ("Validate", YES_NO),
];

/// The options of a list that mean nothing, as they are written.
pub fn unknown<S: AsRef<str>>(options: &[S]) -> Vec<&str> {
    options
        .iter()
        .map(|option| option.as_ref().trim())
        .filter(|option| !option.is_empty() && !is_known(option))
        .collect()
}

fn is_known(option: &str) -> bool {
    let Some((name, value)) = option.split_once('=') else {
        return false;
    };
    KNOWN
        .iter()
        .any(|(known, values)| *known == name.trim() && values.contains(&value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_misspelt_means_nothing() {
        let options = [
            "Replace=true",
            " Prune=confirm",
            "CreateNameSpace=true",
            "Force",
            "Validate=no",
            "",
        ];
        assert_eq!(
            unknown(&options),
            ["CreateNameSpace=true", "Force", "Validate=no"]
        );
    }
}
