//! What must survive this process and the broker, as `ConfigMaps` in the target cluster: one per application with its record,
//! its drift references, and the manifests of its last releases.

mod codec;
mod config_map;
mod digest_key;
mod form;
mod record;

pub(crate) use config_map::{LABEL, Loaded, PART, Slot, Store, StoreError, name_of};
pub(crate) use digest_key::DigestKey;
pub(crate) use form::read;
pub(crate) use record::{Applied, AppliedMap, Asked, Ended, Failure, Record, Refused, Wanted};
