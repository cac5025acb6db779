//! Every annotation, label and finalizer key of Argo CD and Towline that the services read or write.

/// `normal` or `hard`: look at the source again now. Removed when that is done.
pub const REFRESH: &str = "argocd.argoproj.io/refresh";
/// Set together with [`REFRESH`] to tell one request from the next.
pub const REFRESH_TIMESTAMP: &str = "argocd.argoproj.io/refresh-timestamp";
pub const REFRESH_NORMAL: &str = "normal";
pub const REFRESH_HARD: &str = "hard";
/// `"true"` on an Application: leave it alone.
pub const SKIP_RECONCILE: &str = "argocd.argoproj.io/skip-reconcile";
pub const TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";
pub const INSTALLATION_ID: &str = "argocd.argoproj.io/installation-id";
pub const SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";
pub const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
pub const COMPARE_OPTIONS: &str = "argocd.argoproj.io/compare-options";
pub const HOOK: &str = "argocd.argoproj.io/hook";
pub const HOOK_DELETE_POLICY: &str = "argocd.argoproj.io/hook-delete-policy";
pub const HOOK_FINALIZER: &str = "argocd.argoproj.io/hook-finalizer";
pub const IGNORE_HEALTHCHECK: &str = "argocd.argoproj.io/ignore-healthcheck";
pub const IGNORE_RESTART_POLICY: &str = "argocd.argoproj.io/ignore-restart-policy";
pub const IGNORE_RESOURCE_UPDATES: &str = "argocd.argoproj.io/ignore-resource-updates";
/// Read by Argo CD; Towline records a render's inputs instead and needs no upkeep by hand.
pub const MANIFEST_GENERATE_PATHS: &str = "argocd.argoproj.io/manifest-generate-paths";
pub const DELETION_APPROVED: &str = "argocd.argoproj.io/deletion-approved";
pub const CLIENT_SIDE_APPLY_MIGRATION_MANAGER: &str =
    "argocd.argoproj.io/client-side-apply-migration-manager";
pub const MANAGED_BY_URL: &str = "argocd.argoproj.io/managed-by-url";
pub const HYDRATE: &str = "argocd.argoproj.io/hydrate";
pub const APPLICATION_SET_REFRESH: &str = "argocd.argoproj.io/application-set-refresh";
pub const LINK_PREFIX: &str = "link.argocd.argoproj.io/";

/// Helm's own hook annotations, which Argo CD maps to its phases.
pub const HELM_HOOK: &str = "helm.sh/hook";
pub const HELM_HOOK_WEIGHT: &str = "helm.sh/hook-weight";
pub const HELM_HOOK_DELETE_POLICY: &str = "helm.sh/hook-delete-policy";
/// `keep`: stays when its release is deleted.
pub const HELM_RESOURCE_POLICY: &str = "helm.sh/resource-policy";

/// Label on the Secrets that Argo CD reads: `repository`, `repo-creds` or `cluster`.
pub const SECRET_TYPE: &str = "argocd.argoproj.io/secret-type";
/// Argo CD's default instance label.
pub const APP_INSTANCE: &str = "app.kubernetes.io/instance";

pub const RESOURCES_FINALIZER: &str = "resources-finalizer.argocd.argoproj.io";
pub const FOREGROUND_FINALIZER: &str = "resources-finalizer.argocd.argoproj.io/foreground";
pub const BACKGROUND_FINALIZER: &str = "resources-finalizer.argocd.argoproj.io/background";
pub const PRE_DELETE_FINALIZER: &str = "pre-delete-finalizer.argocd.argoproj.io";
pub const POST_DELETE_FINALIZER: &str = "post-delete-finalizer.argocd.argoproj.io";

/// Prefix of Argo CD's own annotations.
pub const ARGOCD_PREFIX: &str = "argocd.argoproj.io/";
/// Prefix of what Argo CD has no word for.
pub const TOWLINE_PREFIX: &str = "towline.dev/";
/// Label on each applied object: which application it belongs to, by hash.
pub const APPLICATION: &str = "towline.dev/application";
/// On a cluster Secret: the id that its applier was started with, if the name is no DNS label.
pub const CLUSTER: &str = "towline.dev/cluster";
/// Applications that must be healthy first.
pub const DEPENDS_ON: &str = "towline.dev/depends-on";
/// `on-failure`: go back to the last healthy release by itself.
pub const ROLLBACK: &str = "towline.dev/rollback";
pub const ROLLBACK_ON_FAILURE: &str = "on-failure";
/// `until-newer-revision`: a pin ends when one comes.
pub const PIN_POLICY: &str = "towline.dev/pin-policy";
pub const PIN_UNTIL_NEWER: &str = "until-newer-revision";
/// How long a sync may take.
pub const SYNC_TIMEOUT: &str = "towline.dev/sync-timeout";
/// The folder of a Kustomize overlay that takes a chart's output as its first resource.
pub const LAST_MILE: &str = "towline.dev/last-mile";
/// How many objects a release may prune without a confirmation: a number, or a percentage of the application's objects.
pub const MAX_DELETIONS: &str = "towline.dev/max-deletions";
/// On an AppProject: Vault paths that its applications may read, one glob per line or comma.
pub const SECRET_PATHS: &str = "towline.dev/secret-paths";
/// On an AppProject: kinds that may hold secret placeholders beside the data of Secrets, as `Kind`, `group/Kind` or `*`.
pub const SECRET_KINDS: &str = "towline.dev/secret-kinds";
/// On an AppProject, `resolve`: the Secrets that its `VaultSecret`s stand for are applied in their place.
pub const VAULT_SECRETS: &str = "towline.dev/vault-secrets";
/// On an `Application` or a workload: `true` restarts pods when a Secret that they mount or read their environment from changed.
pub const RESTART_ON_ROTATION: &str = "towline.dev/restart-on-rotation";
/// `enabled`: a child Application's health counts for its parent.
pub const APP_OF_APPS_HEALTH: &str = "towline.dev/app-of-apps-health";

/// Whether an annotation of an Application can change what is desired: the requests
/// ([`REFRESH`] and its time) and what others write for themselves can't.
pub fn matters(key: &str) -> bool {
    key.starts_with(TOWLINE_PREFIX)
        || (key.starts_with(ARGOCD_PREFIX)
            && !matches!(
                key,
                REFRESH
                    | REFRESH_TIMESTAMP
                    | HYDRATE
                    | TRACKING_ID
                    | INSTALLATION_ID
                    | MANAGED_BY_URL
                    | "argocd.argoproj.io/hydrate-timestamp"
            ))
}
