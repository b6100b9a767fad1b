//! The pairs of a graph within the cutoff, receiver by receiver.

use crate::engine::Graph;
use crate::{Error, Result};

/// One directed pair within the cutoff.
pub(super) struct Pair {
    /// Receiver.
    pub i: usize,
    /// The sender's row of features.
    pub source: usize,
    /// From receiver to sender.
    pub vector: [f64; 3],
    /// Its length.
    pub distance: f64,
}

/// Calls `visit(structure, receiver, pairs)` for every owned atom, in order.
pub(super) fn for_each_receiver(
    graph: &Graph,
    cutoff: f64,
    mut visit: impl FnMut(usize, usize, &[Pair]),
) -> Result<()> {
    let mut pairs = Vec::new();
    for (structure, bounds) in graph.structures.windows(2).enumerate() {
        for i in bounds[0]..bounds[1] {
            pairs.clear();
            for pair in graph.offsets[i]..graph.offsets[i + 1] {
                let vector = graph.vector(structure, i, pair);
                let distance = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
                if distance < cutoff {
                    let j = graph.neighbors[pair] as usize;
                    if distance == 0.0 {
                        return Err(Error::invalid(format!(
                            "atoms {i} and {j} are at the same point"
                        )));
                    }
                    pairs.push(Pair {
                        i,
                        source: graph.row(j),
                        vector,
                        distance,
                    });
                }
            }
            visit(structure, i, &pairs);
        }
    }
    Ok(())
}
