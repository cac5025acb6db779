//! What of the overview is shown, by query string.

use bus::message::state::{HealthStatus, SyncStatus};
use maud::{Markup, html};
use serde::Deserialize;

use crate::view::View;

/// Words that mean nothing filter nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    pub(crate) health: String,
    pub(crate) sync: String,
    pub(crate) name: String,
}

impl Filter {
    pub(crate) fn shows(&self, view: &View) -> bool {
        let health = HealthStatus::ALL
            .iter()
            .find(|status| status.as_str() == self.health);
        let sync = SyncStatus::ALL
            .iter()
            .find(|status| status.as_str() == self.sync);
        let name = self.name.trim().to_lowercase();
        health.is_none_or(|health| view.health.status == *health)
            && sync.is_none_or(|sync| view.sync == *sync)
            && (name.is_empty()
                || view.app.name().contains(&name)
                || view.service.to_lowercase().contains(&name))
    }

    pub(crate) fn form(&self) -> Markup {
        let select = |name: &str, label: &str, words: &[&str], chosen: &str| {
            html! {
                label { span { (label) }
                    select name=(name) {
                        option value="" { "all" }
                        @for word in words {
                            option value=(word) selected[*word == chosen] { (word) }
                        }
                    }
                }
            }
        };
        let health = HealthStatus::ALL.map(HealthStatus::as_str);
        let sync = SyncStatus::ALL.map(SyncStatus::as_str);
        html! {
            form class="filter" method="get" action="/" role="search" {
                label { span { "Name" } input type="search" name="name" value=(self.name) maxlength="253" autocomplete="off"; }
                (select("health", "Health", &health, &self.health))
                (select("sync", "Sync", &sync, &self.sync))
                button { "Filter" }
            }
        }
    }
}
