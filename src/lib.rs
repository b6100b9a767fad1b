//! SchNet neural force fields with minimal data movement.
//!
//! The rooms of the library and the way of the data are drawn in `docs/architecture.md`.

pub mod error;
pub mod neighbors;

pub use error::{Error, Result};
