//! The renderer with its real engine, and as a service on a real broker.

mod containment;
mod repository;
mod service;
mod tools;
