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

/// The URL without user and password, for logs and conditions. In doubt, what could be a password is one.
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return match url.split_once('@') {
            Some((login, rest)) if is_login(login) => rest.to_owned(),
            _ => url.to_owned(),
        };
    };
    let rest = match rest.rsplit_once('@') {
        // A slash in a password has to be escaped; somebody didn't.
        Some((login, rest)) if login.contains('/') && has_no_port(login) => rest,
        _ => rest,
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

/// `user:password`, and no host with a path.
fn is_login(text: &str) -> bool {
    text.contains(':') && !text.contains('/')
}

/// What stands where a port belongs, before the first slash, is none: so what stands before it is no host.
fn has_no_port(text: &str) -> bool {
    let host = host_and_port(text.split('/').next().unwrap_or_default());
    let port = host.split_once(':').map(|(_, port)| port);
    !host.starts_with('[') && port.is_some_and(|it| !it.bytes().all(|byte| byte.is_ascii_digit()))
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
mod tests;
