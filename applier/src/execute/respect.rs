//! Writes that leave fields which don't count to whoever set them (`RespectIgnoreDifferences`).

use serde_json::Value;

use crate::cluster::{ApiKind, Applied, ApplyParameters, Cluster, ClusterError, Content, MANAGER};
use crate::drift::{Keep, Mask};
use crate::object::Key;
use crate::secrets::Cleared;

/// How often an object that changes meanwhile is looked at anew.
const ATTEMPTS: usize = 5;

/// Server-side. An object that isn't there is made as a whole.
pub(super) async fn apply(
    cluster: &Cluster,
    kind: &ApiKind,
    key: &Key,
    body: &Content,
    mask: &Mask,
    parameters: ApplyParameters,
) -> Result<Applied, ClusterError> {
    let mut attempt = 1;
    loop {
        // With all its values: they may have to be repeated.
        let Some(live) = cluster.get_whole(kind, key).await?.map(Cleared::new) else {
            return cluster.apply(kind, key, body.clone(), parameters).await;
        };
        let wanted = Cleared::read(body)?;
        let respected = mask.respect(&wanted, &live, Keep::AppliedBy(MANAGER));
        let mut object = Cleared::new(respected.object);
        if respected.repeats {
            // What is repeated must be what is there when it is written.
            object["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        }
        match cluster.apply(kind, key, object.write()?, parameters).await {
            Err(error) if respected.repeats && error.is_conflict() && attempt < ATTEMPTS => {
                attempt += 1;
            }
            applied => return applied,
        }
    }
}

/// What a write of the whole object says.
pub(super) fn whole(wanted: &Value, live: &Value, mask: Option<&Mask>) -> Cleared {
    Cleared::new(match mask {
        Some(mask) => mask.respect(wanted, live, Keep::All).object,
        None => wanted.clone(),
    })
}
