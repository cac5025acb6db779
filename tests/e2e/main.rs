//! The pipeline as its users meet it: real Git, NATS, Vault and Kubernetes, and `towline up` between them.
//!
//! All tests share one cluster, Vault and Git server; those that break nothing share one Towline too. Each has a namespace
//! and a repository of its own, so they run at the same time and in any order.

mod adoption;
mod canaries;
mod canary;
mod charts;
mod coexistence;
mod deletion;
mod faults;
mod order;
mod parents;
mod policy;
mod precision;
mod process;
mod releases;
mod replicas;
mod repositories;
mod rollback;
mod secrets;
mod several;
mod sources;
mod stores;
mod sweep;
mod tools;
mod vault_faults;
mod wrong_input;
