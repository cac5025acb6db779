//! The renderer with its real engine, and as a service on a real broker.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail where they stand"
)]

mod attack;
mod containment;
mod errors;
mod helm;
mod helm_dependencies;
mod helm_fields;
mod helm_files;
mod jsonnet;
mod kustomize;
mod kustomize_block;
mod kustomize_charts;
mod kustomize_cli;
mod kustomize_overlays;
mod repository;
mod service;
mod tools;
mod worker;
