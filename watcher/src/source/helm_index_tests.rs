use proptest::prelude::*;
use std::fmt::Write as _;

use super::*;

const REAL: &str = r#"
apiVersion: v1
generated: "2025-01-01T00:00:00Z"
entries:
  web:
  - apiVersion: v2
    appVersion: 1.0.0
    dependencies: [{name: common, repository: "oci://h/c", version: 2.x.x}]
    description: |
      entries: {web: [{version: 9.9.9}]}
    digest: ab12
    name: web
    urls:
    - https://cdn.example.org/web-1.2.3.tgz
    - https://other.example.org/web-1.2.3.tgz
    version: 1.2.3
  - {version: v1.3.0, urls: [charts/web-1.3.0.tgz]}
  - {version: 2.0.0-rc.1, urls: []}
  - {name: broken}
  - null
  "other": []
"#;

fn index() -> Index {
    Index::read(REAL.as_bytes(), |_| true).unwrap()
}

fn version(target: &str) -> String {
    index().pick("web", target).unwrap().version.clone()
}

#[test]
fn only_what_is_needed_of_an_index_stays() {
    let index = index();
    let listed = index.pick("web", "1.2.3").unwrap();
    assert_eq!(
        listed.url.as_deref(),
        Some("https://cdn.example.org/web-1.2.3.tgz")
    );
    assert_eq!(listed.digest.as_deref(), Some("ab12"));
    assert_eq!(index.charts["web"].len(), 3);
}

#[test]
fn a_version_is_chosen_as_helm_does() {
    assert_eq!(version(""), "v1.3.0");
    assert_eq!(version("1.2.3"), "1.2.3");
    assert_eq!(version("v1.2.3"), "1.2.3");
    assert_eq!(version("~1.2"), "1.2.3");
    assert_eq!(version("1.2"), "1.2.3");
    assert_eq!(version(">=1-0"), "2.0.0-rc.1");
    assert_eq!(version("2.0.0-rc.1"), "2.0.0-rc.1");
}

#[test]
fn what_is_not_listed_is_said() {
    let index = index();
    assert!(matches!(index.pick("none", ""), Err(PickError::Chart(_))));
    assert!(matches!(
        index.pick("web", "^3"),
        Err(PickError::Version { .. })
    ));
    assert!(matches!(
        index.pick("web", "main"),
        Err(PickError::Target(_))
    ));
    assert!(matches!(
        index.pick("other", ""),
        Err(PickError::Version { .. })
    ));
}

#[test]
fn what_is_no_index_is_refused() {
    for text in [
        "",
        "a",
        "[]",
        "<html></html>",
        "entries: {}",
        "apiVersion: v1\nentries: {a: [",
        "\u{0}",
    ] {
        assert!(Index::read(text.as_bytes(), |_| true).is_err(), "{text:?}");
    }
    let deep = format!("apiVersion: v1\nx: {}", "[".repeat(10_000));
    assert!(Index::read(deep.as_bytes(), |_| true).is_err());
}

#[test]
fn json_is_an_index_too() {
    let json = r#"{"apiVersion":"v1","entries":{"web":[{"version":"1.0.0","urls":["a.tgz"]}]}}"#;
    let index = Index::read(json.as_bytes(), |_| true).unwrap();
    assert_eq!(index.pick("web", "").unwrap().version, "1.0.0");
}

#[test]
fn aliases_are_not_expanded() {
    let bomb = "apiVersion: v1\na: &a [x, x]\nb: &b [*a, *a]\nentries:\n  web: [{version: 1.0.0, x: *b}]\n";
    assert_eq!(
        Index::read(bomb.as_bytes(), |_| true).unwrap().charts["web"].len(),
        1
    );
}

#[test]
fn a_large_index_leaves_little() {
    let mut text = "apiVersion: v1\nentries:\n".to_owned();
    for chart in 0..50 {
        writeln!(text, "  chart{chart}:").unwrap();
        for patch in 0..200 {
            writeln!(
                text,
                "  - version: 1.0.{patch}\n    description: {}\n    urls:\n    - a-{patch}.tgz",
                "é".repeat(300)
            )
            .unwrap();
        }
    }
    let index = Index::read(text.as_bytes(), |_| true).unwrap();
    assert_eq!(index.pick("chart49", "1.x").unwrap().version, "1.0.199");
}

#[test]
fn an_archive_is_where_helm_looks_for_it() {
    for (repository, reference, expected) in [
        ("https://h/charts", "a-1.tgz", "https://h/charts/a-1.tgz"),
        (
            "https://h/charts/",
            "sub/a-1.tgz",
            "https://h/charts/sub/a-1.tgz",
        ),
        ("https://h/charts", "/a-1.tgz", "https://h/a-1.tgz"),
        ("https://h/charts", "../a-1.tgz", "https://h/a-1.tgz"),
        (
            "https://h/charts?t=1",
            "a-1.tgz",
            "https://h/charts/a-1.tgz?t=1",
        ),
        (
            "https://h/charts",
            "http://other/a.tgz",
            "http://other/a.tgz",
        ),
        ("https://h", "oci://r/a:1", "oci://r/a:1"),
        ("https://h/a", "//other/b.tgz", "https://other/b.tgz"),
    ] {
        let repository = Url::parse(repository).unwrap();
        assert_eq!(resolve(&repository, reference).unwrap().as_str(), expected);
    }
    let index = |url| address(&Url::parse(url).unwrap()).to_string();
    assert_eq!(index("https://h"), "https://h/index.yaml");
    assert_eq!(index("https://h/a/?t=1"), "https://h/a/index.yaml?t=1");
}

proptest! {
    #[test]
    fn no_text_is_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = Index::read(&bytes[..], |_| true);
    }

    #[test]
    fn no_yaml_is_a_panic(text in "(apiVersion: v1\n)?(entries:\n)?([ \\-a-c:{}\\[\\],&*|>!'\"#\n]{0,12}(version|urls|digest|web)?){0,12}") {
        if let Ok(index) = Index::read(text.as_bytes(), |_| true) {
            for chart in index.charts.keys() {
                let _ = index.pick(chart, "*");
            }
        }
    }

    #[test]
    fn no_reference_is_a_panic(reference in ".{0,60}", query in "[a-z=?#/]{0,8}") {
        let repository = Url::parse(&format!("https://h/a/{query}")).unwrap();
        let _ = resolve(&repository, &reference);
    }

    #[test]
    fn characters_cut_anywhere_come_whole(text in "[a-zé€😀]{0,200}") {
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let length = buffer.len().min(1).min(self.0.len());
                buffer[..length].copy_from_slice(&self.0[..length]);
                self.0 = &self.0[length..];
                Ok(length)
            }
        }
        prop_assert_eq!(Characters::new(Slow(text.as_bytes())).collect::<String>(), text);
    }
}
