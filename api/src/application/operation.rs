//! A sync that somebody asked for, and how it went.

use super::{
    source::ApplicationSource,
    spec::Info,
    sync_policy::{ManagedNamespaceMetadata, RetryStrategy},
};
use crate::Timestamp;

object! {
    /// A requested or running operation.
    pub struct Operation {
        optional {
            sync: SyncOperation,
            initiated_by: OperationInitiator,
            info: Vec<Info>,
            retry: RetryStrategy,
        }
    }
}

object! {
    /// Who asked.
    pub struct OperationInitiator {
        optional {
            username: String,
            automated: bool,
        }
    }
}

object! {
    /// A sync.
    pub struct SyncOperation {
        optional {
            revision: String,
            prune: bool,
            dry_run: bool,
            sync_strategy: SyncStrategy,
            /// Only these objects.
            resources: Vec<SyncOperationResource>,
            source: ApplicationSource,
            manifests: Vec<String>,
            sync_options: Vec<String>,
            sources: Vec<ApplicationSource>,
            revisions: Vec<String>,
            auto_heal_attempts_count: i64,
        }
    }
}

object! {
    /// An object to sync.
    pub struct SyncOperationResource {
        required {
            kind: String,
            name: String,
        }
        optional {
            group: String,
            namespace: String,
        }
    }
}

object! {
    /// How to sync.
    pub struct SyncStrategy {
        optional {
            apply: SyncStrategyApply,
            hook: SyncStrategyApply,
        }
    }
}

object! {
    /// How to apply.
    pub struct SyncStrategyApply {
        optional {
            force: bool,
        }
    }
}

object! {
    /// A running or finished operation.
    pub struct OperationState {
        required {
            operation: Operation,
            phase: OperationPhase,
            started_at: Timestamp,
        }
        optional {
            message: String,
            sync_result: SyncOperationResult,
            finished_at: Timestamp,
            retry_count: i64,
        }
    }
}

object! {
    /// What a sync did.
    pub struct SyncOperationResult {
        required {
            revision: String,
        }
        optional {
            resources: Vec<ResourceResult>,
            source: ApplicationSource,
            sources: Vec<ApplicationSource>,
            revisions: Vec<String>,
            managed_namespace_metadata: ManagedNamespaceMetadata,
        }
    }
}

object! {
    /// What a sync did to one object.
    pub struct ResourceResult {
        required {
            group: String,
            version: String,
            kind: String,
            namespace: String,
            name: String,
        }
        optional {
            status: ResultCode,
            message: String,
            hook_type: String,
            hook_phase: OperationPhase,
            sync_phase: String,
            images: Vec<String>,
        }
    }
}

open_enum! {
    /// How far an operation is.
    #[derive(Default)]
    pub enum OperationPhase {
        #[default]
        Running = "Running",
        Terminating = "Terminating",
        Failed = "Failed",
        Error = "Error",
        Succeeded = "Succeeded",
    }
}

impl OperationPhase {
    /// Whether nothing more will happen.
    pub fn completed(&self) -> bool {
        matches!(self, Self::Failed | Self::Error | Self::Succeeded)
    }
}

open_enum! {
    /// What happened to one object.
    pub enum ResultCode {
        Synced = "Synced",
        SyncFailed = "SyncFailed",
        Pruned = "Pruned",
        PruneSkipped = "PruneSkipped",
    }
}
