//! What `.gitmodules` says: which other repositories belong where. Pure.

use std::collections::BTreeMap;

use super::git_config::{self, ConfigError};

/// Another repository in a folder of this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Submodule {
    pub(super) path: String,
    /// As it is written: it may be relative to the repository's own URL.
    pub(super) url: String,
}

/// Submodules by path, without those that `update = none` leaves out.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Submodule>, ConfigError> {
    #[derive(Default)]
    struct Found {
        path: Option<String>,
        url: Option<String>,
        left_out: bool,
    }
    let mut by_name = BTreeMap::<String, Found>::new();
    for entry in git_config::parse(bytes)? {
        let (true, Some(name)) = (entry.section == "submodule", entry.subsection) else {
            continue;
        };
        let found = by_name.entry(name).or_default();
        match entry.name.as_str() {
            "path" => found.path = Some(entry.value),
            "url" => found.url = Some(entry.value),
            "update" => found.left_out = entry.value == "none",
            _ => {}
        }
    }
    let mut submodules: Vec<_> = by_name
        .into_values()
        .filter(|found| !found.left_out)
        .filter_map(|found| {
            Some(Submodule {
                path: found.path?.trim_end_matches('/').to_owned(),
                url: found.url?,
            })
        })
        .collect();
    submodules.sort_by(|one, other| one.path.cmp(&other.path));
    submodules.dedup_by(|one, other| one.path == other.path);
    Ok(submodules)
}

/// A submodule's URL; one that begins with `./` or `../` starts from the repository's own, as Git does it. None if it leads
/// out of that.
pub(super) fn resolve(own: &str, url: &str) -> Option<String> {
    let relative = |url: &str| url.starts_with("./") || url.starts_with("../");
    if !relative(url) {
        return Some(url.to_owned());
    }
    let mut base = own.trim_end_matches('/');
    let mut rest = url;
    let mut separator = '/';
    loop {
        if let Some(below) = rest.strip_prefix("./") {
            rest = below;
        } else if let Some(below) = rest.strip_prefix("../") {
            let scheme = base.find("://").map_or(0, |at| at + 3);
            let cut = base[scheme..].rfind('/').map(|at| scheme + at);
            let cut = cut.or_else(|| {
                // `user@host:path`
                separator = ':';
                base[scheme..].rfind(':').filter(|_| scheme == 0)
            })?;
            base = &base[..cut];
            rest = below;
        } else {
            break;
        }
    }
    (!rest.is_empty() && !base.is_empty()).then(|| format!("{base}{separator}{rest}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_submodule_has_a_path_and_a_url() {
        let text = "[submodule \"b\"]\n path = libs/b/\n url = ../b.git\n[submodule \"a\"]\n path = a\n url = https://h/a\n\
            [submodule \"c\"]\n path = c\n url = x\n update = none\n[submodule \"d\"]\n path = d\n[other]\n path = e\n";
        let found = parse(text.as_bytes()).unwrap();
        let found: Vec<_> = found.iter().map(|it| (&*it.path, &*it.url)).collect();
        assert_eq!(found, [("a", "https://h/a"), ("libs/b", "../b.git")]);
    }

    #[test]
    fn a_relative_url_starts_from_the_repositorys_own() {
        for (own, url, expected) in [
            ("https://h/team/a.git", "../b.git", "https://h/team/b.git"),
            ("https://h/team/a/", "./b", "https://h/team/a/b"),
            ("https://h/team/a", "../../other/b", "https://h/other/b"),
            ("git@h:team/a.git", "../b.git", "git@h:team/b.git"),
            ("git@h:a.git", "../b.git", "git@h:b.git"),
            ("git@h:team/a.git", "../../b.git", "git@h:b.git"),
            ("ssh://git@h:22/team/a", "../b", "ssh://git@h:22/team/b"),
            ("file:///srv/a", "../b", "file:///srv/b"),
            ("https://h/a", "git@other:b", "git@other:b"),
        ] {
            assert_eq!(resolve(own, url).as_deref(), Some(expected), "{own} {url}");
        }
        for url in ["../../../b", "../", "./"] {
            assert_eq!(resolve("https://h/a", url), None, "{url}");
        }
    }

    proptest! {
        #[test]
        fn no_url_is_a_panic_and_none_leaves_its_host(path in "[a-z/]{0,12}", url in "(\\.\\./|\\./|[a-z:/@.]){0,8}") {
            let own = format!("https://host/{path}");
            if let Some(found) = resolve(&own, &url)
                && (url.starts_with("./") || url.starts_with("../"))
            {
                prop_assert!(found.starts_with("https://host/"), "{found}");
            }
        }
    }
}
