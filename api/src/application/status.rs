//! What an application is.

use super::{
    operation::{OperationInitiator, OperationState},
    source::{ApplicationSource, SourceHydrator},
    spec::{ApplicationDestination, ResourceIgnoreDifferences},
};
use crate::Timestamp;

object! {
    /// What an application is.
    pub struct ApplicationStatus {
        optional {
            resources: Vec<ResourceStatus>,
            sync: SyncStatus,
            health: HealthStatus,
            history: Vec<RevisionHistory>,
            conditions: Vec<ApplicationCondition>,
            reconciled_at: Timestamp,
            operation_state: OperationState,
            observed_at: Timestamp,
            source_type: String,
            summary: ApplicationSummary,
            resource_health_source: String,
            source_types: Vec<String>,
            controller_namespace: String,
            source_hydrator: SourceHydratorStatus,
        }
    }
}

object! {
    /// Live against desired.
    pub struct SyncStatus {
        required {
            status: SyncStatusCode,
        }
        optional {
            compared_to: ComparedTo,
            revision: String,
            revisions: Vec<String>,
        }
    }
}

object! {
    /// What live was compared to.
    pub struct ComparedTo {
        required {
            destination: ApplicationDestination,
        }
        optional {
            source: ApplicationSource,
            sources: Vec<ApplicationSource>,
            ignore_differences: Vec<ResourceIgnoreDifferences>,
        }
    }
}

object! {
    /// How an application or object does.
    pub struct HealthStatus {
        optional {
            status: HealthStatusCode,
            message: String,
            last_transition_time: Timestamp,
        }
    }
}

object! {
    /// One object of an application.
    pub struct ResourceStatus {
        optional {
            group: String,
            version: String,
            kind: String,
            namespace: String,
            name: String,
            status: SyncStatusCode,
            health: HealthStatus,
            hook: bool,
            requires_pruning: bool,
            sync_wave: i64,
            requires_deletion_confirmation: bool,
        }
    }
}

object! {
    /// A past deployment.
    pub struct RevisionHistory {
        required {
            deployed_at: Timestamp,
            id: i64,
        }
        optional {
            revision: String,
            source: ApplicationSource,
            deploy_started_at: Timestamp,
            sources: Vec<ApplicationSource>,
            revisions: Vec<String>,
            initiated_by: OperationInitiator,
        }
    }
}

object! {
    /// Something that people should know.
    pub struct ApplicationCondition {
        required {
            /// See [`super::condition`].
            #[serde(rename = "type")]
            kind: String,
            message: String,
        }
        optional {
            last_transition_time: Timestamp,
        }
    }
}

object! {
    /// Links and images.
    pub struct ApplicationSummary {
        optional {
            #[serde(rename = "externalURLs")]
            external_urls: Vec<String>,
            images: Vec<String>,
            is_app_of_apps: bool,
        }
    }
}

object! {
    /// How far hydration is.
    pub struct SourceHydratorStatus {
        optional {
            last_successful_operation: HydrateOperation,
            current_operation: HydrateOperation,
            last_compared_dry_revision: String,
        }
    }
}

object! {
    /// One hydration.
    pub struct HydrateOperation {
        optional {
            started_at: Timestamp,
            finished_at: Timestamp,
            phase: String,
            message: String,
            #[serde(rename = "drySHA")]
            dry_sha: String,
            #[serde(rename = "hydratedSHA")]
            hydrated_sha: String,
            source_hydrator: SourceHydrator,
        }
    }
}

open_enum! {
    /// Live against desired.
    #[derive(Default)]
    pub enum SyncStatusCode {
        #[default]
        Unknown = "Unknown",
        Synced = "Synced",
        OutOfSync = "OutOfSync",
    }
}

open_enum! {
    /// How an application or object does.
    pub enum HealthStatusCode {
        Unknown = "Unknown",
        Progressing = "Progressing",
        Healthy = "Healthy",
        Suspended = "Suspended",
        Degraded = "Degraded",
        Missing = "Missing",
    }
}
