//! `Replace=true`, and making an object anew with `Force=true`.

use serde_json::Value;

use super::{respect, restart};
use crate::cluster::{ApiKind, Cluster, ClusterError, Content, Deletion};
use crate::drift::Mask;
use crate::object::Manifest;
use crate::secrets::Cleared;

/// How often an object that changes meanwhile is looked at anew.
const ATTEMPTS: usize = 5;

/// Created, or written as a whole; with `Force=true` deleted and created each time, as `kubectl replace --force` does. Whether it was
/// created.
pub(super) async fn replace(
    cluster: &Cluster,
    kind: &ApiKind,
    manifest: &Manifest,
    body: Content,
    respected: Option<&Mask>,
) -> Result<(Value, bool), ClusterError> {
    let key = &manifest.key;
    let mut attempt = 1;
    loop {
        // Values of a Secret are needed only where some of them stay.
        let live = match respected {
            Some(_) => cluster.get_whole(kind, key).await?,
            None => cluster.get(kind, key).await?,
        };
        let Some(live) = live.map(Cleared::new) else {
            let object = cluster.create(kind, key, body).await?;
            return Ok((object, true));
        };
        if manifest.recreates() {
            make_way(cluster, kind, manifest, &live, &body).await?;
            let object = cluster.create(kind, key, body).await?;
            return Ok((object, true));
        }
        // Not every kind can be written without saying which version is replaced.
        let mut wanted = respect::whole(&*Cleared::read(&body)?, &live, respected);
        restart::keep(&mut wanted, &live);
        wanted["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        match cluster.replace(kind, key, wanted.write()?).await {
            Err(error) if error.is_conflict() && attempt < ATTEMPTS => attempt += 1,
            replaced => return replaced.map(|object| (object, false)),
        }
    }
}

/// Deletes what is there, so that it can be made anew: only if the server would take the new one, and until the old one is gone.
pub(super) async fn make_way(
    cluster: &Cluster,
    kind: &ApiKind,
    manifest: &Manifest,
    live: &Value,
    body: &Content,
) -> Result<(), ClusterError> {
    let key = &manifest.key;
    cluster.could_create(kind, key, body.clone()).await?;
    let Some(uid) = live["metadata"]["uid"].as_str() else {
        return Ok(());
    };
    let deletion = Deletion {
        uid: Some(uid),
        version: None,
        propagation: "Background",
    };
    cluster.delete(kind, key, deletion).await?;
    cluster.gone(kind, key, uid).await
}
