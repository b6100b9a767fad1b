//! SchNet neural force fields with minimal data movement.
//!
//! The rooms of the library and the way of the data are drawn in `docs/architecture.md`.

pub mod c_api;
pub mod dynamics;
pub mod engine;
pub mod error;
pub mod filter;
pub mod model;
pub mod neighbors;
mod pool;
pub mod potential;
pub mod prior;
pub mod simd;

pub use error::{Error, Result};
