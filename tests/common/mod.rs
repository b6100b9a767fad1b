//! What several test programs share: model files written from random numbers, and structures to compute with them.

// Every test program compiles this module for itself and uses a part of it.
#![allow(dead_code)]

pub mod cuda_checks;
pub mod cuda_model;
pub mod failing;
pub mod list_checks;
pub mod model_file;
pub mod motion_checks;
pub mod programs;
pub mod random_model;
pub mod random_priors;
pub mod random_system;
pub mod random_tensors;
pub mod resident_checks;
pub mod small_model;
pub mod system;
pub mod term_checks;
