//! Which of several processes of one kind leads: the one that holds a Lease of a cluster. Only that one publishes, writes and
//! deletes; the others read what they can, so that one of them can go on at once.
//!
//! [`Candidate`] takes the Lease when what it says ([`claim`]) allows it, renews it, and gives it back; [`Lead`] is what it makes of
//! this process, to be asked before each thing that only the leader does.
//!
//! A leader that can't renew its Lease stops acting before anybody else may begin ([`Lead::holds`] asks this machine's monotonic
//! clock, and nothing else). When it reaches the API server again and nobody led meanwhile, it goes on; when somebody did, or
//! does, the process ends, because what it knows may be behind, and follows after its restart.

mod args;
mod claim;
mod elect;
mod lead;

pub use args::LeaseArgs;
pub use elect::{Candidate, LeadError};
pub use lead::Lead;
