//! The destination's namespace, where the application asks for it.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::App;
use super::target::Target;
use crate::cluster::Cluster;
use crate::execute::{self, WantedNamespace};

impl App {
    /// Makes the namespace, and keeps its metadata as they are said.
    pub(super) async fn create_namespace(
        &mut self,
        target: &Target,
        writer: &Cluster,
        name: &str,
    ) -> Result<(), String> {
        let spec = &target.present.spec;
        let project = self.ctx.projects.get(spec.project());
        let permitted = project
            .is_some_and(|project| project.spec.permits_cluster_resource("", "Namespace", name));
        let wanted = WantedNamespace {
            name,
            metadata: spec
                .sync_policy
                .as_ref()
                .and_then(|policy| policy.managed_namespace_metadata.as_ref()),
            owner: &self.hash,
            permitted: permitted && self.ctx.bounds.cluster_objects,
        };
        execute::create_namespace(writer, &wanted)
            .await
            .map_err(|error| format!("making namespace {name}: {}", error.describe()))?;
        if let Some(record) = &mut self.record {
            record.namespace = said(target);
        }
        Ok(())
    }

    /// Whether the namespace's metadata aren't what was last written.
    pub(super) fn namespace_is_due(&self, target: &Target) -> bool {
        let said = said(target);
        let written = self
            .record
            .as_ref()
            .and_then(|record| record.namespace.as_ref());
        said.is_some() && said.as_ref() != written
    }
}

/// The namespace that the application asks for.
pub(super) fn wanted(target: &Target) -> Option<&str> {
    let spec = &target.present.spec;
    let namespace = spec.destination.namespace();
    (spec.option("CreateNamespace") == Some("true") && !namespace.is_empty()).then_some(namespace)
}

/// What the application says of its namespace's metadata, by digest; none where it says nothing.
fn said(target: &Target) -> Option<Box<str>> {
    let namespace = wanted(target)?;
    let policy = target.present.spec.sync_policy.as_ref()?;
    let metadata = policy.managed_namespace_metadata.as_ref()?;
    let text = json!([namespace, metadata.labels, metadata.annotations]).to_string();
    Some(hex::encode(&Sha256::digest(text.as_bytes())[..16]).into())
}
