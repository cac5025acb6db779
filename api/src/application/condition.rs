//! Argo CD's condition types, and the few it has no word for.

pub const DELETION_ERROR: &str = "DeletionError";
/// The Application or its project doesn't allow what the spec says.
pub const INVALID_SPEC_ERROR: &str = "InvalidSpecError";
/// The source can't be read or rendered.
pub const COMPARISON_ERROR: &str = "ComparisonError";
pub const SYNC_ERROR: &str = "SyncError";
pub const UNKNOWN_ERROR: &str = "UnknownError";
pub const SHARED_RESOURCE_WARNING: &str = "SharedResourceWarning";
pub const REPEATED_RESOURCE_WARNING: &str = "RepeatedResourceWarning";
pub const EXCLUDED_RESOURCE_WARNING: &str = "ExcludedResourceWarning";
pub const ORPHANED_RESOURCE_WARNING: &str = "OrphanedResourceWarning";
/// Towline's: the spec has fields that this version doesn't know.
pub const UNKNOWN_FIELD_WARNING: &str = "UnknownFieldWarning";

/// Whether a condition is an error (Argo CD's convention: by its name).
pub fn is_error(kind: &str) -> bool {
    kind.ends_with("Error")
}
