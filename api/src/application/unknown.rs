//! Which fields of a spec this version doesn't know.

use std::collections::BTreeSet;

use super::{
    ApplicationSpec,
    source::{ApplicationSource, Kustomize},
};
use crate::Extra;

impl ApplicationSpec {
    /// Paths of fields that are kept but have no meaning here, for a condition that says so.
    pub fn unknown_fields(&self) -> BTreeSet<String> {
        let mut found = Found(BTreeSet::new());
        found.add("spec", &self.extra);
        found.add("spec.destination", &self.destination.extra);
        if let Some(policy) = &self.sync_policy {
            found.add("spec.syncPolicy", &policy.extra);
            if let Some(automated) = &policy.automated {
                found.add("spec.syncPolicy.automated", &automated.extra);
            }
            if let Some(retry) = &policy.retry {
                found.add("spec.syncPolicy.retry", &retry.extra);
            }
        }
        for difference in self.ignore_differences.iter().flatten() {
            found.add("spec.ignoreDifferences[]", &difference.extra);
        }
        if let Some(source) = &self.source {
            found.source("spec.source", source);
        }
        for source in self.sources.iter().flatten() {
            found.source("spec.sources[]", source);
        }
        found.0
    }
}

struct Found(BTreeSet<String>);

impl Found {
    fn add(&mut self, at: &str, extra: &Extra) {
        self.0.extend(extra.keys().map(|key| format!("{at}.{key}")));
    }

    fn source(&mut self, at: &str, source: &ApplicationSource) {
        self.add(at, &source.extra);
        if let Some(helm) = &source.helm {
            self.add(&format!("{at}.helm"), &helm.extra);
            for parameter in helm.parameters.iter().flatten() {
                self.add(&format!("{at}.helm.parameters[]"), &parameter.extra);
            }
            for parameter in helm.file_parameters.iter().flatten() {
                self.add(&format!("{at}.helm.fileParameters[]"), &parameter.extra);
            }
        }
        if let Some(kustomize) = &source.kustomize {
            self.kustomize(at, kustomize);
        }
        if let Some(directory) = &source.directory {
            self.add(&format!("{at}.directory"), &directory.extra);
            if let Some(jsonnet) = &directory.jsonnet {
                self.add(&format!("{at}.directory.jsonnet"), &jsonnet.extra);
            }
        }
    }

    fn kustomize(&mut self, at: &str, kustomize: &Kustomize) {
        self.add(&format!("{at}.kustomize"), &kustomize.extra);
        for replica in kustomize.replicas.iter().flatten() {
            self.add(&format!("{at}.kustomize.replicas[]"), &replica.extra);
        }
        for patch in kustomize.patches.iter().flatten() {
            self.add(&format!("{at}.kustomize.patches[]"), &patch.extra);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_are_named_by_path() {
        let spec: ApplicationSpec = serde_json::from_value(json!({
            "destination": {"region": "north"},
            "source": {"repoURL": "a", "helm": {"turbo": true, "parameters": [{"name": "x"}]}},
        }))
        .unwrap();
        let fields: Vec<_> = spec.unknown_fields().into_iter().collect();
        assert_eq!(
            fields,
            ["spec.destination.region", "spec.source.helm.turbo"]
        );
    }
}
