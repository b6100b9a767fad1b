//! Neighbour lists: cell list, Verlet skin, periodic images. Knows nothing of networks.
//!
//! A [`NeighborList`] is full (every directed pair appears, in the row of its first atom) and stored as compressed
//! sparse rows. Its pairs are those that ASE's `neighbor_list("ijS", ...)` reports: all `(i, j, shift)` with
//! `|positions[j] + shift · vectors − positions[i]| < cutoff`, without `(i, i, 0)`.
//!
//! | what | where |
//! | --- | --- |
//! | [`Cell`], and the reduced lattice behind it | `cell.rs`, `lattice.rs` |
//! | wrapping and periodic images | `images.rs` |
//! | sorting candidates into bins | `grid.rs` |
//! | ordering a bin's surroundings, testing distances | `order.rs`, `distance.rs` |
//! | the search over one structure | `search.rs` |
//! | the list, batches of structures, lists with a skin | `list.rs`, `batch.rs`, `verlet.rs` |
//!
//! Time and memory are linear in atoms plus pairs, for any cell and any mix of periodic directions. What would not
//! be linear (a tiny cell under a huge cutoff, a collapsed structure) is refused by [`MAX_PAIRS`] and
//! [`MAX_IMAGES`] before memory is asked for.

mod batch;
mod cell;
mod distance;
mod grid;
mod images;
mod lattice;
mod list;
mod order;
mod search;
mod verlet;

pub use batch::Batch;
pub use cell::Cell;
pub use images::MAX_IMAGES;
pub use list::{MAX_PAIRS, NeighborList, Structure};
pub use search::Workspace;
pub use verlet::VerletList;
