use serde_json::json;

use super::super::{Health, HealthStatus};
use super::*;

fn of(keys: &[(&str, &str)]) -> Customizations {
    let data = keys
        .iter()
        .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
    Customizations::read(&data.collect())
}

fn saying(status: &str) -> String {
    format!("return {{status = '{status}', message = obj.metadata.name}}")
}

fn object(api_version: &str, kind: &str) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind, "metadata": {"name": "it"},
        "status": {"conditions": [{"type": "Ready", "status": "True", "message": "by the rule"}]},
    })
}

fn status(customizations: &Customizations, api_version: &str, kind: &str) -> Option<HealthStatus> {
    let assessment = customizations.assess(&object(api_version, kind), 0);
    assert_eq!(assessment.warning, None);
    assessment.health.map(|health| health.status)
}

#[test]
fn a_script_counts_before_the_rule_of_its_kind() {
    let suspended = saying("Suspended");
    let customizations = of(&[
        (
            "resource.customizations.health.cert-manager.io_Certificate",
            &suspended,
        ),
        ("resource.customizations.health.Pod", &suspended),
    ]);
    let found = customizations.assess(&object("cert-manager.io/v1", "Certificate"), 0);
    assert_eq!(found.health, Some(Health::suspended("it")));
    assert_eq!(
        status(&customizations, "v1", "Pod"),
        Some(HealthStatus::Suspended)
    );
    let other = status(&customizations, "cert-manager.io/v1", "Issuer");
    assert_eq!(other, Some(HealthStatus::Healthy), "by convention");
    let other = status(&customizations, "other.io/v1", "Certificate");
    assert_eq!(other, Some(HealthStatus::Healthy), "another group");
}

#[test]
fn a_kind_that_is_named_counts_before_a_pattern_and_patterns_in_their_order() {
    let keys = [
        (
            "resource.customizations.health.*.crossplane.io_*",
            saying("Degraded"),
        ),
        (
            "resource.customizations.health.*.aws.crossplane.io_*",
            saying("Progressing"),
        ),
        (
            "resource.customizations.health.s3.aws.crossplane.io_Bucket",
            saying("Suspended"),
        ),
        ("resource.customizations.health.all", saying("Missing")),
    ];
    let keys: Vec<_> = keys
        .iter()
        .map(|(key, text)| (*key, text.as_str()))
        .collect();
    let customizations = of(&keys[..3]);
    let bucket = status(&customizations, "s3.aws.crossplane.io/v1", "Bucket");
    assert_eq!(bucket, Some(HealthStatus::Suspended));
    let policy = status(&customizations, "s3.aws.crossplane.io/v1", "Policy");
    assert_eq!(policy, Some(HealthStatus::Progressing));
    let release = status(&customizations, "helm.crossplane.io/v1", "Release");
    assert_eq!(release, Some(HealthStatus::Degraded));
    let all = of(&keys[3..]);
    assert_eq!(
        status(&all, "example.org/v1", "Thing"),
        Some(HealthStatus::Missing)
    );
    assert_eq!(
        status(&all, "v1", "ConfigMap"),
        Some(HealthStatus::Healthy),
        "`*/*` has no kinds of the core group, as in Argo CD"
    );
}

#[test]
fn the_text_that_holds_all_customizations_counts_less_than_a_key_of_its_own() {
    let all = "
cert-manager.io/Certificate:
  health.lua: return {status = 'Degraded'}
  ignoreDifferences: |
    jsonPointers: [/spec]
apps/Deployment:
  health.lua.useOpenLibs: true
  health.lua: return {status = ('Healthy'):gsub('x', '')}
'*.example.org/*':
  health.lua: return {status = 'Suspended'}
";
    let customizations = of(&[
        ("resource.customizations", all),
        (
            "resource.customizations.health.cert-manager.io_Certificate",
            "return {status = 'Missing'}",
        ),
    ]);
    assert_eq!(customizations.problems(), [""; 0]);
    let status = |api_version, kind| status(&customizations, api_version, kind);
    assert_eq!(
        status("cert-manager.io/v1", "Certificate"),
        Some(HealthStatus::Missing)
    );
    assert_eq!(
        status("a.example.org/v1", "Thing"),
        Some(HealthStatus::Suspended)
    );
    assert_eq!(status("apps/v1", "Deployment"), Some(HealthStatus::Healthy));
}

#[test]
fn open_libraries_are_there_where_they_are_asked_for() {
    let script = "return {status = string.format('%s', 'Healthy')}";
    let key = "resource.customizations.health.example.org_Thing";
    let thing = object("example.org/v1", "Thing");
    let without = of(&[(key, script)]).assess(&thing, 0);
    assert!(
        without
            .warning
            .unwrap()
            .contains("attempt to index a nil value")
    );
    let open = "resource.customizations.useOpenLibs.example.org_Thing";
    let with = of(&[(key, script), (open, "true")]).assess(&thing, 0);
    assert_eq!(with.health, Some(Health::healthy("")));
    assert_eq!(with.warning, None);
    let wrong = of(&[(key, script), (open, "perhaps")]);
    assert_eq!(
        wrong.problems(),
        [format!("{open}: `perhaps` isn't a boolean")]
    );
}

#[test]
fn a_broken_script_makes_health_unknown_and_says_why() {
    for (script, why) in [
        (
            "this is no Lua",
            "line 1: expected `=` or a call, found `is`",
        ),
        (
            "return obj.status.none.phase",
            "attempt to index a nil value with key 'phase'",
        ),
        (
            "while true do end",
            "the script was stopped: it took too many steps",
        ),
        (
            "while true do pcall(function() while true do end end) end",
            "it took too many steps",
        ),
        (
            "return 'Healthy'",
            "expect table output from Lua script, not string",
        ),
        (
            "return {'Healthy'}",
            "expect table output from Lua script, not a list",
        ),
        (
            "return {status = 'Fine'}",
            "Lua returned an invalid health status: `Fine`",
        ),
        (
            "return {message = 'no status'}",
            "Lua returned an invalid health status: ``",
        ),
    ] {
        let customizations = of(&[("resource.customizations.health.example.org_Thing", script)]);
        assert_eq!(customizations.problems(), [""; 0], "{script}");
        let found = customizations.assess(&object("example.org/v1", "Thing"), 0);
        let health = found.health.unwrap();
        assert_eq!(health.status, HealthStatus::Unknown, "{script}");
        assert!(health.message.contains(why), "{script}: {}", health.message);
        let warning = found.warning.unwrap();
        assert!(
            warning.starts_with("health of Thing: ") && warning.contains(why),
            "{script}: {warning}"
        );
    }
}

#[test]
fn a_script_may_say_nothing() {
    for script in [
        "",
        "return",
        "return nil",
        "return {}",
        "local unused = obj",
    ] {
        let customizations = of(&[("resource.customizations.health.example.org_Thing", script)]);
        let found = customizations.assess(&object("example.org/v1", "Thing"), 0);
        let by_rule = script.is_empty().then(|| Health::healthy("by the rule"));
        assert_eq!(
            found,
            Assessment {
                health: by_rule,
                warning: None
            },
            "{script}"
        );
    }
}

#[test]
fn what_a_script_returns_is_read_as_argo_cd_reads_it() {
    for (script, health) in [
        (
            "return {Status = 'Healthy', MESSAGE = 'ok'}",
            Health::healthy("ok"),
        ),
        (
            "return {status = 'Degraded', message = 5}",
            Health::degraded("5"),
        ),
        (
            "return {status = 'Progressing', other = {1}}",
            Health::progressing(""),
        ),
        ("return 1, {status = 'Suspended'}", Health::suspended("")),
    ] {
        let customizations = of(&[("resource.customizations.health.example.org_Thing", script)]);
        let found = customizations.assess(&object("example.org/v1", "Thing"), 0);
        assert_eq!(found.health, Some(health), "{script}");
    }
    let long = of(&[(
        "resource.customizations.health.Thing",
        "return {status = 'Healthy', message = table.concat({obj.a, obj.a, obj.a, obj.a})}",
    )]);
    let found = long.assess(
        &json!({"apiVersion": "v1", "kind": "Thing", "a": "x".repeat(1_000)}),
        0,
    );
    assert!(found.health.unwrap().message.len() <= super::super::MAX_MESSAGE);
}

#[test]
fn scripts_are_not_asked_of_what_is_deleted_or_not_to_be_looked_at() {
    let healthy = saying("Healthy");
    let customizations = of(&[("resource.customizations.health.Pod", &healthy)]);
    let mut pod = object("v1", "Pod");
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let deleted = customizations.assess(&pod, 0).health.unwrap();
    assert_eq!(deleted, Health::progressing("Pending deletion"));
    pod["metadata"]["annotations"] = json!({"argocd.argoproj.io/ignore-healthcheck": "true"});
    assert_eq!(customizations.assess(&pod, 0), Assessment::default());
}

#[test]
fn a_script_sees_the_time_that_it_is_given() {
    let script = "return {status = 'Healthy', message = tostring(os.time())}";
    let customizations = of(&[("resource.customizations.health.Pod", script)]);
    let found = customizations.assess(&object("v1", "Pod"), 1_767_323_045);
    assert_eq!(found.health, Some(Health::healthy("1767323045")));
}

#[test]
fn what_is_not_understood_is_a_problem_of_its_key_alone() {
    let customizations = of(&[
        ("resource.customizations", "[not, a, map]"),
        ("resource.customizations.helth.Pod", "return nil"),
        ("resource.customizations.health.a_b_c", "return nil"),
        ("resource.customizations.health.[_Thing", "return nil"),
        (
            "resource.customizations.ignoreDifferences.all",
            "jsonPointers: [/status]",
        ),
        (
            "resource.customizations.health.Pod",
            "return {status = 'Suspended'}",
        ),
        ("resource.compareoptions", "ignoreAggregatedRoles: true"),
    ]);
    let problems = customizations.problems();
    assert_eq!(problems.len(), 4, "{problems:?}");
    for expected in [
        "resource.customizations: ",
        "`helth`",
        "`a_b_c`",
        "`[/Thing` is no pattern",
    ] {
        assert!(
            problems.iter().any(|problem| problem.contains(expected)),
            "{expected}: {problems:?}"
        );
    }
    assert_eq!(
        status(&customizations, "v1", "Pod"),
        Some(HealthStatus::Suspended)
    );
}

#[test]
fn only_kinds_whose_script_changed_are_assessed_otherwise() {
    let (one, other) = (saying("Healthy"), saying("Degraded"));
    let key = "resource.customizations.health.example.org_Thing";
    let before = of(&[(key, &one), ("resource.customizations.health.Pod", &one)]);
    let after = of(&[(key, &other), ("resource.customizations.health.Pod", &one)]);
    assert!(!before.agrees_with(&after, "example.org", "Thing"));
    assert!(before.agrees_with(&after, "", "Pod"));
    assert!(before.agrees_with(&after, "", "Service"));
    assert!(!before.agrees_with(&Customizations::default(), "", "Pod"));
    let open = "resource.customizations.useOpenLibs.Pod";
    let opened = of(&[("resource.customizations.health.Pod", &one), (open, "true")]);
    assert!(!before.agrees_with(&opened, "", "Pod"));
    assert!(before.has_script_for(&object("v1", "Pod")));
    assert!(!before.has_script_for(&object("v1", "Service")));
}
