//! Analytic terms of coarse-grained force fields, in float64: bonds, angles, dihedrals, impropers, repulsion.
//!
//! A [`Priors`] holds topologies: for molecules of given types, the terms of every prior with their parameters. Those
//! of the model's file come first, others are added from a caller's term lists. Independent structures are evaluated
//! one after the other, each with the topology that was found or named for it; nothing is allocated for that.
//!
//! | what | where |
//! | --- | --- |
//! | energies and gradients of one term | `forms.rs`, `geometry.rs` |
//! | terms with their parameters, from a file or a caller's lists | `topology.rs` |
//! | sums over the terms of a molecule | `evaluate.rs` |

mod evaluate;
mod forms;
mod geometry;
mod topology;

use std::collections::HashMap;
use std::sync::Arc;

pub use self::evaluate::Sums;
pub use self::topology::{TermList, Terms};

use self::evaluate::Fault;

use self::topology::Topology;
use crate::model::Model;
use crate::neighbors::Cell;
use crate::{Error, Result};

/// The number that asks for a topology to be found by the types of a structure.
pub const FIND: i32 = -1;

/// The topologies that a model's priors can be evaluated for.
#[derive(Debug)]
pub struct Priors {
    model: Arc<Model>,
    topologies: Vec<Topology>,
    by_types: HashMap<Vec<i32>, Fit>,
    /// For each topology, whether it is what a search by its types finds.
    found: Vec<bool>,
    /// Of the last structures, each one's topology.
    chosen: Vec<usize>,
}

/// The topologies for some types.
#[derive(Debug, Clone, Copy)]
enum Fit {
    /// This one, or others that are the same.
    One(usize),
    /// These two differ.
    Several(usize, usize),
}

impl Priors {
    /// The priors of `model`, with the topologies its file has; none if it has no priors.
    ///
    /// # Errors
    /// [`Error::Model`] if a term's types are not in its prior's table.
    pub fn new(model: &Arc<Model>) -> Result<Option<Self>> {
        if model.priors().is_empty() {
            return Ok(None);
        }
        let mut priors = Self {
            model: model.clone(),
            topologies: Vec::new(),
            by_types: HashMap::new(),
            found: Vec::new(),
            chosen: Vec::new(),
        };
        for number in 0..model.description().structures.len() {
            if let Some(topology) = Topology::of_file(model, number)? {
                priors.push(topology);
            }
        }
        Ok(Some(priors))
    }

    /// Adds a molecule by its term lists, one for each prior, and returns its number.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the prior, term, atom or type at fault.
    pub fn add_topology(&mut self, name: &str, types: &[i32], lists: &[TermList]) -> Result<usize> {
        let topology = Topology::of_lists(&self.model, name, types, lists)?;
        Ok(self.push(topology))
    }

    /// Number of terms of all structures that topologies have been chosen for.
    pub fn terms(&self) -> usize {
        let chosen = self.chosen.iter();
        chosen.map(|&number| self.topologies[number].len()).sum()
    }

    /// Number of priors.
    pub fn count(&self) -> usize {
        self.model.priors().len()
    }

    /// Finds the topology of each structure: the one named in `asked`, or the one that has its types.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the structure that has none.
    pub fn choose(
        &mut self,
        offsets: &[usize],
        types: &[i32],
        asked: Option<&[i32]>,
    ) -> Result<()> {
        let count = offsets.len() - 1;
        if let Some(asked) = asked
            && asked.len() != count
        {
            return Err(Error::invalid(format!(
                "{} topologies for {count} structures",
                asked.len()
            )));
        }
        self.chosen.resize(count, 0);
        for structure in 0..count {
            let types = &types[offsets[structure]..offsets[structure + 1]];
            let number = asked.map_or(FIND, |asked| asked[structure]);
            self.chosen[structure] = self.fit(structure, self.chosen[structure], types, number)?;
        }
        Ok(())
    }

    /// Adds the terms of structure `number`, whose topology [`Priors::choose`] has found.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for atoms at which a term has no value; the sums are then unspecified.
    pub fn add(
        &self,
        number: usize,
        positions: &[[f64; 3]],
        cell: &Cell,
        sums: &mut Sums,
    ) -> Result<()> {
        let topology = &self.topologies[self.chosen[number]];
        topology
            .add(positions, cell, sums)
            .map_err(|fault| self.fault(number, fault))
    }

    /// Of the last structures, each one's topology.
    pub fn chosen(&self) -> &[usize] {
        &self.chosen
    }

    /// How many topologies there are: more may come, none goes.
    pub fn topologies(&self) -> usize {
        self.topologies.len()
    }

    /// The types of a topology, and whether it is what a search by them finds.
    pub fn types(&self, topology: usize) -> (&[i32], bool) {
        (&self.topologies[topology].types, self.found[topology])
    }

    /// The terms of a topology, one list for each prior.
    pub fn lists(&self, topology: usize) -> &[Terms] {
        &self.topologies[topology].terms
    }

    /// What [`Priors::add`] says of a term that has no value: a vector of it of a number has no length, or with none, atoms lie on a line.
    pub fn degenerate(
        &self,
        structure: usize,
        topology: usize,
        term: usize,
        vector: Option<usize>,
    ) -> Error {
        self.fault(structure, self.topologies[topology].fault(term, vector))
    }

    /// What [`Priors::choose`] says of a structure that has not the topology asked for.
    ///
    /// # Errors
    /// That is what it returns.
    pub fn refuse(&self, structure: usize, types: &[i32], asked: i32) -> Result<usize> {
        self.fit(structure, usize::MAX, types, asked)
    }

    /// The topology of a structure of these types that had topology `last`.
    fn fit(&self, structure: usize, last: usize, types: &[i32], asked: i32) -> Result<usize> {
        let found = if asked == FIND {
            self.find(last, types)
        } else {
            self.named(asked, types)
        };
        found.map_err(|reason| Error::invalid(format!("structure {structure} {reason}")))
    }

    fn fault(&self, structure: usize, fault: Fault) -> Error {
        Error::invalid(format!(
            "structure {structure}: prior {:?}: {}",
            self.model.priors()[fault.prior].description.name,
            fault.reason
        ))
    }

    fn push(&mut self, topology: Topology) -> usize {
        let number = self.topologies.len();
        let fit = match self.by_types.get(&topology.types) {
            None => Fit::One(number),
            Some(&Fit::One(first)) if !self.topologies[first].agrees(&topology) => {
                self.found[first] = false;
                Fit::Several(first, number)
            }
            Some(&known) => known,
        };
        self.found
            .push(matches!(fit, Fit::One(first) if first == number));
        self.by_types.insert(topology.types.clone(), fit);
        self.topologies.push(topology);
        number
    }

    fn find(&self, last: usize, types: &[i32]) -> std::result::Result<usize, String> {
        if self.found.get(last) == Some(&true) && self.topologies[last].types == types {
            return Ok(last);
        }
        match self.by_types.get(types) {
            Some(&Fit::One(number)) => Ok(number),
            Some(&Fit::Several(first, second)) => Err(format!(
                "has the types of topologies {first} ({:?}) and {second} ({:?}), whose terms differ: say which by its number",
                self.topologies[first].name, self.topologies[second].name
            )),
            None => Err(self.missing(types.len())),
        }
    }

    fn named(&self, number: i32, types: &[i32]) -> std::result::Result<usize, String> {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        match self.topologies.get(index) {
            None => Err(format!(
                "asks for topology {number}, and there are {}",
                self.topologies.len()
            )),
            Some(topology) if topology.types != types => Err(format!(
                "does not have the types of topology {number} ({:?})",
                topology.name
            )),
            Some(_) => Ok(index),
        }
    }

    fn missing(&self, atoms: usize) -> String {
        let name = self.model.name();
        format!(
            "has {atoms} atoms of types that none of {} topologies has, and {name} has priors: add a topology with its term lists, or turn priors off",
            self.topologies.len()
        )
    }
}
