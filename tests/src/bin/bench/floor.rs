//! The floor: the same objects by bare server-side applies, with nothing else running.

use std::time::Instant;

use futures::{StreamExt, TryStreamExt};
use tests::Cluster;

use crate::fleet::{self, AT_ONCE};

/// Seconds to create all objects of `apps` applications.
pub(crate) async fn measure(cluster: &Cluster, apps: usize) -> anyhow::Result<f64> {
    let namespace = format!("floor-{apps}");
    cluster.namespace(&namespace).await?;
    let mut objects = Vec::new();
    for index in 0..apps {
        for mut object in fleet::objects(index, "0") {
            object["metadata"]["namespace"] = namespace.as_str().into();
            objects.push(object);
        }
    }
    let start = Instant::now();
    futures::stream::iter(&objects)
        .map(|object| async move { cluster.apply(object).await.map(drop) })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    let seconds = start.elapsed().as_secs_f64();
    cluster.delete("Namespace", "", &namespace).await?;
    cluster.gone("Namespace", "", &namespace).await?;
    Ok(seconds)
}
