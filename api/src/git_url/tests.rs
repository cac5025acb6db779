use proptest::prelude::*;
use proptest::sample::select;

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
    for malformed in [
        "https://user:to/ken@example.org/a",
        "https://user:to/k@en@example.org/a",
    ] {
        let shown = without_credentials(malformed);
        assert_eq!(shown, "https://example.org/a", "{malformed}");
    }
    assert_eq!(
        without_credentials("user:token@example.org/a"),
        "example.org/a"
    );
    for sound in [
        "https://example.org/a/b@v1",
        "https://[::1]:80/a@b",
        "https://h:8443/a@b",
    ] {
        assert_eq!(without_credentials(sound), sound);
    }
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

/// What URLs are made of, well put together or not.
const PARTS: &[&str] = &[
    "https://",
    "ssh://",
    "file://",
    "oci://",
    "://",
    "git@",
    "a:b@",
    "@",
    "h.org",
    "ssh.github.com",
    "dev.azure.com",
    "x.visualstudio.com",
    "[::1]",
    ":443",
    ":22",
    ":v3",
    ":",
    "/",
    "//",
    "/..",
    "/_git",
    "team",
    "Repo",
    ".git",
    "?a=b",
    "#c",
    "%2f",
    " ",
    "é",
    "\n",
    "\0",
];

proptest! {
    #[test]
    fn every_form_of_a_repository_means_it(
        host in "[a-z][a-z0-9]{0,5}\\.[a-z]{2,3}",
        upper in any::<bool>(),
        path in "[A-Za-z0-9_~-]{1,5}(/[A-Za-z0-9_~.-]{0,4}[a-z]){1,3}",
        login in select(vec!["", "git@", "u:sesame@", ":sesame@", "u%40d:ses%2fame@"]),
        end in select(vec!["", "/", ".git", ".git/"]),
    ) {
        prop_assume!(path.strip_suffix(".git").is_none());
        let written = if upper { host.to_uppercase() } else { host.clone() };
        let https = ["", ":443"].map(|port| format!("https://{login}{written}{port}/{path}{end}"));
        let user = login.split([':', '@']).next().unwrap_or_default();
        let ssh = [
            format!("ssh://{user}@{written}/{path}{end}"),
            format!("SSH://{written}:22//{path}{end}"),
            format!("{user}@{written}:{path}{end}"),
            format!("{user}@{written}:/{path}{end}"),
        ];
        for url in &https {
            prop_assert_eq!(identity(url), format!("https://{host}/{path}"), "{}", url);
        }
        for url in &ssh {
            prop_assert_eq!(identity(url), format!("ssh://{host}/{path}"), "{}", url);
        }
        for url in https.iter().chain(&ssh) {
            prop_assert_eq!(host_and_path(url), host_and_path(&https[0]), "{}", url);
            prop_assert_eq!(host_and_path(&identity(url)), host_and_path(url), "{}", url);
            let shown = without_credentials(url);
            prop_assert!(!shown.contains("ame@"), "{}", shown);
            prop_assert_eq!(identity(&shown), identity(url), "{}", url);
        }
    }

    #[test]
    fn any_text_has_all_its_forms(parts in proptest::collection::vec(select(PARTS), 0..12), text in "\\PC{0,40}") {
        for url in [&parts.concat(), &text] {
            let _ = (comparable(url), identity(url), host_and_path(url));
            let shown = without_credentials(url);
            prop_assert!(shown.len() <= url.len());
        }
    }

    #[test]
    fn a_password_is_never_shown(
        scheme in select(vec!["https", "ssh", "oci", "HTTP", "git+ssh"]),
        user in "[a-zA-Z0-9%@:._-]{0,8}",
        password in "[a-zA-Z0-9/+=@:?#-]{0,6}",
        rest in select(vec!["h.org", "h.org/a/b.git", "h.org:8443/a", "[::1]:80/a", "h.org/a?b=c"]),
    ) {
        // One that begins with digits and a slash is a port to everybody.
        let url = format!("{scheme}://{user}:hunter2{password}@{rest}");
        let shown = without_credentials(&url);
        prop_assert!(!shown.contains("hunter2"), "{}", shown);
    }
}
