//! The arrays of replicas that move as kernels see them.

use super::device::Plain;

/// Mirrors `System` in `kernels/motion.cu`, where every member is explained. Those of 64 bits are addresses, but for four numbers.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MotionSystem {
    pub positions: u64,
    pub velocities: u64,
    pub forces: u64,
    pub new_forces: u64,
    pub term_forces: u64,
    pub response: u64,
    pub structure: u64,
    pub structures: u64,
    pub thermal: u64,
    pub streams: u64,
    pub frozen: u64,
    pub atom_energies: u64,
    pub term_energies: u64,
    pub coincident: u64,
    pub clock: u64,
    pub status: u64,
    pub timestep: f64,
    pub kept: f64,
    pub fresh: f64,
    pub farthest2: f64,
    pub seed: [u32; 2],
    pub atoms: u32,
    pub langevin: u32,
    pub slices: u32,
    pub unused: u32,
}

// SAFETY: numbers of 64 bits, then an even number of those of 32.
unsafe impl Plain for MotionSystem {}
