//! Dynamics of many replicas together: Langevin (BAOAB) or Newton, parallel tempering, exact continuation.
//!
//! BAOAB: B. Leimkuhler, C. Matthews, Appl. Math. Res. Express 2013, 34. With a = F/m, kT the thermal energy and ξ normal,
//!
//! ```text
//! B  v += ½ Δt a        O  v = e^(−γΔt) v + √(1 − e^(−2γΔt)) √(kT/m) ξ
//! A  x += ½ Δt v        A  x += ½ Δt v        B  v += ½ Δt a(x)
//! ```
//!
//! Velocity Verlet is the same without O. Time is in ps, mass in u, everything else in the model's units. A simulation
//! is computed with a [`Potential`], which it does not own: the two may be kept together or apart.
//!
//! The same seed gives the same random numbers for every replica, whatever the threads, the order of replicas or the
//! number of steps in a call. A checkpoint holds all that the next step depends on, the positions at which the
//! potential's neighbour list was made among it, so that what follows a restart is the same to the bit.
//!
//! | what | where |
//! | --- | --- |
//! | choices and their checks | `settings.rs` |
//! | the state of replicas | `state.rs` |
//! | the moves of a step | `motion.rs` |
//! | random numbers | `philox.rs` |
//! | parallel tempering | `exchange.rs` |
//! | checkpoints | `checkpoint.rs` |

mod checkpoint;
mod exchange;
mod motion;
mod philox;
mod settings;
mod state;

pub use exchange::Pair;
pub use settings::{Integrator, Settings};
pub use state::{BlowUp, State};

use self::motion::{Replicas, kept_and_fresh};
use self::philox::{Philox, Purpose};
use self::settings::{MOST_STEPS, Plan};
use self::state::swap_rows;
use crate::engine::{Motion, Moved, Wanted};
use crate::potential::{Potential, Structures};
use crate::{Error, Result};

const FORCES: Wanted = Wanted {
    forces: true,
    virials: false,
    atom_virials: false,
};

/// Steps that a device makes before anybody looks: little is lost when one of them fails, and little gained by more.
const MOST_AT_ONCE: u64 = 256;

/// Replicas that move under a potential.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    system: System,
    plan: Plan,
    random: Philox,
    /// Acceleration by a unit of force: one over mass, in the model's units.
    response: Vec<f64>,
    state: State,
    /// Positions and velocities before the step, for replicas that it blows up.
    before: [Vec<[f64; 3]>; 2],
    exchanged: Vec<[usize; 2]>,
    /// Where a device has moved replicas to.
    moved: Moved,
}

/// What does not change: the replicas as structures, without their positions.
#[derive(Debug, Clone, PartialEq)]
struct System {
    offsets: Vec<usize>,
    types: Vec<i32>,
    cells: Vec<[[f64; 3]; 3]>,
    periodic: Vec<[bool; 3]>,
    excluded: Option<Vec<[i32; 2]>>,
    topologies: Option<Vec<i32>>,
}

impl System {
    fn new(structures: &Structures) -> Self {
        Self {
            offsets: structures.offsets.to_vec(),
            types: structures.types.to_vec(),
            cells: structures.cells.to_vec(),
            periodic: structures.periodic.to_vec(),
            excluded: structures.excluded.map(<[_]>::to_vec),
            topologies: structures.topologies.map(<[_]>::to_vec),
        }
    }

    fn replicas(&self) -> usize {
        self.offsets.len() - 1
    }

    fn atoms(&self, replica: usize) -> std::ops::Range<usize> {
        self.offsets[replica]..self.offsets[replica + 1]
    }

    fn at<'a>(&'a self, positions: &'a [[f64; 3]]) -> Structures<'a> {
        Structures {
            offsets: &self.offsets,
            positions,
            types: &self.types,
            cells: &self.cells,
            periodic: &self.periodic,
            excluded: self.excluded.as_deref(),
            topologies: self.topologies.as_deref(),
        }
    }
}

impl Simulation {
    /// Replicas at the positions of `structures`, whose energies and forces are computed here for the first time.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the setting, replica or atom at fault, and those of [`Potential::compute`].
    pub fn new(
        potential: &mut Potential,
        structures: &Structures,
        settings: &Settings,
    ) -> Result<Self> {
        // All arrays have been held against each other when this has succeeded.
        let results = potential.compute(structures, FORCES)?;
        let (energies, forces) = (results.energies.clone(), results.forces.clone());
        let plan = Plan::new(potential.model(), structures, settings)?;
        let system = System::new(structures);
        let unit = potential.model().description().units.acceleration();
        let atoms = structures.positions.len();
        let mut simulation = Self {
            random: Philox::new(plan.seed),
            response: plan.masses.iter().map(|mass| unit / mass).collect(),
            state: State {
                step: 0,
                positions: structures.positions.to_vec(),
                velocities: settings
                    .velocities
                    .map_or_else(|| vec![[0.0; 3]; atoms], <[_]>::to_vec),
                forces,
                energies,
                terms: potential.term_energies().to_vec(),
                walkers: (0..system.replicas() as u32).collect(),
                frozen: vec![None; system.replicas()],
            },
            before: [vec![[0.0; 3]; atoms], vec![[0.0; 3]; atoms]],
            exchanged: Vec::new(),
            moved: Moved::default(),
            system,
            plan,
        };
        if settings.velocities.is_none() {
            simulation.draw_velocities();
        }
        Ok(simulation)
    }

    /// Positions, velocities and energies of now.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// First atom of each replica, and the end of the last.
    pub fn offsets(&self) -> &[usize] {
        &self.system.offsets
    }

    /// The pairs that exchange, and how often they have.
    pub fn pairs(&self) -> &[Pair] {
        &self.plan.ladders.pairs
    }

    /// Kinetic energy of a replica: with Langevin dynamics that of the velocities after the last step's O, with Verlet, and
    /// before the first step, that of [`State::velocities`].
    ///
    /// Where the splitting samples an oscillator's positions without error, velocities at whole steps are too slow, by
    /// (ω Δt)² / 4 of their variance. Since these are independent of the position, the following B adds (½ Δt ω²)² kT / (m ω²),
    /// which is just what is missing, and O keeps it. So the middle of a step has the kinetic temperature of the positions, as in
    /// Zhang et al., J. Phys. Chem. A 2019, 123, 6056. The last B is undone here, with the forces that it was made with.
    pub fn kinetic_energy(&self, replica: usize) -> f64 {
        let atoms = self.system.atoms(replica);
        let since_middle = match self.plan.integrator {
            Integrator::Langevin { .. } if self.state.step > 0 => 0.5 * self.plan.timestep,
            _ => 0.0,
        };
        let state = &self.state;
        let of = state.velocities[atoms.clone()]
            .iter()
            .zip(&state.forces[atoms.clone()])
            .zip(&self.response[atoms]);
        of.map(|((velocity, force), response)| {
            let square = |axis: usize| {
                let v = velocity[axis] - since_middle * response * force[axis];
                v * v
            };
            0.5 * (square(0) + square(1) + square(2)) / response
        })
        .sum()
    }

    /// Makes `steps` steps.
    ///
    /// A replica that blows up (a term of its energy has no value, a number is not finite, an atom moves too far in a
    /// step) stays as it was before that step, and the others go on; [`State::frozen`] tells.
    ///
    /// # Errors
    /// Those of [`Potential::compute`] that no single replica is to blame for: the state is then that of the last step that
    /// could be made.
    pub fn run(&mut self, potential: &mut Potential, steps: u64) -> Result<()> {
        if steps > MOST_STEPS - self.state.step {
            return Err(Error::invalid(format!(
                "{steps} steps after {}, at most {MOST_STEPS} can be made",
                self.state.step
            )));
        }
        let last = self.state.step + steps;
        while self.state.step < last {
            if potential.advances() {
                self.advance(potential, last - self.state.step)?;
            } else {
                self.step(potential)?;
            }
        }
        Ok(())
    }

    /// Makes some of so many steps on the potential's device.
    ///
    /// A step that fails there is looked for by halves, and made here, where the replica that is to blame is found: so which
    /// steps those are does not depend on how many were asked for at once.
    fn advance(&mut self, potential: &mut Potential, most: u64) -> Result<()> {
        let interval = self.plan.exchange_interval;
        let next = if interval > 0 {
            interval - self.state.step % interval
        } else {
            MOST_AT_ONCE
        };
        // One of so many steps fails, once that is known.
        let mut failing = match self.leap(potential, most.min(next).min(MOST_AT_ONCE))? {
            None => return Ok(()),
            Some(steps) => steps,
        };
        while failing > 1 {
            let half = failing / 2;
            failing = match self.leap(potential, half)? {
                None => failing - half,
                Some(steps) => steps,
            };
        }
        self.step(potential)
    }

    /// Makes steps on the potential's device, with an exchange if the last is due for one; the number of steps, if one of them fails
    /// for what a replica may be to blame for: then none is made.
    fn leap(&mut self, potential: &mut Potential, steps: u64) -> Result<Option<u64>> {
        let (plan, state) = (&self.plan, &self.state);
        let still: Vec<bool> = state.frozen.iter().map(Option::is_some).collect();
        let motion = Motion {
            timestep: plan.timestep,
            langevin: match plan.integrator {
                Integrator::Langevin { friction } => Some(kept_and_fresh(friction, plan.timestep)),
                Integrator::Verlet => None,
            },
            seed: plan.seed,
            largest_step: plan.largest_step,
            step: state.step,
            response: &self.response,
            thermal: &plan.thermal,
            streams: &plan.streams,
            frozen: &still,
            velocities: &state.velocities,
            forces: &state.forces,
        };
        let structures = self.system.at(&state.positions);
        match potential.advance(&structures, &motion, steps, &mut self.moved) {
            Err(Error::InvalidArgument(_) | Error::Numerical(_)) => return Ok(Some(steps)),
            other => other?,
        }
        let (state, moved) = (&mut self.state, &mut self.moved);
        for (now, then) in [
            (&mut state.positions, &mut moved.positions),
            (&mut state.velocities, &mut moved.velocities),
            (&mut state.forces, &mut moved.forces),
        ] {
            std::mem::swap(now, then);
        }
        let width = state.terms.len() / still.len().max(1);
        for (replica, _) in still.iter().enumerate().filter(|(_, still)| !**still) {
            let of = replica * width..(replica + 1) * width;
            state.energies[replica] = moved.energies[replica];
            state.terms[of.clone()].copy_from_slice(&moved.terms[of]);
        }
        state.step += steps;
        self.exchange_if_due();
        Ok(None)
    }

    fn exchange_if_due(&mut self) {
        let interval = self.plan.exchange_interval;
        if interval > 0 && self.state.step.is_multiple_of(interval) {
            self.exchange();
        }
    }

    fn step(&mut self, potential: &mut Potential) -> Result<()> {
        self.before[0].copy_from_slice(&self.state.positions);
        self.before[1].copy_from_slice(&self.state.velocities);
        self.move_atoms(potential)?;
        for replica in 0..self.system.replicas() {
            if let Some(reason) = self.jump(replica) {
                self.freeze(replica, reason);
            }
        }
        if let Err(error) = self.compute(potential) {
            self.state.positions.copy_from_slice(&self.before[0]);
            self.state.velocities.copy_from_slice(&self.before[1]);
            return Err(error);
        }
        self.finish(potential)?;
        self.state.step += 1;
        self.exchange_if_due();
        Ok(())
    }

    /// Forces at the new positions; replicas that have none are frozen.
    fn compute(&mut self, potential: &mut Potential) -> Result<()> {
        loop {
            let structures = self.system.at(&self.state.positions);
            let error = match potential.compute(&structures, FORCES) {
                Ok(results) => {
                    for replica in 0..self.system.replicas() {
                        if self.state.frozen[replica].is_none() {
                            let atoms = self.system.atoms(replica);
                            self.state.energies[replica] = results.energies[replica];
                            self.state.forces[atoms.clone()]
                                .copy_from_slice(&results.forces[atoms]);
                        }
                    }
                    break;
                }
                Err(error) => error,
            };
            if !self.freeze_failing(potential) {
                return Err(error);
            }
        }
        let terms = potential.term_energies();
        let width = terms.len() / self.system.replicas().max(1);
        for (replica, frozen) in self.state.frozen.iter().enumerate() {
            if frozen.is_none() {
                let of = replica * width..(replica + 1) * width;
                self.state.terms[of.clone()].copy_from_slice(&terms[of]);
            }
        }
        Ok(())
    }

    /// Freezes the replicas that cannot be computed even by themselves; false if there are none.
    fn freeze_failing(&mut self, potential: &mut Potential) -> bool {
        let mut found = false;
        for replica in 0..self.system.replicas() {
            if self.state.frozen[replica].is_some() {
                continue;
            }
            let atoms = self.system.atoms(replica);
            let alone = self.alone(replica);
            let structures = alone.at(&self.state.positions[atoms]);
            let reason = match potential.compute(&structures, FORCES) {
                Err(Error::InvalidArgument(reason) | Error::Numerical(reason)) => reason,
                _ => continue,
            };
            // It was computed as the only structure.
            let reason = reason.strip_prefix("structure 0: ").unwrap_or(&reason);
            self.freeze(replica, reason.to_owned());
            found = true;
        }
        found
    }

    /// One replica as a system of its own.
    fn alone(&self, replica: usize) -> System {
        let atoms = self.system.atoms(replica);
        let own = |pair: &&[i32; 2]| atoms.contains(&(pair[0] as usize));
        let start = atoms.start as i32;
        System {
            offsets: vec![0, atoms.len()],
            types: self.system.types[atoms.clone()].to_vec(),
            cells: self
                .system
                .cells
                .get(replica)
                .copied()
                .into_iter()
                .collect(),
            periodic: self
                .system
                .periodic
                .get(replica)
                .copied()
                .into_iter()
                .collect(),
            excluded: self.system.excluded.as_ref().map(|pairs| {
                let pairs = pairs.iter().filter(own);
                pairs.map(|pair| pair.map(|atom| atom - start)).collect()
            }),
            topologies: self
                .system
                .topologies
                .as_ref()
                .map(|all| vec![all[replica]]),
        }
    }

    /// The parts of a step before the new forces: B, A, O, A.
    fn move_atoms(&mut self, potential: &mut Potential) -> Result<()> {
        let (plan, random, step) = (&self.plan, self.random, self.state.step);
        let (whole, half) = (plan.timestep, 0.5 * plan.timestep);
        let frozen = &self.state.frozen;
        let replicas = Replicas {
            offsets: &self.system.offsets,
            first: 0,
            positions: &mut self.state.positions,
            velocities: &mut self.state.velocities,
            forces: &self.state.forces,
            response: &self.response,
        };
        replicas.each(potential, |mut replica| {
            let number = replica.number;
            if frozen[number].is_some() {
                return;
            }
            replica.kick(half);
            match plan.integrator {
                Integrator::Verlet => replica.drift(whole),
                Integrator::Langevin { friction } => {
                    let (thermal, stream) = (plan.thermal[number], plan.streams[number]);
                    replica.drift(half);
                    let sizes = kept_and_fresh(friction, whole);
                    replica.rub(sizes, thermal, random, stream, step);
                    replica.drift(half);
                }
            }
        })
    }

    /// The last part of a step: B.
    fn finish(&mut self, potential: &mut Potential) -> Result<()> {
        let (half, frozen) = (0.5 * self.plan.timestep, &self.state.frozen);
        let replicas = Replicas {
            offsets: &self.system.offsets,
            first: 0,
            positions: &mut self.state.positions,
            velocities: &mut self.state.velocities,
            forces: &self.state.forces,
            response: &self.response,
        };
        replicas.each(potential, |mut replica| {
            if frozen[replica.number].is_none() {
                replica.kick(half);
            }
        })
    }

    fn draw_velocities(&mut self) {
        for replica in 0..self.system.replicas() {
            let atoms = self.system.atoms(replica);
            let (stream, thermal) = (self.plan.streams[replica], self.plan.thermal[replica]);
            for (item, atom) in (0..).zip(atoms) {
                let drawn = self.random.normals(Purpose::Velocities, stream, 0, item);
                let size = (thermal * self.response[atom]).sqrt();
                self.state.velocities[atom] = drawn.map(|z| size * z);
            }
        }
    }

    /// What is wrong with the positions a replica moved to.
    fn jump(&self, replica: usize) -> Option<String> {
        let limit = self.plan.largest_step;
        self.system.atoms(replica).find_map(|atom| {
            let (p, q) = (self.state.positions[atom], self.before[0][atom]);
            let far = (0..3)
                .map(|axis| (p[axis] - q[axis]) * (p[axis] - q[axis]))
                .sum::<f64>();
            // Written so that what is not a number counts.
            let fine = far <= limit * limit;
            (!fine).then(|| {
                let far = far.sqrt();
                let number = atom - self.system.offsets[replica];
                format!("atom {number} moves by {far:.3e} in one step, more than {limit}")
            })
        })
    }

    fn freeze(&mut self, replica: usize, reason: String) {
        let atoms = self.system.atoms(replica);
        self.state.positions[atoms.clone()].copy_from_slice(&self.before[0][atoms.clone()]);
        self.state.velocities[atoms.clone()].copy_from_slice(&self.before[1][atoms]);
        self.state.frozen[replica] = Some(BlowUp {
            step: self.state.step + 1,
            reason,
        });
    }

    fn exchange(&mut self) {
        let (state, round) = (
            &self.state,
            self.state.step / self.plan.exchange_interval - 1,
        );
        let energy = |replica: usize| {
            let moves = state.frozen[replica].is_none();
            moves.then(|| state.energies[replica])
        };
        let mut exchanged = std::mem::take(&mut self.exchanged);
        let (step, random) = (state.step, self.random);
        let thermal = &self.plan.thermal;
        self.plan
            .ladders
            .attempt(round, step, random, thermal, energy, &mut exchanged);
        for &[a, b] in &exchanged {
            self.swap(a, b);
        }
        self.exchanged = exchanged;
    }

    /// Exchanges the configurations of two replicas, velocities scaled to their new temperatures.
    fn swap(&mut self, a: usize, b: usize) {
        let (first, second) = (self.system.atoms(a), self.system.atoms(b));
        let state = &mut self.state;
        for rows in [
            &mut state.positions,
            &mut state.velocities,
            &mut state.forces,
        ] {
            swap_rows(rows, first.start, second.start, first.len());
        }
        let warmer = (self.plan.thermal[b] / self.plan.thermal[a]).sqrt();
        for (atoms, factor) in [(first, 1.0 / warmer), (second, warmer)] {
            for v in &mut state.velocities[atoms] {
                *v = v.map(|v| factor * v);
            }
        }
        state.energies.swap(a, b);
        state.walkers.swap(a, b);
        let width = state.terms.len() / self.system.replicas();
        swap_rows(&mut state.terms, a * width, b * width, width);
    }
}
