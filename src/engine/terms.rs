//! Analytic terms that an engine on a device adds to what its network gives.

use std::fmt::Debug;

use crate::Error;
use crate::model::PriorKind;

/// What all terms of one prior share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Form {
    /// The functional form.
    pub kind: PriorKind,
    /// Length of its series.
    pub degrees: usize,
    /// Square of the distance beyond which pair terms are zero; infinite if there is none.
    pub cutoff2: f64,
}

/// A molecule's terms.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology<'a> {
    /// Row of the embedding of each atom.
    pub types: Vec<u32>,
    /// Whether it is what a search by these types finds.
    pub found: bool,
    /// One list for each prior.
    pub lists: Vec<TermRows<'a>>,
}

/// The terms of one prior in a molecule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TermRows<'a> {
    /// Its form, which says how many atoms a term joins.
    pub kind: PriorKind,
    /// Atoms of each term, row-major, counted within the molecule.
    pub atoms: &'a [u32],
    /// Parameters of each term, row-major, in the order of [`PriorKind::parameters`], then the series.
    pub parameters: &'a [f64],
}

impl TermRows<'_> {
    /// How many there are.
    pub fn terms(&self) -> usize {
        self.atoms.len() / self.kind.atoms()
    }
}

/// The terms of all molecules that structures may be, and the words for what is wrong with them.
pub trait Terms: Debug {
    /// One for each prior.
    fn forms(&self) -> Vec<Form>;

    /// How many topologies there are: more may come, none goes.
    fn topologies(&self) -> usize;

    /// One of them.
    fn topology(&self, number: usize) -> Topology<'_>;

    /// A term of a structure has no value: its vector of a number has no length, or with none, atoms lie on a line. Terms are counted
    /// through all lists of the topology.
    fn degenerate(
        &self,
        structure: usize,
        topology: usize,
        term: usize,
        vector: Option<usize>,
    ) -> Error;

    /// A structure of these types, rows of the embedding, has not the topology asked for, or none if −1 was.
    fn unmatched(&self, structure: usize, types: &[u32], asked: i32) -> Error;
}

/// The terms of a call: where they are, and for each structure its topology.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    /// All there are.
    pub terms: &'a dyn Terms,
    /// For each structure one of them.
    pub topologies: &'a [usize],
}
