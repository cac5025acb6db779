//! The monitor's own binary on a real broker and a real API server, with no more rights than it needs at either.

#[cfg(test)]
mod setup;
#[cfg(test)]
mod states;
#[cfg(test)]
mod story;
