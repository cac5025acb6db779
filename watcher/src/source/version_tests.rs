//! Against what Masterminds' semver v3.5.0 (Helm 4.3.1's) says: `version.tsv`, recorded with Go.

use proptest::prelude::*;

use super::*;

const RECORDED: &str = include_str!("version.tsv");

fn recorded(kind: &str) -> Vec<Vec<String>> {
    let lines = RECORDED.lines().map(|line| {
        line.split('\t')
            .map(|field| field.replace("\\t", "\t"))
            .collect::<Vec<_>>()
    });
    lines.filter(|fields| fields[0] == kind).collect()
}

fn versions() -> Vec<Version> {
    let parsed = recorded("version");
    parsed
        .iter()
        .map(|fields| Version::parse(&fields[1]).unwrap_or_else(|| panic!("{:?}", fields[1])))
        .collect()
}

#[test]
fn what_the_original_refuses_is_refused() {
    for fields in recorded("bad version") {
        assert!(Version::parse(&fields[1]).is_none(), "{:?}", fields[1]);
    }
    for fields in recorded("bad constraint") {
        assert!(Range::parse(&fields[1]).is_none(), "{:?}", fields[1]);
    }
}

#[test]
fn versions_have_the_originals_order() {
    let versions = versions();
    for (fields, version) in recorded("version").iter().zip(&versions) {
        let order = versions.iter().map(|other| match version.cmp(other) {
            Ordering::Less => '<',
            Ordering::Equal => '=',
            Ordering::Greater => '>',
        });
        assert_eq!(order.collect::<String>(), fields[2], "{}", fields[1]);
    }
}

#[test]
fn ranges_contain_what_the_originals_do() {
    let (versions, mut wrong) = (versions(), Vec::new());
    for fields in recorded("constraint") {
        let range = Range::parse(&fields[1]).unwrap_or_else(|| panic!("{:?}", fields[1]));
        for (index, version) in versions.iter().enumerate() {
            let digit = u32::from_str_radix(&fields[2][index / 4..=index / 4], 16).unwrap();
            if (digit >> (3 - index % 4) & 1 == 1) != range.contains(version) {
                wrong.push((fields[1].clone(), version.clone()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} {:?}",
        wrong.len(),
        &wrong[..wrong.len().min(10)]
    );
}

#[test]
fn the_newest_is_chosen_and_pre_releases_only_when_asked_for() {
    let offered = [
        "1.0.0",
        "v1.9.0",
        "1.10.0",
        "2.0.0-rc.1",
        "latest",
        "1.10.0+b",
    ];
    let newest = |range: &str| Range::parse(range).unwrap().newest(offered);
    assert_eq!(newest("*"), Some("1.10.0"));
    assert_eq!(newest("~1.9"), Some("v1.9.0"));
    assert_eq!(newest(">=1-0"), Some("2.0.0-rc.1"));
    assert_eq!(newest("^3"), None);
    assert_eq!(Range::any().newest(offered), Some("1.10.0"));
}

#[test]
fn a_version_is_no_range() {
    assert!(range("1.2").is_none());
    assert!(range("v1.2.3").is_none());
    assert!(range("main").is_none());
    assert!(range("1.x").is_some());
}

proptest! {
    #[test]
    fn no_text_is_a_panic(text in "[0-9xX*|.,<>=!~^ v+a-]{0,40}|.{0,600}") {
        let _ = Version::parse(&text);
        if let Some(range) = Range::parse(&text) {
            let _ = range.contains(&Version::parse("1.2.3-a").unwrap());
        }
    }

    #[test]
    fn what_is_written_out_is_in_its_own_ranges(a in 0u64..50, b in 0u64..50, c in 0u64..50) {
        let text = format!("{a}.{b}.{c}");
        let version = Version::parse(&text).unwrap();
        for operator in ["", "=", "~", "^", ">=", "<="] {
            let range = Range::parse(&format!("{operator}{text}")).unwrap();
            prop_assert!(range.contains(&version));
        }
        for operator in ["!=", "<", ">"] {
            let range = Range::parse(&format!("{operator}{text}")).unwrap();
            prop_assert!(!range.contains(&version));
        }
    }
}
