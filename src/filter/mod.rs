//! Radial filters: basis × envelope × filter network → W(r) and dW/dr.
//!
//! A filter is a function of one number, the distance, so nothing here knows of atoms or pairs.

pub mod activation;
pub mod basis;
pub mod envelope;
mod exact;
pub mod half;
mod layer;
mod spans;
mod table;
mod tile;

pub use exact::ExactFilter;
pub use half::{HalfTable, HalfTables};
pub use layer::Layer;
pub use spans::{Spans, TERMS};
pub use table::{ORDER, Place, Spacing, Tables};
pub use tile::{Tile, TileFilter};
