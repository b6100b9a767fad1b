//! A model's priors as an engine on a device takes them.

use crate::Error;
use crate::engine::{Form, TermRows, Terms, Topology};
use crate::model::Model;
use crate::prior::Priors;

/// The priors of a potential.
#[derive(Debug)]
pub(super) struct DeviceTerms<'a> {
    pub model: &'a Model,
    pub priors: &'a Priors,
}

impl Terms for DeviceTerms<'_> {
    fn forms(&self) -> Vec<Form> {
        let priors = self.model.priors().iter();
        priors
            .map(|prior| Form {
                kind: prior.description.kind,
                degrees: prior.description.degrees,
                cutoff2: prior.description.cutoff.map_or(f64::INFINITY, |c| c * c),
            })
            .collect()
    }

    fn topologies(&self) -> usize {
        self.priors.topologies()
    }

    fn topology(&self, number: usize) -> Topology<'_> {
        let (types, found) = self.priors.types(number);
        let rows = types.iter();
        let lists = self.priors.lists(number).iter();
        Topology {
            // A type that the network does not know is no atom's.
            types: rows
                .map(|&kind| self.model.row(kind).unwrap_or(u32::MAX))
                .collect(),
            found,
            lists: lists
                .map(|list| TermRows {
                    kind: list.kind,
                    atoms: &list.atoms,
                    parameters: &list.parameters,
                })
                .collect(),
        }
    }

    fn degenerate(
        &self,
        structure: usize,
        topology: usize,
        term: usize,
        vector: Option<usize>,
    ) -> Error {
        self.priors.degenerate(structure, topology, term, vector)
    }

    fn unmatched(&self, structure: usize, types: &[u32], asked: i32) -> Error {
        let known = &self.model.description().types;
        let types: Vec<i32> = types.iter().map(|&row| known[row as usize].index).collect();
        match self.priors.refuse(structure, &types, asked) {
            Err(error) => error,
            Ok(number) => Error::Internal(format!("structure {structure} has topology {number}")),
        }
    }
}
