//! What a simulation is told, and the checks of it.

use super::exchange::Ladders;
use crate::model::Model;
use crate::potential::Structures;
use crate::{Error, Result};

/// How a replica moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Integrator {
    /// Langevin dynamics by the splitting BAOAB, with this friction in 1/ps.
    Langevin {
        /// Rate at which velocities forget themselves, in 1/ps.
        friction: f64,
    },
    /// Newton's equations by velocity Verlet.
    Verlet,
}

/// Choices of a simulation. Arrays that may be absent have a default for every replica or atom.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// How replicas move.
    pub integrator: Integrator,
    /// Time step in ps.
    pub timestep: f64,
    /// Where random numbers begin.
    pub seed: u64,
    /// Thermal energy k·T of each replica, in the model's unit of energy; may be zero without Langevin dynamics.
    pub thermal: &'a [f64],
    /// Mass of each atom in u; `None`: those of the model's types.
    pub masses: Option<&'a [f64]>,
    /// Velocities in the model's unit of length per ps; `None`: drawn from the Maxwell–Boltzmann distribution.
    pub velocities: Option<&'a [[f64; 3]]>,
    /// Stream of random numbers of each replica; `None`: their numbers.
    pub streams: Option<&'a [u32]>,
    /// Steps between attempts to exchange configurations; 0: none.
    pub exchange_interval: u64,
    /// The ladder of temperatures each replica is a rung of, negative for none; `None`: all in one.
    pub ladders: Option<&'a [i32]>,
    /// Atoms that move further in one step, in the model's unit of length, show that their replica has blown up;
    /// `None`: 10 Å.
    pub largest_step: Option<f64>,
}

const LARGEST_STEP_IN_ANGSTROM: f64 = 10.0;
/// Counters of random numbers end here.
pub(super) const MOST_STEPS: u64 = 1 << 56;

/// Settings with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub integrator: Integrator,
    pub timestep: f64,
    pub seed: u64,
    pub thermal: Vec<f64>,
    pub masses: Vec<f64>,
    pub streams: Vec<u32>,
    pub exchange_interval: u64,
    pub ladders: Ladders,
    pub largest_step: f64,
}

impl Plan {
    pub fn new(model: &Model, structures: &Structures, settings: &Settings) -> Result<Self> {
        let replicas = structures.offsets.len() - 1;
        positive("timestep", settings.timestep)?;
        if let Integrator::Langevin { friction } = settings.integrator {
            positive("friction", friction)?;
        }
        let length = model.description().units.length.in_angstrom();
        let largest_step = settings
            .largest_step
            .unwrap_or(LARGEST_STEP_IN_ANGSTROM / length);
        positive("largest step", largest_step)?;
        count("thermal energies", settings.thermal.len(), replicas)?;
        let cold_allowed =
            settings.integrator == Integrator::Verlet && settings.exchange_interval == 0;
        for (replica, &energy) in settings.thermal.iter().enumerate() {
            if !(energy.is_finite() && (energy > 0.0 || cold_allowed && energy == 0.0)) {
                return Err(Error::invalid(format!(
                    "thermal energy of replica {replica} is {energy}, must be positive and finite"
                )));
            }
        }
        let masses = match settings.masses {
            Some(masses) => masses.to_vec(),
            None => masses(model, structures.types)?,
        };
        count("masses", masses.len(), structures.types.len())?;
        if let Some(atom) = masses.iter().position(|&m| !(m.is_finite() && m > 0.0)) {
            return Err(Error::invalid(format!(
                "mass of atom {atom} is {}, must be positive and finite",
                masses[atom]
            )));
        }
        if let Some(velocities) = settings.velocities {
            count("velocities", velocities.len(), structures.types.len())?;
            let finite = |v: &[f64; 3]| v.iter().all(|v| v.is_finite());
            if let Some(atom) = velocities.iter().position(|v| !finite(v)) {
                return Err(Error::invalid(format!(
                    "velocity of atom {atom} is not finite"
                )));
            }
        }
        let streams = settings
            .streams
            .map_or_else(|| (0..replicas as u32).collect(), <[u32]>::to_vec);
        count("streams", streams.len(), replicas)?;
        let mut sorted = streams.clone();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::invalid(format!(
                "two replicas have the stream {} of random numbers",
                twice[0]
            )));
        }
        let ladders = if settings.exchange_interval == 0 {
            Ladders::default()
        } else {
            let given = settings
                .ladders
                .map_or_else(|| vec![0; replicas], <[i32]>::to_vec);
            count("ladders", given.len(), replicas)?;
            Ladders::new(&given, &settings_of(structures, &masses), settings.thermal)?
        };
        Ok(Self {
            integrator: settings.integrator,
            timestep: settings.timestep,
            seed: settings.seed,
            thermal: settings.thermal.to_vec(),
            masses,
            streams,
            exchange_interval: settings.exchange_interval,
            ladders,
            largest_step,
        })
    }
}

/// What must be the same in two replicas that exchange their configurations.
pub(super) struct Kind<'a> {
    types: &'a [i32],
    masses: &'a [f64],
    topology: Option<i32>,
    cell: Option<&'a [[f64; 3]; 3]>,
    periodic: Option<&'a [bool; 3]>,
    excluded: Vec<[usize; 2]>,
}

impl Kind<'_> {
    /// What differs, in words.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        [
            (self.types != other.types, "types"),
            (self.masses != other.masses, "masses"),
            (self.topology != other.topology, "topologies"),
            (
                self.cell != other.cell || self.periodic != other.periodic,
                "cells",
            ),
            (self.excluded != other.excluded, "excluded pairs"),
        ]
        .into_iter()
        .find_map(|(differs, what)| differs.then_some(what))
    }
}

fn settings_of<'a>(structures: &Structures<'a>, masses: &'a [f64]) -> Vec<Kind<'a>> {
    (0..structures.offsets.len() - 1)
        .map(|replica| {
            let atoms = structures.offsets[replica]..structures.offsets[replica + 1];
            let inside = |pair: &&[i32; 2]| atoms.contains(&(pair[0] as usize));
            let pairs = structures.excluded.unwrap_or_default().iter();
            let mut excluded: Vec<[usize; 2]> = pairs
                .filter(inside)
                .map(|pair| pair.map(|atom| (atom as usize).wrapping_sub(atoms.start)))
                .collect();
            excluded.sort_unstable();
            Kind {
                types: &structures.types[atoms.clone()],
                masses: &masses[atoms],
                topology: structures.topologies.map(|numbers| numbers[replica]),
                cell: structures.cells.get(replica),
                periodic: structures.periodic.get(replica),
                excluded,
            }
        })
        .collect()
}

fn masses(model: &Model, types: &[i32]) -> Result<Vec<f64>> {
    let known: std::collections::HashMap<i32, Option<f64>> = model
        .description()
        .types
        .iter()
        .map(|kind| (kind.index, kind.mass))
        .collect();
    let of = |(atom, kind): (usize, &i32)| {
        known.get(kind).copied().flatten().ok_or_else(|| {
            Error::invalid(format!(
                "{} has no mass for type {kind} of atom {atom}: give the masses",
                model.name()
            ))
        })
    };
    types.iter().enumerate().map(of).collect()
}

fn positive(name: &str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "{name} is {value}, must be positive and finite"
        )))
    }
}

fn count(name: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        Ok(())
    } else {
        Err(Error::invalid(format!("{found} {name} for {expected}")))
    }
}
