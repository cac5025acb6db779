//! What `argocd-cm` says about objects: watcher → appliers of all clusters, in bucket `settings` under [`Settings::KEY`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Message;
use crate::identity::AppId;

/// Keys as they are in the ConfigMap, and their texts: whoever uses one reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    pub data: BTreeMap<String, String>,
    /// Why `data` isn't what the ConfigMap says now but what it said before, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outdated: Option<String>,
}

impl Settings {
    pub const KEY: &'static str = "argocd-cm";
    /// The most bytes that keys and texts may have together.
    pub const MAX_BYTES: usize = 512 * 1024;

    /// Those keys of the ConfigMap that appliers use: what is customized by kind, without actions, and how objects are compared.
    #[must_use]
    pub fn of(config_map: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let wanted = config_map.iter().filter(|(key, _)| is_about_objects(key));
        wanted
            .map(|(key, text)| (key.clone(), text.clone()))
            .collect()
    }

    /// The bytes of keys and texts.
    #[must_use]
    pub fn size(data: &BTreeMap<String, String>) -> usize {
        data.iter().map(|(key, text)| key.len() + text.len()).sum()
    }
}

fn is_about_objects(key: &str) -> bool {
    const COMPARED: [&str; 2] = [
        "resource.compareoptions",
        "resource.sensitive.mask.annotations",
    ];
    match key.strip_prefix("resource.customizations") {
        Some(rest) => rest.is_empty() || rest.starts_with('.') && !rest.starts_with(".actions."),
        None => COMPARED.contains(&key),
    }
}

impl Message for Settings {
    const KIND: &'static str = "settings.published";

    fn about(&self) -> Option<&AppId> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_said_about_objects_is_carried() {
        let key = |key: &str| (key.to_owned(), "text".to_owned());
        let config_map: BTreeMap<_, _> = [
            "resource.customizations",
            "resource.customizations.health.cert-manager.io_Certificate",
            "resource.customizations.useOpenLibs.all",
            "resource.customizations.actions.apps_Deployment",
            "resource.customizationsX",
            "resource.compareoptions",
            "resource.exclusions",
            "dex.config",
            "url",
        ]
        .map(key)
        .into();
        let carried = Settings::of(&config_map);
        assert_eq!(
            carried.keys().map(String::as_str).collect::<Vec<_>>(),
            [
                "resource.compareoptions",
                "resource.customizations",
                "resource.customizations.health.cert-manager.io_Certificate",
                "resource.customizations.useOpenLibs.all",
            ]
        );
    }

    #[test]
    fn the_largest_settings_fit_in_a_message() {
        // Newlines and quotes take two bytes in JSON.
        let text = "\n".repeat(Settings::MAX_BYTES * 9 / 10);
        let data = [("resource.customizations".to_owned(), text)].into();
        assert!(Settings::size(&data) < Settings::MAX_BYTES);
        let body = serde_json::to_vec(&Settings {
            data,
            outdated: None,
        });
        assert!(body.unwrap().len() < crate::MAX_BODY);
    }
}
