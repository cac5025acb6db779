//! `Application`: what to deploy, from where, to where.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Extra, GROUP, VERSION};

pub mod condition;
pub mod directory;
mod finalizer;
pub mod helm;
pub mod kustomize;
pub mod operation;
mod precedence;
pub mod source;
pub mod spec;
pub mod status;
pub mod sync_option;
pub mod sync_policy;
mod unknown;

pub use finalizer::{Cascade, is_for_hooks};
pub use operation::Operation;
pub use precedence::{IN_CLUSTER_NAME, IN_CLUSTER_SERVER};
pub use source::ApplicationSource;
pub use spec::{ApplicationDestination, ApplicationSpec};
pub use status::ApplicationStatus;
pub use sync_policy::SyncPolicy;

/// An Argo CD Application. Written out by hand, since kube's derive has no room for `operation`
/// beside `spec` and `status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// `argoproj.io/v1alpha1`; absent on the items of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `Application`; absent on the items of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    pub metadata: ObjectMeta,
    pub spec: ApplicationSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ApplicationStatus>,
    /// A sync that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Application {
    pub const KIND: &'static str = "Application";
    pub const PLURAL: &'static str = "applications";

    pub fn new(name: &str, spec: ApplicationSpec) -> Self {
        Self {
            api_version: Some(format!("{GROUP}/{VERSION}")),
            kind: Some(Self::KIND.to_owned()),
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            spec,
            ..Self::default()
        }
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata
            .annotations
            .as_ref()?
            .get(key)
            .map(String::as_str)
    }
}

impl kube::Resource for Application {
    type DynamicType = ();
    type Scope = kube::core::NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Self::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        Self::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
