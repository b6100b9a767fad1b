//! The C interface: one file per handle or struct, no arithmetic. `include/flashschnet.h` is generated from it.

mod arrays;
pub mod domain;
pub mod enqueue;
pub mod model;
pub mod neighbors;
pub mod options;
pub mod potential;
pub mod results;
pub mod simulation;
pub mod status;
mod structs;
pub mod structures;
pub mod topology;
