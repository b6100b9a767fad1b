//! The moves of one replica, and making them for many side by side.

use super::philox::{Philox, Purpose};
use crate::Result;
use crate::potential::Potential;

/// Atoms whose moves are worth a second thread: noise takes some 100 ns for each, waking threads some 10 µs.
const WORTH_THREADS: usize = 2048;

/// e^(−γΔt) and √(1 − e^(−2γΔt)), the latter without cancellation at low friction.
pub(super) fn kept_and_fresh(friction: f64, timestep: f64) -> [f64; 2] {
    let time = friction * timestep;
    [(-time).exp(), (-(-2.0 * time).exp_m1()).sqrt()]
}

/// One replica's part of the state.
pub(super) struct Replica<'a> {
    pub number: usize,
    pub positions: &'a mut [[f64; 3]],
    pub velocities: &'a mut [[f64; 3]],
    pub forces: &'a [[f64; 3]],
    /// Acceleration by a unit of force.
    pub response: &'a [f64],
}

impl Replica<'_> {
    /// B: velocities by the forces.
    pub fn kick(&mut self, time: f64) {
        let by = self.forces.iter().zip(self.response);
        for (v, (force, response)) in self.velocities.iter_mut().zip(by) {
            for (v, force) in v.iter_mut().zip(force) {
                *v += time * response * force;
            }
        }
    }

    /// A: positions by the velocities.
    pub fn drift(&mut self, time: f64) {
        for (p, v) in self.positions.iter_mut().zip(&*self.velocities) {
            for (p, v) in p.iter_mut().zip(v) {
                *p += time * v;
            }
        }
    }

    /// O: friction and noise, by [`kept_and_fresh`].
    pub fn rub(
        &mut self,
        [kept, fresh]: [f64; 2],
        thermal: f64,
        random: Philox,
        stream: u32,
        step: u64,
    ) {
        let of = self.velocities.iter_mut().zip(self.response);
        for (item, (v, response)) in (0..).zip(of) {
            let noise = random.normals(Purpose::Noise, stream, step, item);
            let size = fresh * (thermal * response).sqrt();
            for (v, noise) in v.iter_mut().zip(noise) {
                *v = kept * *v + size * noise;
            }
        }
    }
}

/// Replicas one after the other, whose moves do not depend on each other.
pub(super) struct Replicas<'a> {
    /// First atom of each, and the end of the last, counted over all replicas there are.
    pub offsets: &'a [usize],
    pub first: usize,
    pub positions: &'a mut [[f64; 3]],
    pub velocities: &'a mut [[f64; 3]],
    pub forces: &'a [[f64; 3]],
    pub response: &'a [f64],
}

impl Replicas<'_> {
    /// Makes `moves` for every replica, with the threads of `potential` where there are many atoms.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] if threads cannot be had.
    pub fn each(self, potential: &mut Potential, moves: impl Fn(Replica) + Sync) -> Result<()> {
        let (count, many) = (
            self.offsets.len() - 1,
            self.positions.len() >= WORTH_THREADS,
        );
        let pool = (many && count > 1)
            .then(|| potential.threads().pool())
            .transpose()?;
        match pool.flatten() {
            Some(pool) => {
                let grain = count.div_ceil(4 * pool.current_num_threads());
                pool.install(|| self.divide(grain, &moves));
            }
            None => self.divide(count, &moves),
        }
        Ok(())
    }

    fn divide(self, grain: usize, moves: &(impl Fn(Replica) + Sync)) {
        let count = self.offsets.len() - 1;
        if count > grain {
            let (head, tail) = self.split(count / 2);
            rayon::join(|| head.divide(grain, moves), || tail.divide(grain, moves));
            return;
        }
        let start = self.offsets[0];
        for (place, bounds) in self.offsets.windows(2).enumerate() {
            let own = bounds[0] - start..bounds[1] - start;
            moves(Replica {
                number: self.first + place,
                positions: &mut self.positions[own.clone()],
                velocities: &mut self.velocities[own.clone()],
                forces: &self.forces[own.clone()],
                response: &self.response[own],
            });
        }
    }

    /// The first `count` replicas, and the rest.
    fn split(self, count: usize) -> (Self, Self) {
        let atoms = self.offsets[count] - self.offsets[0];
        let (positions, velocities) = (
            self.positions.split_at_mut(atoms),
            self.velocities.split_at_mut(atoms),
        );
        let (forces, response) = (self.forces.split_at(atoms), self.response.split_at(atoms));
        let head = Self {
            offsets: &self.offsets[..=count],
            first: self.first,
            positions: positions.0,
            velocities: velocities.0,
            forces: forces.0,
            response: response.0,
        };
        let tail = Self {
            offsets: &self.offsets[count..],
            first: self.first + count,
            positions: positions.1,
            velocities: velocities.1,
            forces: forces.1,
            response: response.1,
        };
        (head, tail)
    }
}
