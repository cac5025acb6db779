//! `argocd-cm`.

use std::{collections::BTreeMap, time::Duration};

use super::{
    customization::Customizations, duration, global_project::GlobalProject,
    impersonation::Impersonation,
};
use crate::{annotations::APP_INSTANCE, tracking::TrackingMethod};

/// Argo CD's limit of a webhook's body, in bytes.
const DEFAULT_MAX_PAYLOAD: usize = 50 << 20;

/// The settings that Towline reads. What can't be read has its default and a line in `problems`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub tracking_method: TrackingMethod,
    pub instance_label_key: String,
    pub installation_id: Option<String>,
    /// How often a repository is looked at without being asked; `None` means the service's own
    /// flag decides, zero means never.
    pub reconciliation_timeout: Option<Duration>,
    pub reconciliation_jitter: Option<Duration>,
    /// Largest body of a webhook, in bytes.
    pub webhook_max_payload: usize,
    pub customizations: Customizations,
    pub kustomize_build_options: Option<String>,
    /// URL schemes that Helm value files may have; present and empty is none.
    pub helm_values_file_schemes: Option<String>,
    /// Tools are on unless they are switched off.
    pub helm: bool,
    pub kustomize: bool,
    pub jsonnet: bool,
    pub resource_exclusions: Option<String>,
    pub resource_inclusions: Option<String>,
    pub impersonation: Impersonation,
    /// In the order in which their rules are added.
    pub global_projects: Vec<GlobalProject>,
    /// What couldn't be read, and why.
    pub problems: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self::read(&BTreeMap::new())
    }
}

impl Settings {
    /// Reads the ConfigMap's data.
    pub fn read(data: &BTreeMap<String, String>) -> Self {
        let mut problems = Vec::new();
        let text = |key: &str| {
            data.get(key)
                .map(String::as_str)
                .filter(|text| !text.is_empty())
        };
        // Argo CD knows one word for it.
        let on = |key: &str| text(key).is_none_or(|word| word == "true");
        let mut time = |key: &str| {
            let value = text(key)?;
            let parsed = duration::parse(value);
            if parsed.is_none() {
                problems.push(format!("{key}: {value:?} is not a duration such as 180s"));
            }
            parsed
        };
        let reconciliation_timeout = time("timeout.reconciliation");
        let reconciliation_jitter = time("timeout.reconciliation.jitter");
        let webhook_max_payload =
            text("webhook.maxPayloadSizeMB").map_or(DEFAULT_MAX_PAYLOAD, |value| {
                if let Ok(megabytes @ 1..=1024) = value.parse::<usize>() {
                    return megabytes << 20;
                }
                problems.push(format!(
                    "webhook.maxPayloadSizeMB: {value:?} is not a whole number from 1 to 1024"
                ));
                DEFAULT_MAX_PAYLOAD
            });
        let tracking_method = match text("application.resourceTrackingMethod") {
            None => TrackingMethod::default(),
            Some(word) => match TrackingMethod::from(word) {
                TrackingMethod::Other(word) => {
                    problems.push(format!(
                        "application.resourceTrackingMethod: {word:?} is none of annotation, label, annotation+label"
                    ));
                    TrackingMethod::default()
                }
                known => known,
            },
        };
        let (customizations, unreadable) = Customizations::read(data);
        problems.extend(unreadable);
        let (global_projects, unreadable) =
            text("globalProjects").map_or_else(Default::default, GlobalProject::read);
        problems.extend(unreadable);
        let word = |key: &str| data.get(key).map(String::as_str);
        Self {
            tracking_method,
            instance_label_key: text("application.instanceLabelKey")
                .unwrap_or(APP_INSTANCE)
                .to_owned(),
            installation_id: text("installationID").map(str::to_owned),
            reconciliation_timeout,
            reconciliation_jitter,
            webhook_max_payload,
            customizations,
            kustomize_build_options: text("kustomize.buildOptions").map(str::to_owned),
            helm_values_file_schemes: data.get("helm.valuesFileSchemes").cloned(),
            helm: on("helm.enable"),
            kustomize: on("kustomize.enable"),
            jsonnet: on("jsonnet.enable"),
            resource_exclusions: text("resource.exclusions").map(str::to_owned),
            resource_inclusions: text("resource.inclusions").map(str::to_owned),
            impersonation: Impersonation::read(
                word("application.sync.impersonation.enabled"),
                word("application.sync.impersonation.enforced"),
            ),
            global_projects,
            problems,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &[(&str, &str)]) -> Settings {
        Settings::read(
            &data
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn without_a_config_map_argo_cds_defaults_hold() {
        let settings = Settings::default();
        assert_eq!(settings.tracking_method, TrackingMethod::Annotation);
        assert_eq!(settings.instance_label_key, "app.kubernetes.io/instance");
        assert_eq!(settings.reconciliation_timeout, None);
    }

    #[test]
    fn what_cannot_be_read_has_its_default_and_is_reported() {
        let settings = read(&[
            ("timeout.reconciliation", "often"),
            ("application.resourceTrackingMethod", "magic"),
            ("webhook.maxPayloadSizeMB", "0"),
        ]);
        assert_eq!(settings.tracking_method, TrackingMethod::Annotation);
        assert_eq!(settings.webhook_max_payload, 50 << 20);
        assert_eq!(settings.problems.len(), 3);
    }

    #[test]
    fn tools_are_on_unless_switched_off() {
        let settings = read(&[("helm.enable", "false"), ("jsonnet.enable", "")]);
        assert!(!settings.helm && settings.kustomize && settings.jsonnet);
    }

    #[test]
    fn customizations_are_read_in_both_forms() {
        let settings = read(&[
            (
                "resource.customizations",
                "argoproj.io/Application:\n  health.lua: |\n    return {}\n  knownTypeFields:\n  - field: spec.size\n    type: core/Quantity\n",
            ),
            (
                "resource.customizations.health.cert-manager.io_Certificate",
                "hs = {}",
            ),
            (
                "resource.customizations.useOpenLibs.cert-manager.io_Certificate",
                "true",
            ),
            (
                "resource.customizations.ignoreDifferences.all",
                "jsonPointers: [/spec/replicas]",
            ),
            ("resource.customizations.health.Service", "core"),
            (
                "resource.customizations.knownTypeFields.example.org_Thing",
                "- field: spec.size\n  type: core/Quantity\n",
            ),
        ]);
        assert_eq!(settings.problems, Vec::<String>::new());
        let of = |group, kind| settings.customizations.get(group, kind).unwrap();
        assert_eq!(
            of("argoproj.io", "Application").health_lua.as_deref(),
            Some("return {}\n")
        );
        assert!(of("cert-manager.io", "Certificate").use_open_libs);
        assert_eq!(of("", "Service").health_lua.as_deref(), Some("core"));
        assert!(of("*", "*").ignore_differences.is_some());
        for (group, kind) in [("argoproj.io", "Application"), ("example.org", "Thing")] {
            let fields = of(group, kind).known_type_fields.as_ref().unwrap();
            let fields = fields.list().unwrap();
            assert_eq!(fields[0].field, "spec.size");
            assert_eq!(fields[0].type_name, "core/Quantity");
        }
    }
}
