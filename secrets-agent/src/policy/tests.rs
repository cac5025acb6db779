use bus::message::secret::Purpose;
use proptest::prelude::*;

use super::*;

fn app() -> AppId {
    AppId::new("argocd", "shop").unwrap()
}

fn question(paths: &[&str]) -> Question {
    Question {
        cluster: ClusterId::in_cluster(),
        app: app(),
        generation: Generation(7),
        references: paths
            .iter()
            .map(|path| reference(path, "password"))
            .collect(),
        one_time_key: String::new(),
        time: 0,
        purpose: Purpose::Values,
    }
}

fn reference(path: &str, key: &str) -> Reference {
    Reference {
        path: path.to_owned(),
        key: key.to_owned(),
        version: None,
        optional: false,
        form: PathForm::Api,
    }
}

fn desired() -> DesiredApp {
    DesiredApp {
        app: app(),
        generation: Generation(7),
        project: "team-a".to_owned(),
        namespace: "shop-prod".to_owned(),
    }
}

fn project(globs: &[&str]) -> Project {
    Project {
        name: "team-a".to_owned(),
        secret_paths: globs.iter().map(|glob| (*glob).to_owned()).collect(),
        ..Project::default()
    }
}

fn bounds(globs: &[&str]) -> Bounds {
    Bounds::new(globs.iter().map(|glob| (*glob).to_owned()).collect()).unwrap()
}

/// Judges one path with everything else in order.
fn allows(project_globs: &[&str], bound_globs: &[&str], path: &str) -> bool {
    judge(
        &question(&[path]),
        &ClusterId::in_cluster(),
        Some(&desired()),
        Some(&project(project_globs)),
        &bounds(bound_globs),
    )
    .is_ok()
}

/// As [`allows`], of a path without the segment that its engine adds.
fn allows_short(project_globs: &[&str], path: &str) -> bool {
    let mut question = question(&[path]);
    question.references[0].form = PathForm::Short;
    judge(
        &question,
        &ClusterId::in_cluster(),
        Some(&desired()),
        Some(&project(project_globs)),
        &bounds(&["**"]),
    )
    .is_ok()
}

fn refusal(
    question: &Question,
    desired: Option<&DesiredApp>,
    project: Option<&Project>,
) -> Refusal {
    judge(
        question,
        &ClusterId::in_cluster(),
        desired,
        project,
        &bounds(&["**"]),
    )
    .unwrap_err()
}

#[test]
fn a_path_needs_both_the_project_and_the_agent() {
    let path = "kv/data/shop";
    assert!(allows(&["kv/data/shop"], &["kv/data/*"], path));
    assert!(!allows(&[], &["**"], path));
    assert!(!allows(&["**"], &[], path));
    assert!(!allows(&["kv/data/other"], &["**"], path));
    assert!(!allows(&["**"], &["kv/data/other"], path));
}

#[test]
fn no_trick_of_spelling_gets_past_the_globs() {
    // The project may read anything below its own folder, and the agent allows all.
    let tricks = [
        "",
        "/",
        "kv",
        "kv/",
        "/kv/data/team-a/x",
        "kv/data/team-a/x/",
        "kv/data/team-a//x",
        "kv//data/team-a/x",
        "kv/data/team-a/../team-b/x",
        "kv/data/team-a/..",
        "kv/data/team-a/./x",
        "kv/data/team-a/.../x",
        "../kv/data/team-a/x",
        "kv/data/team-a/..%2fteam-b/x",
        "kv/data/team-a/%2e%2e/team-b/x",
        "kv/data/team-a/%2E%2E/team-b/x",
        "kv/data/team-a%2fx",
        "kv/data/team-a%2Fx",
        "kv/data/team-a%252fx",
        "kv%2fdata%2fteam-b%2fx",
        "kv/data/team-a/..%5cteam-b",
        "kv/data/team-a\\..\\team-b",
        "kv/data/team-a/..\\team-b/x",
        "kv/data/team-a/..;/team-b/x",
        "kv/data/team-a/x;version=1",
        "kv/data/team-a/x?version=1",
        "kv/data/team-a/x?list=true",
        "kv/data/team-a/x#fragment",
        "kv/data/team-a/x\0",
        "kv/data/team-a/\0../team-b",
        "kv/data/team-a/x\n",
        "kv/data/team-a/x\r\nX-Vault-Token: y",
        "kv/data/team-a/\t/x",
        "kv/data/team-a/x y",
        " kv/data/team-a/x",
        "kv/data/team-a/x ",
        "kv/data/team-a/\u{7f}",
        "kv/data/team-a/\u{2024}\u{2024}/team-b",
        "kv/data/team-a/\u{ff0e}\u{ff0e}/team-b",
        "kv/data/team-a\u{2215}..\u{2215}team-b",
        "kv/data/team-a\u{ff0f}x",
        "kv/data/team-a/\u{202e}x",
        "kv/data/team-a/x\u{200b}",
        "kv/data/tea\u{6d}\u{301}-a/x",
        "kv/data/team-a/*",
        "kv/data/team-a/{a,b}",
        "kv/data/team-a/[x]",
        "kv/data/team-a/x'",
        "kv/data/team-a/\"x\"",
        "kv/data/team-a/$(id)",
        "kv/data/team-a/`id`",
        "kv/data/team-a/x|y",
        "kv/data/team-a/x&y",
        "kv/data/team-a/<path:x#y>",
        "https://evil/kv/data/team-a/x",
        "//evil/kv/data/team-a/x",
        "kv/data/team-b/x",
        "KV/data/team-a/x",
        "kv/DATA/team-a/x",
        "kv/data/TEAM-A/x",
        "kv/data/team-ab/x",
        "kv/data/team-a",
        "kv/metadata/team-a/x",
        "kv/destroy/team-a/x",
        "sys/mounts",
        "sys/internal/ui/mounts/kv",
        "SYS/seal-status",
        "auth/token/lookup-self",
        "Auth/token/lookup-self",
        "identity/entity/id",
        "cubbyhole/x",
    ];
    for trick in tricks {
        assert!(!allows(&["kv/data/team-a/**"], &["**"], trick), "{trick:?}");
        assert!(!allows_short(&["kv/data/team-a/**"], trick), "{trick:?}");
    }
    assert!(allows_short(&["kv/data/team-a/**"], "kv/team-a/x"));
    for good in [
        "kv/data/team-a/x",
        "kv/data/team-a/x/y.z",
        "kv/data/team-a/..x",
        "kv/data/team-a/a@b:c+d=e,f~g_h",
    ] {
        assert!(allows(&["kv/data/team-a/**"], &["**"], good), "{good:?}");
    }
}

#[test]
fn even_all_globs_never_reach_vaults_own_mounts() {
    for path in [
        "auth/token/lookup-self",
        "sys/raw/core",
        "identity/oidc/x",
        "cubbyhole/x",
    ] {
        assert!(!allows(&["**", path], &["**", path], path), "{path}");
    }
}

#[test]
fn a_star_stays_within_its_segment() {
    assert!(allows(&["kv/data/*"], &["**"], "kv/data/a"));
    assert!(!allows(&["kv/data/*"], &["**"], "kv/data/a/b"));
    assert!(!allows(&["kv/*"], &["**"], "kv/data/a"));
    assert!(allows(&["kv/**"], &["**"], "kv/data/a/b"));
    assert!(allows(&["kv/data/{a,b}/x"], &["**"], "kv/data/b/x"));
}

#[test]
fn names_of_who_asks_are_put_in() {
    let globs = ["kv/data/{cluster}/{project}/{namespace}/{app}"];
    assert!(allows(
        &globs,
        &globs,
        "kv/data/in-cluster/team-a/shop-prod/shop"
    ));
    assert!(!allows(
        &globs,
        &["**"],
        "kv/data/in-cluster/team-b/shop-prod/shop"
    ));
    assert!(!allows(&["kv/data/{unknown}"], &["**"], "kv/data/unknown"));
    assert!(!allows(&["kv/data/{app"], &["**"], "kv/data/shop"));
}

#[test]
fn a_namespace_that_is_no_name_makes_its_glob_match_nothing() {
    for namespace in [
        "", "*", "**", "..", "a/b", "{a,b}", "[a-z]", "a*", "?", "A", ".a", "a-",
    ] {
        let desired = DesiredApp {
            namespace: namespace.to_owned(),
            ..desired()
        };
        for path in ["kv/data/a/x", "kv/data/x", "kv/data/team-b/x"] {
            let judged = judge(
                &question(&[path]),
                &ClusterId::in_cluster(),
                Some(&desired),
                Some(&project(&["kv/data/{namespace}/x"])),
                &bounds(&["**"]),
            );
            assert!(judged.is_err(), "{namespace:?} {path}");
        }
    }
}

#[test]
fn malformed_globs_match_nothing_in_a_project_and_stop_the_agent() {
    for glob in ["kv/{", "kv/[a", "kv/{who}", "kv/{a,{b,c}}", "kv/\\"] {
        assert!(!allows(&[glob], &["**"], "kv/a"), "{glob}");
        assert!(Bounds::new([glob.to_owned()].into()).is_err(), "{glob}");
    }
    assert!(!allows(&["!kv/data/x"], &["**"], "kv/data/x"));
}

#[test]
fn one_forbidden_reference_refuses_all_and_is_named() {
    let refused = refusal(
        &question(&["kv/data/a", "kv/data/b", "kv/data/c"]),
        Some(&desired()),
        Some(&project(&["kv/data/a"])),
    );
    assert_eq!(refused.reason, RefusalReason::Forbidden);
    assert_eq!(refused.references.len(), 2);
    assert!(refused.message.contains("kv/data/b"), "{}", refused.message);
    assert!(refused.message.contains("1 more"), "{}", refused.message);
    assert!(
        refused.message.contains("towline.dev/secret-paths"),
        "{}",
        refused.message
    );
}

#[test]
fn a_refused_path_is_escaped_where_it_is_shown() {
    let refused = refusal(
        &question(&["kv/\u{1b}[2J\n"]),
        Some(&desired()),
        Some(&project(&["**"])),
    );
    assert!(
        !refused.message.contains('\u{1b}') && !refused.message.contains('\n'),
        "{:?}",
        refused.message
    );
}

#[test]
fn another_clusters_applier_gets_nothing() {
    let mut question = question(&["kv/data/a"]);
    question.cluster = ClusterId::new("edge").unwrap();
    let refused = refusal(&question, Some(&desired()), Some(&project(&["**"])));
    assert_eq!(refused.reason, RefusalReason::Forbidden);
}

#[test]
fn what_is_not_desired_here_is_asked_again_later() {
    let question = question(&["kv/data/a"]);
    let other = DesiredApp {
        app: AppId::new("argocd", "bank").unwrap(),
        ..desired()
    };
    let older = DesiredApp {
        generation: Generation(6),
        ..desired()
    };
    let all = project(&["**"]);
    let wrong_project = Project {
        name: "team-b".to_owned(),
        ..all.clone()
    };
    for (desired, project) in [
        (None, Some(&all)),
        (Some(&other), Some(&all)),
        (Some(&older), Some(&all)),
        (Some(&desired()), None),
        (Some(&desired()), Some(&wrong_project)),
    ] {
        let refused = refusal(&question, desired, project);
        assert_eq!(refused.reason, RefusalReason::NotDesired);
        assert!(refused.reason.is_passing());
    }
}

#[test]
fn an_older_generation_of_a_present_application_may_ask() {
    let newer = DesiredApp {
        generation: Generation(8),
        ..desired()
    };
    let judged = judge(
        &question(&["kv/data/a"]),
        &ClusterId::in_cluster(),
        Some(&newer),
        Some(&project(&["**"])),
        &bounds(&["**"]),
    );
    assert_eq!(judged.unwrap().len(), 1);
}

#[test]
fn a_short_path_may_be_read_where_its_data_may() {
    let judged = |globs: &[&str], path: &str| {
        let mut question = question(&[path]);
        question.references[0].form = PathForm::Short;
        judge(
            &question,
            &ClusterId::in_cluster(),
            Some(&desired()),
            Some(&project(globs)),
            &bounds(&["**"]),
        )
        .map(|allowed| allowed[0].place.clone())
    };
    let path = |text| SecretPath::parse(text).unwrap();
    assert_eq!(
        judged(&["kv/data/team/*"], "kv/team/shop").unwrap(),
        Place::Meant {
            short: path("kv/team/shop"),
            among: vec![path("kv/data/team/shop")],
        }
    );
    assert_eq!(
        judged(&["kv/team/*", "kv/team/data/*"], "kv/team/shop").unwrap(),
        Place::Meant {
            short: path("kv/team/shop"),
            among: vec![path("kv/team/data/shop"), path("kv/team/shop")],
        }
    );
    let refused = judged(&["kv/data/other/*"], "kv/team/shop").unwrap_err();
    assert_eq!(refused.reason, RefusalReason::Forbidden);
    assert!(
        refused.message.contains("kv/data/team/shop"),
        "{}",
        refused.message
    );
    assert!(judged(&["**"], "kv/team/../shop").is_err());
}

#[test]
fn a_key_or_version_that_cannot_exist_is_refused() {
    for (key, version) in [("a\nb", None), ("\0", None), ("a", Some(0))] {
        let mut question = question(&["kv/data/a"]);
        question.references[0].key = key.to_owned();
        question.references[0].version = version;
        let refused = refusal(&question, Some(&desired()), Some(&project(&["**"])));
        assert_eq!(
            refused.reason,
            RefusalReason::Forbidden,
            "{key:?} {version:?}"
        );
    }
}

proptest! {
    #[test]
    fn an_accepted_path_is_its_own_url_path(text in "[a-zA-Z0-9/._%~@:+=,;?#\\\\ -]{0,40}") {
        if let Ok(path) = SecretPath::parse(&text) {
            let url = url::Url::parse(&format!("https://vault/v1/{path}")).unwrap();
            prop_assert_eq!(url.path(), format!("/v1/{path}"));
            prop_assert!(url.query().is_none() && url.fragment().is_none());
            prop_assert_eq!(path.as_str(), text);
        }
    }

    #[test]
    fn any_text_is_judged_without_a_panic(path in ".{0,60}", glob in ".{0,40}") {
        let _ = allows(&[&glob], &["**"], &path);
        let _ = Bounds::new([glob].into());
    }
}
