//! What all applications of one applier share.

use std::sync::Arc;

use bus::{Bus, ClusterId, Objects};
use lease::Lead;

use crate::cluster::Cluster;
use crate::describe::KindsHandle;
use crate::live::{Live, Watches};
use crate::metrics::Metrics;
use crate::orphan::Orphans;
use crate::project::{Bounds, Projects};
use crate::publish::Publisher;
use crate::secrets::Secrets;
use crate::settings::SettingsHandle;
use crate::store::{DigestKey, Store};
use crate::wanted::Wanted;

pub(crate) struct Context {
    pub(crate) bus: Bus,
    pub(crate) id: ClusterId,
    /// Whether this applier is the one of its cluster that acts.
    pub(crate) lead: Lead,
    pub(crate) cluster: Cluster,
    pub(crate) live: Arc<Live>,
    pub(crate) wanted: Wanted,
    pub(crate) watches: Watches,
    pub(crate) kinds: KindsHandle,
    pub(crate) store: Store,
    pub(crate) projects: Arc<Projects>,
    pub(crate) settings: SettingsHandle,
    pub(crate) bounds: Bounds,
    pub(crate) secrets: Secrets,
    pub(crate) digest_key: DigestKey,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) orphans: Arc<Orphans>,
    pub(crate) publisher: Publisher,
    /// Large manifests.
    pub(crate) objects: Objects,
    /// Compares and shows, applies nothing.
    pub(crate) observe: bool,
}
