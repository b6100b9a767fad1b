//! Radial filters: basis × envelope × filter network → W(r) and dW/dr.
//!
//! A filter is a function of one number, the distance, so nothing here knows of atoms or pairs.

pub mod activation;
pub mod basis;
pub mod envelope;
mod exact;

pub use exact::ExactFilter;
