//! Paths in a tree: relative to its root, `/`-separated, without `.`, `..` or empty parts; the root is empty.

/// A path with its dots resolved; `None` if it leaves the root. A leading slash is the root's.
pub(crate) fn clean(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// `path` seen from `folder`, unless it is absolute, which is from the root.
pub(crate) fn join(folder: &str, path: &str) -> String {
    if path.starts_with('/') || folder.is_empty() {
        path.trim_start_matches('/').to_owned()
    } else {
        format!("{folder}/{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_resolved_but_not_over_the_root() {
        assert_eq!(clean("./a//b/../c/").as_deref(), Some("a/c"));
        assert_eq!(clean("/").as_deref(), Some(""));
        assert_eq!(clean("a/../../b"), None);
        assert_eq!(clean(".."), None);
    }

    #[test]
    fn an_absolute_path_is_from_the_root() {
        assert_eq!(join("apps/a", "values.yaml"), "apps/a/values.yaml");
        assert_eq!(join("apps/a", "/env/values.yaml"), "env/values.yaml");
        assert_eq!(join("", "a"), "a");
    }
}
