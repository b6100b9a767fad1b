//! Numbers an engine computes in, float32 or float64: one at a time, in vectors, in matrices.
//!
//! The instruction set is chosen at run time, by pulp and nano-gemm; code here and in the engines is written once for all.

mod aligned;
mod fetch;
mod product;
mod real;

pub use aligned::Aligned;
pub use fetch::{fetch, fetch_all, fetch_beyond};
pub use product::Panels;
pub use real::{Real, has_fused, padded};
