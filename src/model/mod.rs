//! The model file: description, weights and their checks. Knows nothing of engines.

mod container;
pub mod description;
mod kinds;
mod load;
mod network;
mod priors;
mod rules;
mod tensors;
pub mod units;

pub use description::{
    Activation, Aggregation, AtomType, Description, Envelope, Lookup, NetworkDescription, PriorKind,
};
pub use network::{Basis, Block, Dense, Network};
pub use priors::{Prior, Structures, Terms};

use std::collections::HashMap;

/// A loaded model: immutable, shared between potentials and threads.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    name: String,
    description: Description,
    description_json: String,
    rows: HashMap<i32, u32>,
    network: Option<Network>,
    priors: Vec<Prior>,
    structures: Structures,
    parameters: usize,
}

impl Model {
    /// The path it was loaded from, or the name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The description as it stands in the file.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The description's JSON as it stands in the file.
    pub fn description_json(&self) -> &str {
        &self.description_json
    }

    /// The SchNet, if the file has one.
    pub fn network(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// The analytic priors.
    pub fn priors(&self) -> &[Prior] {
        &self.priors
    }

    /// The molecules whose term lists the file carries.
    pub fn structures(&self) -> &Structures {
        &self.structures
    }

    /// Number of floating parameters: weights and prior parameters.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Embedding row of the type callers know as `index`.
    pub fn row(&self, index: i32) -> Option<u32> {
        self.rows.get(&index).copied()
    }
}
