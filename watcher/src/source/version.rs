//! Versions and ranges exactly as Helm and Argo CD read them, which is how Masterminds' semver (Go) does: its regular expressions and
//! comparisons, not semver.org's. Pure; `version.tsv` holds what the original says.

use std::cmp::Ordering;
use std::sync::LazyLock;

use regex::Regex;

/// Longest version that is read, in bytes.
const MAX_VERSION: usize = 256;
/// Longest range that is read, in bytes.
const MAX_RANGE: usize = 512;
/// Alternatives in one range, at most.
const MAX_ALTERNATIVES: usize = 32;

const EXTRA: &str =
    r"(-([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?(?:\+([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?";
const SPACE: &str = r"[\t\n\f\r ]";
const OPERATOR: &str = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";

/// A pattern that is known to compile: a test makes each.
struct Pattern(LazyLock<Option<Regex>>);

impl Pattern {
    const fn new(make: fn() -> Option<Regex>) -> Self {
        Self(LazyLock::new(make))
    }

    fn get(&self) -> Option<&Regex> {
        self.0.as_ref()
    }
}

/// A version with wildcards; its groups are the three parts and `EXTRA`'s.
fn wild() -> String {
    format!(r"v?([0-9|xX*]+)(?:\.([0-9|xX*]+))?(?:\.([0-9|xX*]+))?{EXTRA}")
}

/// The same without groups.
fn wild_plain() -> String {
    wild().replace("(?:", "(").replace('(', "(?:")
}

static VERSION: Pattern = Pattern::new(|| {
    let parts = r"^v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?";
    Regex::new(&format!("{parts}{EXTRA}$")).ok()
});
static COMPARATOR: Pattern = Pattern::new(|| {
    let wild = wild();
    Regex::new(&format!("^{SPACE}*({OPERATOR}){SPACE}*{wild}{SPACE}*$")).ok()
});
static COMPARATORS: Pattern =
    Pattern::new(|| Regex::new(&format!("(?:{OPERATOR}){SPACE}*{}", wild_plain())).ok());
static ALTERNATIVE: Pattern = Pattern::new(|| {
    let one = format!("(?:{OPERATOR}){SPACE}*{}{SPACE}*", wild_plain());
    Regex::new(&format!("^{SPACE}*{one}(?:(?:{SPACE}+|,{SPACE}*){one})*$")).ok()
});
static HYPHEN: Pattern = Pattern::new(|| {
    let one = wild_plain();
    Regex::new(&format!("{SPACE}*({one}){SPACE}+-{SPACE}+({one}){SPACE}*")).ok()
});

/// A version, ordered as semver says; what comes after `+` doesn't count.
#[derive(Clone, Debug)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    /// Empty for a release.
    pre: String,
}

impl Version {
    /// Reads `1`, `1.2`, `v1.2.3-rc.1+build`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_VERSION {
            return None;
        }
        let found = VERSION.get()?.captures(text)?;
        let number = |group| {
            found
                .get(group)
                .map_or(Some(0), |part| part.as_str().parse().ok())
        };
        let pre = found.get(5).map_or("", |part| part.as_str());
        let padded = |part: &str| {
            part.len() > 1
                && part.starts_with('0')
                && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if pre.split('.').any(padded) {
            return None;
        }
        Some(Self {
            major: number(1)?,
            minor: number(2)?,
            patch: number(3)?,
            pre: pre.to_owned(),
        })
    }

    fn pre_release(&self) -> bool {
        !self.pre.is_empty()
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = |version: &Self| (version.major, version.minor, version.patch);
        numbers(self).cmp(&numbers(other)).then_with(|| {
            match (self.pre.as_str(), other.pre.as_str()) {
                ("", "") => Ordering::Equal,
                ("", _) => Ordering::Greater,
                (_, "") => Ordering::Less,
                (ours, theirs) => pre_releases(ours, theirs),
            }
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

fn pre_releases(ours: &str, theirs: &str) -> Ordering {
    let (mut ours, mut theirs) = (ours.split('.'), theirs.split('.'));
    loop {
        let order = match (ours.next(), theirs.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(our), Some(their)) => match (our.parse::<u64>(), their.parse::<u64>()) {
                _ if our == their => Ordering::Equal,
                (Ok(our), Ok(their)) => our.cmp(&their),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => our.cmp(their),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    Not,
    Greater,
    Less,
    AtLeast,
    AtMost,
    Tilde,
    Caret,
}

/// How much of a comparator's version was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Nothing,
    Major,
    Minor,
    All,
}

#[derive(Clone, Debug)]
struct Comparator {
    operator: Operator,
    than: Version,
    written: Written,
}

/// A range of versions: `^1.2`, `>= 1, < 3`, `1.x || 2.5 - 3`.
#[derive(Clone, Debug)]
pub struct Range {
    alternatives: Vec<Vec<Comparator>>,
}

impl Range {
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_RANGE {
            return None;
        }
        let text = without_hyphens(text)?;
        if text.split("||").count() > MAX_ALTERNATIVES {
            return None;
        }
        let alternatives = text.split("||").map(|alternative| {
            if !ALTERNATIVE.get()?.is_match(alternative) {
                return None;
            }
            let found = COMPARATORS.get()?.find_iter(alternative);
            found.map(|one| Comparator::parse(one.as_str())).collect()
        });
        Some(Self {
            alternatives: alternatives.collect::<Option<_>>()?,
        })
    }

    /// Everything but pre-releases.
    pub fn any() -> Self {
        Self {
            alternatives: vec![vec![Comparator {
                operator: Operator::Equal,
                than: Version {
                    major: 0,
                    minor: 0,
                    patch: 0,
                    pre: String::new(),
                },
                written: Written::Nothing,
            }]],
        }
    }

    pub fn contains(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|all| {
            // Pre-releases count only for who asks for one.
            let asked = all.iter().any(|one| one.than.pre_release());
            (asked || !version.pre_release()) && all.iter().all(|one| one.holds(version))
        })
    }

    /// The newest of the versions; the first of equal ones.
    pub fn newest<'a>(&self, versions: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        let mut newest: Option<(Version, &str)> = None;
        for text in versions {
            let Some(version) = Version::parse(text).filter(|version| self.contains(version))
            else {
                continue;
            };
            if newest.as_ref().is_none_or(|(known, _)| version > *known) {
                newest = Some((version, text));
            }
        }
        newest.map(|(_, text)| text)
    }
}

/// A target revision that is a range and no version by itself, as Argo CD tells them apart.
pub fn range(target: &str) -> Option<Range> {
    match Version::parse(target) {
        Some(_) => None,
        None => Range::parse(target),
    }
}

/// `1 - 2` is `>= 1, <= 2`.
fn without_hyphens(text: &str) -> Option<String> {
    let mut written = text.to_owned();
    for found in HYPHEN.get()?.captures_iter(text) {
        let comparators = format!(">= {}, <= {} ", &found[1], &found[2]);
        written = written.replacen(&found[0], &comparators, 1);
    }
    Some(written)
}

impl Comparator {
    fn parse(text: &str) -> Option<Self> {
        let found = COMPARATOR.get()?.captures(text)?;
        let operator = match &found[1] {
            "!=" => Operator::Not,
            ">" => Operator::Greater,
            "<" => Operator::Less,
            ">=" | "=>" => Operator::AtLeast,
            "<=" | "=<" => Operator::AtMost,
            "~" | "~>" => Operator::Tilde,
            "^" => Operator::Caret,
            _ => Operator::Equal,
        };
        let part = |group| {
            let part = found.get(group).map(|part| part.as_str());
            part.filter(|part| !matches!(*part, "x" | "X" | "*"))
        };
        let pre = found.get(5).map_or("", |pre| pre.as_str());
        let (than, written) = match (part(2), part(3), part(4)) {
            (None, ..) => (format!("0.0.0{pre}"), Written::Nothing),
            (Some(major), None, _) => (format!("{major}.0.0{pre}"), Written::Major),
            (Some(major), Some(minor), None) => (format!("{major}.{minor}.0{pre}"), Written::Minor),
            (Some(major), Some(minor), Some(patch)) => {
                (format!("{major}.{minor}.{patch}{pre}"), Written::All)
            }
        };
        Some(Self {
            operator,
            than: Version::parse(&than)?,
            written,
        })
    }

    fn holds(&self, version: &Version) -> bool {
        let (than, written) = (&self.than, self.written);
        match self.operator {
            Operator::Equal if written == Written::All => version == than,
            Operator::Equal | Operator::Tilde => self.tilde(version),
            Operator::Not => self.differs(version),
            Operator::Greater => match written {
                Written::All | Written::Nothing => version > than,
                Written::Minor => (version.major, version.minor) > (than.major, than.minor),
                Written::Major => version.major > than.major,
            },
            Operator::Less => version < than,
            Operator::AtLeast => version >= than,
            Operator::AtMost => match written {
                Written::All => version <= than,
                Written::Major => version.major <= than.major,
                Written::Minor | Written::Nothing => {
                    (version.major, version.minor) <= (than.major, than.minor)
                }
            },
            Operator::Caret => self.caret(version),
        }
    }

    fn differs(&self, version: &Version) -> bool {
        let than = &self.than;
        match self.written {
            Written::All | Written::Nothing => version != than,
            Written::Major => version.major != than.major,
            Written::Minor => {
                (version.major, version.minor) != (than.major, than.minor)
                    || pre_releases(&version.pre, &than.pre) != Ordering::Equal
            }
        }
    }

    fn tilde(&self, version: &Version) -> bool {
        let (than, written) = (&self.than, self.written);
        if version < than {
            return false;
        }
        let zero = (than.major, than.minor, than.patch) == (0, 0, 0);
        if zero && !matches!(written, Written::Major | Written::Minor) {
            return true;
        }
        version.major == than.major && (version.minor == than.minor || written == Written::Major)
    }

    fn caret(&self, version: &Version) -> bool {
        let than = &self.than;
        if version < than || version.major != than.major {
            return false;
        }
        if than.major > 0 || self.written == Written::Major {
            return true;
        }
        if version.minor != than.minor {
            return false;
        }
        than.minor > 0 || self.written == Written::Minor || version.patch == than.patch
    }
}

#[cfg(test)]
#[path = "version_tests.rs"]
mod tests;
