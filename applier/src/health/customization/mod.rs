//! Health by the Lua scripts of `argocd-cm`, which count before the rules of this crate.

mod read;
mod result;

use std::collections::BTreeMap;
use std::sync::Arc;

use lua::{Libraries, Limits, Script};
use serde_json::Value;

use self::read::{Said, read};
use super::Health;
use super::fields::{Fields, cut};

/// The longest reason why a script failed, in bytes.
const MAX_REASON: usize = 300;

/// How a live object was found to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assessment {
    /// None where the kind has none, and where the object asks not to be looked at.
    pub health: Option<Health>,
    /// Why the script of its kind said nothing, for a person. Its health is Unknown then.
    pub warning: Option<String>,
}

/// Scripts by kind. The default has none.
#[derive(Debug, Default)]
pub struct Customizations {
    exact: BTreeMap<String, Rule>,
    /// In the order of their patterns; the first that matches counts.
    patterns: Vec<(String, Rule)>,
    problems: Vec<String>,
}

#[derive(Clone, Debug)]
struct Rule {
    /// Two rules are the same if they were said in the same words.
    text: Arc<str>,
    libraries: Libraries,
    script: Result<Arc<Script>, String>,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.libraries == other.libraries
    }
}

impl Customizations {
    /// From keys and texts of `argocd-cm`; others than of customizations are left alone. What isn't understood says nothing, and is a problem.
    #[must_use]
    pub fn read(data: &BTreeMap<String, String>) -> Self {
        let (said, problems) = read(data);
        let mut read = Self {
            problems,
            ..Self::default()
        };
        for (kind, said) in said {
            if !kind.contains(['*', '?', '[', '{', '\\']) {
                read.exact.insert(kind, Rule::of(said));
            } else if api::glob::matches(&kind, "", None).is_some() {
                read.patterns.push((kind, Rule::of(said)));
            } else {
                read.problems
                    .push(format!("resource.customizations: `{kind}` is no pattern"));
            }
        }
        read
    }

    /// Why keys say nothing, each with its key.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Whether objects of this kind are assessed in the same way as by `other`.
    #[must_use]
    pub fn agrees_with(&self, other: &Self, group: &str, kind: &str) -> bool {
        self.rule(group, kind) == other.rule(group, kind)
    }

    /// Whether to assess this object takes the time that a script takes.
    #[must_use]
    pub fn has_script_for(&self, object: &Value) -> bool {
        let (group, kind) = super::kind_of(Fields(object));
        self.rule(group, kind).is_some()
    }

    /// The health of a live object: by the script of its kind, or by the rule that this crate has for it.
    ///
    /// `now` is in seconds since 1970, and all that a script sees of the time.
    #[must_use]
    pub fn assess(&self, object: &Value, now: i64) -> Assessment {
        let mut warning = None;
        let health = super::judged(object, || {
            let (group, kind) = super::kind_of(Fields(object));
            let rule = self.rule(group, kind)?;
            Some(rule.ask(object, now).unwrap_or_else(|why| {
                let health = Health::unknown(why.clone());
                warning = Some(format!("health of {kind}: {why}"));
                Some(health)
            }))
        });
        Assessment { health, warning }
    }

    fn rule(&self, group: &str, kind: &str) -> Option<&Rule> {
        let name = match group {
            "" => kind.to_owned(),
            group => format!("{group}/{kind}"),
        };
        let matching = || {
            let mut patterns = self.patterns.iter();
            let found = patterns
                .find(|(pattern, _)| api::glob::matches(pattern, &name, None) == Some(true));
            found.map(|(_, rule)| rule)
        };
        self.exact.get(&name).or_else(matching)
    }
}

impl Rule {
    fn of(said: Said) -> Self {
        let script = Script::parse(&said.script)
            .map(Arc::new)
            .map_err(|error| bounded(&error.to_string()));
        Self {
            text: said.script.into(),
            libraries: said.libraries,
            script,
        }
    }

    /// What the script says, which may be nothing.
    fn ask(&self, object: &Value, now: i64) -> Result<Option<Health>, String> {
        let script = self.script.as_ref().map_err(Clone::clone)?;
        let returned = script
            .run(object, self.libraries, Limits::default(), now)
            .map_err(|error| bounded(&error.to_string()))?;
        result::health(&returned).map_err(|why| bounded(&why))
    }
}

fn bounded(why: &str) -> String {
    let mut why = why.to_owned();
    cut(&mut why, MAX_REASON);
    why
}

#[cfg(test)]
mod tests;
