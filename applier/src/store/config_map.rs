//! The `ConfigMaps` behind a record.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bus::Digest;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::form::{self, encode};
use super::record::pairs;
use super::{AppliedMap, Record, codec};
use crate::cluster::{ApiKind, Cluster, ClusterError, Deletion, PatchForm};
use crate::object::Key;

/// Label on each of our `ConfigMaps`: the application's hash. Not the label of live objects, which would make it one.
pub(crate) const LABEL: &str = "towline.dev/store";
/// Label that tells records from manifests that are too large to stand beside one, and from direct orders.
pub(crate) const PART: &str = "towline.dev/part";
/// Packed manifests up to this size stand in the record's own ConfigMap, in bytes.
const INLINE: usize = 48 * 1024;
/// Packed manifests over this size can't be kept: a ConfigMap holds 1 MiB.
const MAX_PART: usize = 1000 * 1024;
/// `ConfigMaps` per page when all are read.
const PAGE: usize = 100;

#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("making namespace {namespace}")]
    Namespace {
        namespace: String,
        source: ClusterError,
    },
    #[error("reading the records of all applications")]
    List { source: ClusterError },
    #[error("writing the record of {name}")]
    Write { name: String, source: ClusterError },
    #[error("reading {name}")]
    Read { name: String, source: ClusterError },
    #[error("{name} holds no readable record")]
    Malformed { name: String },
    #[error("packing the record of {name}")]
    Pack {
        name: String,
        source: std::io::Error,
    },
    #[error("removing the record of {name}")]
    Remove { name: String, source: ClusterError },
    #[error("reading or making the key of this cluster's digests")]
    Key { source: ClusterError },
    #[error("the key of this cluster's digests is not 32 bytes in base64")]
    KeyMalformed,
}

impl StoreError {
    /// What the API server said, for a person. Records hold no secret values.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Namespace { source, .. }
            | Self::List { source }
            | Self::Write { source, .. }
            | Self::Read { source, .. }
            | Self::Remove { source, .. }
            | Self::Key { source } => format!("{self}: {}", source.describe(false)),
            Self::Pack { source, .. } => format!("{self}: {source}"),
            Self::Malformed { .. } | Self::KeyMalformed => self.to_string(),
        }
    }
}

/// One application's record as the cluster holds it, and what is needed to write it again.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// None until it is in the cluster.
    version: Option<String>,
    /// Names of the manifests that stand beside the record.
    inline: BTreeSet<String>,
    /// Names of those in a ConfigMap of their own.
    own: BTreeSet<String>,
}

pub(crate) struct Loaded {
    pub(crate) record: Record,
    pub(crate) applied: AppliedMap,
    pub(crate) slot: Slot,
}

#[derive(Clone)]
pub(crate) struct Store {
    cluster: Cluster,
    namespace: String,
    kind: ApiKind,
}

impl Store {
    /// Makes the namespace if it isn't there.
    pub(crate) async fn open(cluster: Cluster, namespace: &str) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Namespace {
            namespace: namespace.to_owned(),
            source,
        };
        let kind = ApiKind::core("Namespace", "namespaces", false);
        let key = Key::new("", "Namespace", "", namespace);
        if cluster.get(&kind, &key).await.map_err(failed)?.is_none() {
            let body =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            match cluster
                .create(&kind, &key, Zeroizing::new(body.to_string().into_bytes()))
                .await
            {
                Ok(_) => {}
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(Self {
            cluster,
            namespace: namespace.to_owned(),
            kind: ApiKind::core("ConfigMap", "configmaps", true),
        })
    }

    pub(crate) async fn load_all(&self) -> Result<Vec<Result<Loaded, StoreError>>, StoreError> {
        let mut all = Vec::new();
        let mut next = String::new();
        loop {
            let path = format!(
                "{}?labelSelector={LABEL},{PART}%3Drecord&limit={PAGE}&continue={next}",
                self.kind.collection(&self.namespace)
            );
            let (items, token) = self
                .cluster
                .page(&path)
                .await
                .map_err(|source| StoreError::List { source })?;
            all.extend(items.iter().map(load));
            match token {
                Some(token) => next = token,
                None => return Ok(all),
            }
        }
    }

    /// Writes the record, with the drift references if given; `manifests` are kept if they aren't yet, and those that the record no
    /// longer names are dropped.
    pub(crate) async fn save(
        &self,
        hash: &str,
        slot: &mut Slot,
        record: &Record,
        applied: Option<&AppliedMap>,
        manifests: Option<(&Digest, &[u8])>,
    ) -> Result<(), StoreError> {
        let name = name_of(hash);
        let pack_failed = |source| StoreError::Pack {
            name: name.clone(),
            source,
        };
        let mut binary = Map::new();
        if let Some(applied) = applied {
            let mut json = Vec::new();
            let mut serializer = serde_json::Serializer::new(&mut json);
            pairs::serialize(applied, &mut serializer)
                .map_err(|error| pack_failed(error.into()))?;
            binary.insert(
                "applied".to_owned(),
                encode(&codec::pack(&json).map_err(pack_failed)?),
            );
        }
        let needed: BTreeSet<String> = record.digests().iter().map(part_of).collect();
        let (mut inline, mut own) = (slot.inline.clone(), slot.own.clone());
        if let Some((digest, bytes)) = manifests {
            let part = part_of(digest);
            if needed.contains(&part) && !inline.contains(&part) && !own.contains(&part) {
                let packed = codec::pack(bytes).map_err(pack_failed)?;
                if packed.len() <= INLINE {
                    binary.insert(part.clone(), encode(&packed));
                    inline.insert(part);
                } else if packed.len() <= MAX_PART {
                    self.save_part(hash, &part, &packed).await?;
                    own.insert(part);
                } else {
                    tracing::warn!(app = %record.app, size = packed.len(), "manifests too large to keep; this release can't be rolled back to");
                }
            }
        }
        for part in inline.difference(&needed) {
            binary.insert(part.clone(), Value::Null);
        }
        let mut data = Map::new();
        form::write(record, &mut data, &mut binary).map_err(pack_failed)?;
        let body = json!({"data": data, "binaryData": binary});
        let mut written = self.write(hash, slot, record, &body).await;
        if written.as_ref().is_err_and(ClusterError::is_conflict)
            && self.is_behind(&name, slot, record).await
        {
            // Our own write, whose answer was lost.
            written = self.write(hash, slot, record, &body).await;
        }
        let written = written.map_err(|source| {
            if source.is_not_found() {
                // Deleted by hand: the next write makes it anew.
                *slot = Slot::default();
            }
            StoreError::Write {
                name: record.app.to_string(),
                source,
            }
        })?;
        slot.version = version_of(&written);
        for part in own.difference(&needed) {
            let deletion = Deletion {
                uid: None,
                version: None,
                propagation: "Background",
            };
            // Harmless if it stays: it is removed with the application.
            if let Err(error) = self
                .cluster
                .delete(&self.kind, &self.key(&format!("{name}-{part}")), deletion)
                .await
            {
                tracing::warn!(app = %record.app, part, error = %error.describe(false), "old manifests were not removed");
            }
        }
        slot.inline = inline.intersection(&needed).cloned().collect();
        slot.own = own.intersection(&needed).cloned().collect();
        Ok(())
    }

    async fn write(
        &self,
        hash: &str,
        slot: &Slot,
        record: &Record,
        body: &Value,
    ) -> Result<Value, ClusterError> {
        let key = self.key(&name_of(hash));
        let mut body = body.clone();
        if let Some(version) = &slot.version {
            body["metadata"] = json!({"resourceVersion": version});
            let content = Zeroizing::new(body.to_string().into_bytes());
            return self
                .cluster
                .patch(&self.kind, &key, PatchForm::Merge, content)
                .await;
        }
        form::without_nulls(&mut body);
        body["apiVersion"] = "v1".into();
        body["kind"] = "ConfigMap".into();
        body["metadata"] = json!({
            "name": *key.name, "namespace": self.namespace, "labels": {LABEL: hash, PART: "record"},
            "annotations": {"towline.dev/name": record.app.to_string()},
        });
        self.cluster
            .create(
                &self.kind,
                &key,
                Zeroizing::new(body.to_string().into_bytes()),
            )
            .await
    }

    /// Whether what the cluster holds is no newer than `record`; the slot then follows it.
    async fn is_behind(&self, name: &str, slot: &mut Slot, record: &Record) -> bool {
        let Ok(Some(object)) = self.cluster.get(&self.kind, &self.key(name)).await else {
            return false;
        };
        let Ok(held) = load(&object) else {
            return false;
        };
        let behind = held.record.release <= record.release && held.record.head <= record.head;
        if behind {
            *slot = held.slot;
        }
        behind
    }

    /// The manifests of a release: a JSON array, before secrets.
    pub(crate) async fn manifests(
        &self,
        hash: &str,
        digest: &Digest,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let part = part_of(digest);
        for name in [name_of(hash), format!("{}-{part}", name_of(hash))] {
            let found = self.cluster.get(&self.kind, &self.key(&name)).await;
            let Some(object) = found.map_err(|source| StoreError::Read {
                name: name.clone(),
                source,
            })?
            else {
                continue;
            };
            if let Some(text) = object["binaryData"][&part].as_str() {
                let bytes = STANDARD
                    .decode(text)
                    .ok()
                    .and_then(|packed| codec::unpack(&packed).ok());
                // A record that was tampered with must not be applied as something else.
                let bytes = bytes.filter(|bytes| Digest::of(bytes) == *digest);
                return bytes.map(Some).ok_or(StoreError::Malformed { name });
            }
        }
        Ok(None)
    }

    /// Everything kept of the application.
    pub(crate) async fn remove(&self, hash: &str) -> Result<(), StoreError> {
        let failed = |source| StoreError::Remove {
            name: name_of(hash),
            source,
        };
        let path = format!(
            "{}?labelSelector={LABEL}%3D{hash}",
            self.kind.collection(&self.namespace)
        );
        for object in self.cluster.list(&path).await.map_err(failed)? {
            if let Some(name) = object["metadata"]["name"].as_str() {
                let deletion = Deletion {
                    uid: None,
                    version: None,
                    propagation: "Background",
                };
                self.cluster
                    .delete(&self.kind, &self.key(name), deletion)
                    .await
                    .map_err(failed)?;
            }
        }
        Ok(())
    }

    async fn save_part(&self, hash: &str, part: &str, packed: &[u8]) -> Result<(), StoreError> {
        let name = format!("{}-{part}", name_of(hash));
        let body = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self.namespace, "labels": {LABEL: hash, PART: "manifests"}},
            "binaryData": {part: encode(packed)},
        });
        match self
            .cluster
            .create(
                &self.kind,
                &self.key(&name),
                Zeroizing::new(body.to_string().into_bytes()),
            )
            .await
        {
            Ok(_) => Ok(()),
            // Named by its digest: what is there is the same.
            Err(error) if error.is_conflict() => Ok(()),
            Err(source) => Err(StoreError::Write { name, source }),
        }
    }

    fn key(&self, name: &str) -> Key {
        Key::new("", "ConfigMap", &self.namespace, name)
    }
}

fn load(object: &Value) -> Result<Loaded, StoreError> {
    let name = object["metadata"]["name"].as_str().unwrap_or("a ConfigMap");
    let malformed = || StoreError::Malformed {
        name: name.to_owned(),
    };
    let record = form::read(object).ok_or_else(malformed)?;
    let applied = match object["binaryData"]["applied"].as_str() {
        Some(text) => {
            let json = STANDARD
                .decode(text)
                .ok()
                .and_then(|packed| codec::unpack(&packed).ok())
                .ok_or_else(malformed)?;
            pairs::deserialize(&mut serde_json::Deserializer::from_slice(&json))
                .map_err(|_| malformed())?
        }
        None => AppliedMap::new(),
    };
    // What isn't beside the record is in a ConfigMap of its own, if it could be kept at all.
    let (inline, own) = record
        .digests()
        .iter()
        .map(part_of)
        .partition(|part| object["binaryData"].get(part).is_some());
    Ok(Loaded {
        record,
        applied,
        slot: Slot {
            version: version_of(object),
            inline,
            own,
        },
    })
}

fn version_of(object: &Value) -> Option<String> {
    object["metadata"]["resourceVersion"]
        .as_str()
        .map(str::to_owned)
}

/// The `ConfigMap` of an application's record, by the application's hash.
pub(crate) fn name_of(hash: &str) -> String {
    format!("app-{hash}")
}

fn part_of(digest: &Digest) -> String {
    format!("m-{}", digest.short())
}
