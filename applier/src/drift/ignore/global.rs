//! What `argocd-cm` says doesn't count, for all applications.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::{Fields, Own, Rule, Status};
use crate::drift::known::Known;

/// The largest text of one key that is read, in bytes.
const MAX_TEXT: usize = 256 * 1024;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Global {
    pub(super) rules: Vec<Arc<Rule>>,
    pub(super) own: Own,
    pub(super) known: Known,
}

/// `resource.compareoptions`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CompareOptions {
    ignore_aggregated_roles: bool,
    ignore_resource_status_field: String,
}

impl Global {
    /// From the keys of the ConfigMap, and what of them can't be used.
    pub(crate) fn read(data: &BTreeMap<String, String>) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        let mut global = Self::default();
        let customizations = api::settings::Settings::read(data).customizations;
        for (of, said) in customizations.iter() {
            let (group, kind) = of.split_once('/').unwrap_or(("", of));
            if let Some(fields) = &said.known_type_fields {
                let told = match fields.list() {
                    Some(list) => {
                        let list = list.iter();
                        let list = list.map(|said| (&*said.field, &*said.type_name));
                        global.known.add(group, kind, list)
                    }
                    None => vec!["it can't be read".to_owned()],
                };
                let told = told.iter();
                problems.extend(told.map(|problem| format!("knownTypeFields of {of}: {problem}")));
            }
            let Some(text) = &said.ignore_differences else {
                continue;
            };
            let Some(fields) = yaml::<Fields>(text) else {
                problems.push(format!("ignoreDifferences of {of} can't be read"));
                continue;
            };
            let mut rule = Rule {
                group: group.into(),
                kind: kind.into(),
                namespace: "".into(),
                name: "".into(),
                pointers: Vec::new(),
                expressions: Vec::new(),
                managers: Vec::new(),
            };
            rule.fill(&fields, &mut |problem| {
                problems.push(format!("ignoreDifferences of {of}: {problem}"));
            });
            global.rules.push(Arc::new(rule));
        }
        if let Some(text) = data.get("resource.compareoptions") {
            match yaml::<CompareOptions>(text) {
                Some(options) => global.own = options.own(),
                None => problems.push("resource.compareoptions can't be read".to_owned()),
            }
        }
        (global, problems)
    }
}

impl CompareOptions {
    fn own(&self) -> Own {
        Own {
            status: match self.ignore_resource_status_field.as_str() {
                "crd" => Status::IgnoredOfDefinitions,
                "none" | "off" | "false" => Status::Counts,
                _ => Status::Ignored,
            },
            aggregated_roles: self.ignore_aggregated_roles,
        }
    }
}

fn yaml<T: Default + for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
    if text.trim().is_empty() {
        return Some(T::default());
    }
    (text.len() <= MAX_TEXT).then(|| serde_saphyr::from_str(text).ok())?
}
