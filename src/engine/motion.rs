//! Replicas that an engine on a device moves itself.

/// Replicas and how they move. Arrays are replica after replica.
#[derive(Debug, Clone, Copy)]
pub struct Motion<'a> {
    /// In units in which velocity times it is a length.
    pub timestep: f64,
    /// Friction and noise: what is kept of a velocity in a step, and the size of what is new in units of the thermal velocity. Without
    /// them, velocity Verlet.
    pub langevin: Option<[f64; 2]>,
    /// Where random numbers begin.
    pub seed: u64,
    /// An atom that moves farther in a step shows that something is wrong.
    pub largest_step: f64,
    /// Steps made so far.
    pub step: u64,
    /// Acceleration of each atom by a unit of force.
    pub response: &'a [f64],
    /// Thermal energy of each replica.
    pub thermal: &'a [f64],
    /// Its stream of random numbers.
    pub streams: &'a [u32],
    /// Whether it stands still.
    pub frozen: &'a [bool],
    /// Velocity of each atom.
    pub velocities: &'a [[f64; 3]],
    /// Forces at the positions.
    pub forces: &'a [[f64; 3]],
}

/// Where replicas are after some steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moved {
    /// Position of each atom.
    pub positions: Vec<[f64; 3]>,
    /// Its velocity.
    pub velocities: Vec<[f64; 3]>,
    /// Forces at the positions.
    pub forces: Vec<[f64; 3]>,
    /// Potential energy of each replica.
    pub energies: Vec<f64>,
    /// Energies of the network and of each prior: replicas × (1 + priors).
    pub terms: Vec<f64>,
}
