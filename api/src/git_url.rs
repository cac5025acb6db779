//! Forms of one repository's URL.

/// Argo CD's comparison form: lower case, scp-like form as ssh path, without `ssh://` and `.git`.
/// For matching patterns only; the repository is fetched by the URL as it was written.
pub fn comparable(url: &str) -> String {
    let mut text = url.trim().to_lowercase();
    if let Some(rest) = text.strip_prefix("ssh://") {
        text = rest.to_owned();
    } else if is_scp_like(&text) {
        text = text.replacen(':', "/", 1);
    }
    text.strip_suffix(".git").unwrap_or(&text).to_owned()
}

/// Which repository a URL means, so that all its forms share one worker: scheme and host in lower
/// case, no `.git`, no trailing slash, no user and password. The path keeps its case, since not
/// every server ignores it.
pub fn identity(url: &str) -> String {
    let url = url.trim();
    if let Some(path) = url.strip_prefix("file://") {
        return format!("file://{}", bare(path));
    }
    if let Some((scheme, rest)) = url.split_once("://") {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = host_and_port(authority).to_lowercase();
        let scheme = scheme.to_lowercase();
        let host = match scheme.as_str() {
            "https" => host.strip_suffix(":443").unwrap_or(&host),
            "http" => host.strip_suffix(":80").unwrap_or(&host),
            "ssh" => host.strip_suffix(":22").unwrap_or(&host),
            _ => &host,
        };
        return format!("{scheme}://{host}/{}", below_host(path));
    }
    if is_scp_like(url)
        && let Some((authority, path)) = url.split_once(':')
    {
        let host = host_and_port(authority).to_lowercase();
        return format!("ssh://{host}/{}", below_host(path));
    }
    bare(url).to_owned()
}

/// Host and path only, in lower case: what a webhook's URLs and an application's have in common
/// whatever their form. Empty when there is neither.
pub fn host_and_path(url: &str) -> String {
    let url = url.trim().to_lowercase();
    let (authority, path) = if let Some((_, rest)) = url.split_once("://") {
        rest.split_once('/').unwrap_or((rest, ""))
    } else if is_scp_like(&url) && !has_port(&url) {
        url.split_once(':').unwrap_or((&url, ""))
    } else {
        url.split_once('/').unwrap_or((&url, ""))
    };
    let host = host_and_port(authority);
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let path = below_host(path);
    if let Some(azure) = azure_devops(host, path) {
        return azure;
    }
    // Where hosts answer ssh on the port of https.
    let host = ["ssh.", "altssh."]
        .iter()
        .find_map(|prefix| host.strip_prefix(prefix))
        .unwrap_or(host);
    if path.is_empty() {
        return host.to_owned();
    }
    format!("{host}/{path}")
}

/// `registry:5000/path`, which has no scheme and no user: the number is a port.
fn has_port(url: &str) -> bool {
    let authority = url.split('/').next().unwrap_or_default();
    !authority.contains('@')
        && authority.rsplit_once(':').is_some_and(|(_, port)| {
            !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// Azure DevOps has four addresses of one repository, with different paths; this is the one of today.
fn azure_devops(host: &str, path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').collect();
    let organization = host.strip_suffix(".visualstudio.com");
    let (organization, project, repository) = match (host, organization, parts.as_slice()) {
        (
            "ssh.dev.azure.com" | "vs-ssh.visualstudio.com",
            _,
            ["v3", organization, project, repository],
        )
        | ("dev.azure.com", _, [organization, project, "_git", repository]) => {
            (*organization, *project, *repository)
        }
        // A repository that is named as its project.
        ("dev.azure.com", _, [organization, "_git", repository]) => {
            (*organization, *repository, *repository)
        }
        (
            _,
            Some(organization),
            ["_git", repository] | ["defaultcollection", "_git", repository],
        ) => (organization, *repository, *repository),
        (
            _,
            Some(organization),
            [project, "_git", repository] | ["defaultcollection", project, "_git", repository],
        ) => (organization, *project, *repository),
        _ => return None,
    };
    Some(format!(
        "dev.azure.com/{organization}/{project}/_git/{repository}"
    ))
}

/// The URL without user and password, for logs and conditions.
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (authority, path) = rest
        .find('/')
        .map_or((rest, ""), |slash| rest.split_at(slash));
    // The user of an ssh URL is part of the address, its password is not.
    let user = match authority.rsplit_once('@') {
        Some((user, _)) if scheme.eq_ignore_ascii_case("ssh") && !user.contains(':') => {
            format!("{user}@")
        }
        _ => String::new(),
    };
    format!("{scheme}://{user}{}{path}", host_and_port(authority))
}

/// A path without trailing slash and `.git`.
fn bare(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.strip_suffix(".git").unwrap_or(path)
}

/// A path behind a host: none of its slashes leads.
fn below_host(path: &str) -> &str {
    bare(path).trim_start_matches('/')
}

fn host_and_port(authority: &str) -> &str {
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
}

/// `git@host:path`: no scheme, and a colon before the first slash.
fn is_scp_like(url: &str) -> bool {
    !url.contains("://")
        && url
            .find(':')
            .is_some_and(|colon| url.find('/').is_none_or(|slash| colon < slash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_repository_have_one_identity() {
        for url in [
            "https://Git.Example.org/Team/repo",
            "https://git.example.org/Team/repo.git",
            "https://user:secret@git.example.org:443/Team/repo/",
            "HTTPS://git.example.org//Team/repo.git/",
        ] {
            assert_eq!(
                identity(url),
                identity("https://git.example.org/Team/repo"),
                "{url}"
            );
        }
        assert_eq!(
            identity("git@git.example.org:team/repo.git"),
            identity("ssh://git@git.example.org/team/repo")
        );
    }

    #[test]
    fn paths_that_differ_by_case_are_two_repositories() {
        assert_ne!(identity("file:///srv/A.git"), identity("file:///srv/a.git"));
        assert_ne!(identity("https://h/A"), identity("https://h/a"));
    }

    #[test]
    fn a_webhook_matches_every_form() {
        for url in [
            "https://git.example.org/team/repo",
            "https://git.example.org:8443/Team/Repo.git",
            "ssh://git@git.example.org:2222/team/repo.git",
            "git@git.example.org:team/repo.git",
        ] {
            assert_eq!(host_and_path(url), "git.example.org/team/repo", "{url}");
        }
    }

    #[test]
    fn a_webhook_matches_hosts_that_answer_ssh_elsewhere() {
        for url in [
            "ssh://git@ssh.github.com:443/team/repo.git",
            "https://github.com/team/repo",
        ] {
            assert_eq!(host_and_path(url), "github.com/team/repo", "{url}");
        }
    }

    #[test]
    fn the_addresses_of_an_azure_devops_repository_are_one() {
        for url in [
            "https://dev.azure.com/Acme/shop/_git/web",
            "https://acme@dev.azure.com/acme/shop/_git/web",
            "git@ssh.dev.azure.com:v3/acme/shop/web",
            "acme@vs-ssh.visualstudio.com:v3/acme/shop/web",
            "https://acme.visualstudio.com/shop/_git/web",
            "https://acme.visualstudio.com/DefaultCollection/shop/_git/web",
        ] {
            assert_eq!(
                host_and_path(url),
                "dev.azure.com/acme/shop/_git/web",
                "{url}"
            );
        }
        assert_eq!(
            host_and_path("https://dev.azure.com/acme/_git/web"),
            host_and_path("git@ssh.dev.azure.com:v3/acme/web/web")
        );
        assert_eq!(
            host_and_path("https://acme.visualstudio.com/DefaultCollection/_git/web"),
            host_and_path("https://dev.azure.com/acme/_git/web"),
        );
    }

    #[test]
    fn a_registrys_port_is_not_taken_for_a_path() {
        for url in [
            "registry.org:5000/charts",
            "oci://registry.org:5000/charts/",
        ] {
            assert_eq!(host_and_path(url), "registry.org/charts", "{url}");
        }
        assert_eq!(host_and_path("git@h:5000/charts"), "h/5000/charts");
    }

    #[test]
    fn credentials_do_not_reach_messages() {
        assert_eq!(
            without_credentials("https://user:token@example.org/a/b.git"),
            "https://example.org/a/b.git"
        );
        assert_eq!(
            without_credentials("ssh://git@example.org/a"),
            "ssh://git@example.org/a"
        );
        assert_eq!(
            without_credentials("git@example.org:a/b"),
            "git@example.org:a/b"
        );
    }

    #[test]
    fn odd_input_is_no_panic() {
        for url in [
            "",
            ":",
            "://",
            "@",
            "a@",
            "/",
            ".git",
            "ssh://",
            "é:é",
            "http://[::1]:80/x",
        ] {
            let _ = (
                comparable(url),
                identity(url),
                host_and_path(url),
                without_credentials(url),
            );
        }
    }
}
