use bus::message::state::{Health, Operation, ReleaseCause, Timeline};
use bus::{ClusterId, Digest, ReleaseId};

use super::*;

fn app(name: &str) -> AppId {
    AppId::new("argocd", name).unwrap()
}

fn order(said: &[(&str, &str)]) -> Order {
    let mut order = Order::default();
    for (name, annotation) in said {
        order.set(&app(name), Some(annotation));
    }
    order
}

fn state() -> ApplierState {
    ApplierState {
        app: app("db"),
        cluster: ClusterId::in_cluster(),
        uid: "u".to_owned(),
        generation: Generation(7),
        sync: SyncStatus::Synced,
        revisions: Vec::new(),
        health: Health {
            status: HealthStatus::Healthy,
            message: String::new(),
            since: 0,
        },
        resources: Vec::new(),
        conditions: Vec::new(),
        operation: None,
        history: Vec::new(),
        pin: None,
        images: Vec::new(),
        observe: false,
        deleted: None,
    }
}

fn operation(generation: u64, phase: OperationPhase) -> Operation {
    Operation {
        release: ReleaseId(1),
        generation: Generation(generation),
        phase,
        message: String::new(),
        revisions: Vec::new(),
        digest: Digest::of(b""),
        cause: ReleaseCause::Automated,
        started: 0,
        finished: None,
        retries: 0,
        timeline: Timeline::default(),
        results: Vec::new(),
        dry_run: false,
    }
}

#[test]
fn the_annotation_names_applications_by_namespace_and_name() {
    let own = app("web");
    let team = AppId::new("team-a", "cache").unwrap();
    assert_eq!(
        read(" argocd/db,\n team-a/cache , argocd/db,", &own),
        Ok(vec![app("db"), team])
    );
    assert!(read("db", &own).unwrap_err().contains("`db`"));
    assert!(read("a/b/c", &own).unwrap_err().contains("`a/b/c`"));
    assert!(read("argocd/web", &own).unwrap_err().contains("itself"));
    let many: Vec<String> = (0..65).map(|at| format!("argocd/a{at}")).collect();
    assert!(read(&many.join(","), &own).unwrap_err().contains("64"));
}

#[test]
fn a_circle_is_said_by_all_of_its_members_and_by_nobody_else() {
    let order = order(&[
        ("a", "argocd/b"),
        ("b", "argocd/c"),
        ("c", "argocd/a"),
        ("follows", "argocd/a"),
        ("apart", "argocd/nobody"),
    ]);
    let said = order.problem(&app("b")).unwrap();
    assert!(
        said.contains("argocd/b depends on argocd/c depends on argocd/a depends on argocd/b"),
        "{said}"
    );
    assert!(order.problem(&app("a")).is_some() && order.problem(&app("c")).is_some());
    assert_eq!(order.problem(&app("follows")), None);
    assert_eq!(order.problem(&app("apart")), None);
}

#[test]
fn what_others_wait_for_takes_its_turn_before_them_and_a_circle_ends() {
    let order = order(&[("web", "argocd/api"), ("api", "argocd/db,argocd/elsewhere")]);
    let all = vec![app("web"), app("api"), app("db"), app("other")];
    let turns = order.turns(all, |it| it);
    assert_eq!(
        turns,
        [
            vec![app("db"), app("other")],
            vec![app("api")],
            vec![app("web")]
        ]
    );
    let circle = self::order(&[("a", "argocd/b"), ("b", "argocd/a")]);
    let turns = circle.turns(vec![app("a"), app("b")], |it| it);
    assert_eq!(turns, [vec![app("a"), app("b")]]);
}

#[test]
fn an_annotation_that_goes_is_news_and_the_same_again_is_not() {
    let mut order = Order::default();
    assert!(order.set(&app("web"), Some("argocd/db")));
    assert!(!order.set(&app("web"), Some("argocd/db ")));
    assert!(order.set(&app("web"), None) && order.is_empty());
}

#[test]
fn only_what_is_released_and_healthy_lets_others_go() {
    assert_eq!(standing(&state()).healthy, Some(Generation(7)));
    let progressing = ApplierState {
        health: Health {
            status: HealthStatus::Progressing,
            ..state().health
        },
        ..state()
    };
    assert_eq!(standing(&progressing).healthy, None);
    // Nothing of the new generation is applied yet, and what is live is well.
    let before = ApplierState {
        sync: SyncStatus::OutOfSync,
        operation: Some(operation(6, OperationPhase::Succeeded)),
        ..state()
    };
    assert_eq!(standing(&before).says, "is OutOfSync");
    // All is live, and a hook for after that still runs, or failed.
    for phase in [OperationPhase::Running, OperationPhase::Failed] {
        let with = ApplierState {
            operation: Some(operation(7, phase)),
            ..state()
        };
        assert_eq!(standing(&with).healthy, None);
    }
    // What failed before doesn't count where nothing is to be released.
    let failed_before = ApplierState {
        operation: Some(operation(6, OperationPhase::Failed)),
        ..state()
    };
    assert_eq!(standing(&failed_before).healthy, Some(Generation(7)));
    let drifted = ApplierState {
        sync: SyncStatus::OutOfSync,
        operation: Some(operation(7, OperationPhase::Succeeded)),
        ..state()
    };
    assert_eq!(standing(&drifted).healthy, Some(Generation(7)));
}
