//! What changes in a simulation from step to step.

/// Why a replica stands still.
#[derive(Debug, Clone, PartialEq)]
pub struct BlowUp {
    /// The step that could not be made; the replica is as it was before.
    pub step: u64,
    /// What happened.
    pub reason: String,
}

/// Positions, velocities and what was computed for them, replica after replica.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// Steps made.
    pub step: u64,
    /// In the model's unit of length.
    pub positions: Vec<[f64; 3]>,
    /// In the model's unit of length per ps.
    pub velocities: Vec<[f64; 3]>,
    /// Forces at the positions.
    pub forces: Vec<[f64; 3]>,
    /// Potential energy of each replica.
    pub energies: Vec<f64>,
    /// Replicas × (1 + priors): energies of network and priors.
    pub terms: Vec<f64>,
    /// Which replica's configuration each one had at the beginning has by now, after exchanges.
    pub walkers: Vec<u32>,
    /// Replicas that stand still.
    pub frozen: Vec<Option<BlowUp>>,
}

/// Swaps two ranges of one length.
pub(super) fn swap_rows<T>(values: &mut [T], first: usize, second: usize, length: usize) {
    let (low, high) = (first.min(second), first.max(second));
    let (head, tail) = values.split_at_mut(high);
    head[low..low + length].swap_with_slice(&mut tail[..length]);
}
