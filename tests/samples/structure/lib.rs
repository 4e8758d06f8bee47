//! Wrong in every way that tests/integration/structure.rs looks for; not compiled.

mod queue;

mod archive;
mod clock;
mod csv;
mod long;

#[cfg(feature = "service")]
mod service;
