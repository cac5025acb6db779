//! Builds the crate again when a file of an embedded Go module is added or
//! removed: the embedding macro alone only notices files that it already knows.

fn main() {
    for folder in ["components", "../renderer/engine"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
