//! All that the next step depends on, as bytes.
//!
//! `FSNSTATE`, a version, checksums of what the simulation was told, the state, and a CRC-32 of everything before it;
//! little-endian throughout. A checkpoint fits a simulation that was told the same, and no other.

use super::state::BlowUp;
use super::{FORCES, Integrator, Simulation, State};
use crate::potential::{Filters, Potential, Precision};
use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"FSNSTATE";
const VERSION: u32 = 1;

/// What a simulation was told, part by part.
const PARTS: [&str; 6] = [
    "model or its use",
    "structures",
    "masses",
    "temperatures",
    "integrator, time step or seed",
    "exchange",
];

impl Simulation {
    /// The state, and what of `potential` the next step depends on.
    pub fn checkpoint(&self, potential: &Potential) -> Vec<u8> {
        let state = &self.state;
        let mut bytes = Bytes(MAGIC.to_vec());
        bytes.number(u64::from(VERSION));
        for sum in self.told(potential) {
            bytes.number(u64::from(sum));
        }
        bytes.number(state.step);
        let reference = potential.list_reference();
        let fits = reference.len() == state.positions.len();
        let reference = if fits { reference } else { &state.positions };
        for rows in [
            &state.positions[..],
            &state.velocities,
            &state.forces,
            reference,
        ] {
            bytes.floats(rows.as_flattened());
        }
        bytes.floats(&state.energies);
        bytes.floats(&state.terms);
        for &walker in &state.walkers {
            bytes.number(u64::from(walker));
        }
        for frozen in &state.frozen {
            let (step, reason) = frozen
                .as_ref()
                .map_or((0, ""), |blow_up| (blow_up.step, &blow_up.reason));
            bytes.number(step);
            bytes.number(reason.len() as u64);
            bytes.0.extend(reason.as_bytes());
        }
        for pair in self.pairs() {
            bytes.number(pair.attempts);
            bytes.number(pair.accepted);
        }
        let sum = crc32fast::hash(&bytes.0);
        bytes.0.extend(sum.to_le_bytes());
        bytes.0
    }

    /// Goes on from a checkpoint of a simulation that was told the same, as if nothing had happened in between.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for bytes that are no checkpoint, are damaged, or belong to another simulation; the
    /// simulation is then as it was.
    pub fn restore(&mut self, potential: &mut Potential, bytes: &[u8]) -> Result<()> {
        let damaged = || Error::invalid("the checkpoint is damaged or cut off");
        let rest = bytes
            .strip_prefix(MAGIC)
            .ok_or_else(|| Error::invalid("not a checkpoint of a simulation"))?;
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
            return Err(damaged());
        }
        let mut rest = Reader(&rest[..rest.len() - 4]);
        let version = rest.number().ok_or_else(damaged)?;
        if version != u64::from(VERSION) {
            return Err(Error::unsupported(format!(
                "the checkpoint has version {version}, this library reads {VERSION}"
            )));
        }
        for (part, sum) in PARTS.iter().zip(self.told(potential)) {
            if rest.number().ok_or_else(damaged)? != u64::from(sum) {
                return Err(Error::invalid(format!(
                    "the checkpoint is of another simulation: its {part} differ"
                )));
            }
        }
        let (state, reference, counts) = self.read(&mut rest).ok_or_else(damaged)?;
        // The list as it was: pairs are the same, and in the same order.
        potential.forget_list();
        potential.compute(&self.system.at(&reference), FORCES)?;
        self.state = state;
        for (pair, [attempts, accepted]) in self.plan.ladders.pairs.iter_mut().zip(counts) {
            (pair.attempts, pair.accepted) = (attempts, accepted);
        }
        Ok(())
    }

    /// State, positions of the neighbour list, attempts and exchanges of each pair.
    #[allow(clippy::type_complexity)]
    fn read(&self, rest: &mut Reader) -> Option<(State, Vec<[f64; 3]>, Vec<[u64; 2]>)> {
        let (atoms, replicas) = (self.state.positions.len(), self.system.replicas());
        let step = rest.number()?;
        let mut rows = || Some(rest.floats(3 * atoms)?.as_chunks::<3>().0.to_vec());
        let (positions, velocities, forces, reference) = (rows()?, rows()?, rows()?, rows()?);
        let energies = rest.floats(replicas)?;
        let terms = rest.floats(self.state.terms.len())?;
        let walkers = (0..replicas)
            .map(|_| u32::try_from(rest.number()?).ok())
            .collect::<Option<_>>()?;
        let frozen = (0..replicas)
            .map(|_| {
                let (step, length) = (rest.number()?, rest.number()?);
                let reason = rest.take(usize::try_from(length).ok()?)?;
                let reason = String::from_utf8(reason.to_vec()).ok()?;
                Some((step > 0).then_some(BlowUp { step, reason }))
            })
            .collect::<Option<_>>()?;
        let counts = (0..self.pairs().len())
            .map(|_| Some([rest.number()?, rest.number()?]))
            .collect::<Option<_>>()?;
        let state = State {
            step,
            positions,
            velocities,
            forces,
            energies,
            terms,
            walkers,
            frozen,
        };
        rest.0.is_empty().then_some((state, reference, counts))
    }

    /// A checksum of each part of what the simulation was told.
    fn told(&self, potential: &Potential) -> [u32; PARTS.len()] {
        let (system, plan, options) = (&self.system, &self.plan, potential.options());
        let sum = |write: &dyn Fn(&mut Bytes)| {
            let mut bytes = Bytes(Vec::new());
            write(&mut bytes);
            crc32fast::hash(&bytes.0)
        };
        let integers = |bytes: &mut Bytes, values: &[i32]| {
            for value in values {
                bytes.0.extend(value.to_le_bytes());
            }
        };
        [
            // The description has the checksums of all tensors.
            sum(&|bytes| {
                bytes
                    .0
                    .extend(potential.model().description_json().as_bytes());
                bytes
                    .0
                    .extend(Precision::name(options.precision).as_bytes());
                bytes.0.extend(Filters::name(options.filters).as_bytes());
                bytes.0.extend(options.priors.name().as_bytes());
                bytes.floats(&[potential.skin()]);
            }),
            sum(&|bytes| {
                for &offset in &system.offsets {
                    bytes.number(offset as u64);
                }
                integers(bytes, &system.types);
                bytes.floats(system.cells.as_flattened().as_flattened());
                bytes
                    .0
                    .extend(system.periodic.as_flattened().iter().map(|&p| u8::from(p)));
                integers(
                    bytes,
                    system
                        .excluded
                        .as_deref()
                        .unwrap_or_default()
                        .as_flattened(),
                );
                integers(bytes, system.topologies.as_deref().unwrap_or_default());
            }),
            sum(&|bytes| bytes.floats(&plan.masses)),
            sum(&|bytes| bytes.floats(&plan.thermal)),
            sum(&|bytes| {
                let friction = match plan.integrator {
                    Integrator::Langevin { friction } => friction,
                    Integrator::Verlet => 0.0,
                };
                bytes.floats(&[friction, plan.timestep, plan.largest_step]);
                bytes.number(plan.seed);
                for &stream in &plan.streams {
                    bytes.number(u64::from(stream));
                }
            }),
            sum(&|bytes| {
                bytes.number(plan.exchange_interval);
                for pair in &plan.ladders.pairs {
                    bytes.number(pair.replicas[0] as u64);
                    bytes.number(pair.replicas[1] as u64);
                }
            }),
        ]
    }
}

struct Bytes(Vec<u8>);

impl Bytes {
    fn number(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    fn floats(&mut self, values: &[f64]) {
        for value in values {
            self.0.extend(value.to_le_bytes());
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn floats(&mut self, count: usize) -> Option<Vec<f64>> {
        let bytes = self.take(count.checked_mul(8)?)?;
        Some(
            bytes
                .as_chunks::<8>()
                .0
                .iter()
                .map(|&b| f64::from_le_bytes(b))
                .collect(),
        )
    }
}
