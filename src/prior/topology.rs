//! A molecule's terms with their parameters, ready to be evaluated.

use std::collections::HashMap;

use crate::model::{Lookup, Model, Prior, PriorKind};
use crate::{Error, Result};

/// The terms a caller gives for one prior.
#[derive(Debug, Clone, Copy)]
pub struct TermList<'a> {
    /// Name of the prior.
    pub prior: &'a str,
    /// Atoms of each term, row-major, counted from 0 within the molecule.
    pub atoms: &'a [i32],
}

/// What is evaluated for a molecule of these types.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Topology {
    pub name: String,
    pub types: Vec<i32>,
    /// One for each prior of the model, in its order.
    pub terms: Vec<Terms>,
}

/// The terms of one prior in one molecule.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Their form.
    pub kind: PriorKind,
    /// Square of the distance beyond which pair terms are zero; infinite if there is none.
    pub cutoff2: f64,
    /// Atoms of each term, row-major.
    pub atoms: Vec<u32>,
    /// Parameters of each term, row-major: single numbers, then the series.
    pub parameters: Vec<f64>,
}

impl Topology {
    /// Structure `number` of the model's file, if every prior has term lists for it.
    pub fn of_file(model: &Model, number: usize) -> Result<Option<Self>> {
        let structures = model.structures();
        let atoms = structures.offsets[number]..structures.offsets[number + 1];
        let types = &structures.types[atoms];
        let mut terms = Vec::new();
        for prior in model.priors() {
            let Some(lists) = &prior.terms else {
                return Ok(None);
            };
            let (rows, order) = (
                lists.offsets[number]..lists.offsets[number + 1],
                prior.description.kind.atoms(),
            );
            let atoms = &lists.atoms[rows.start * order..rows.end * order];
            let found = match prior.description.lookup {
                Lookup::PerTerm => Terms::new(prior, atoms, rows),
                Lookup::PerType => {
                    let rows = look_up(prior, types, atoms).map_err(|reason| {
                        Error::model(
                            model.name(),
                            format!("priors.{}.atoms", prior.description.name),
                            format!("structure {number}: {reason}"),
                        )
                    })?;
                    Terms::new(prior, atoms, rows.into_iter())
                }
            };
            terms.push(found);
        }
        Ok(Some(Self {
            name: model.description().structures[number].name.clone(),
            types: types.to_vec(),
            terms,
        }))
    }

    /// A molecule whose term lists a caller has: one list for each prior of the model.
    pub fn of_lists(model: &Model, name: &str, types: &[i32], lists: &[TermList]) -> Result<Self> {
        let fail = |reason: String| Error::invalid(format!("topology {name:?}: {reason}"));
        if let Some((atom, kind)) = (0..)
            .zip(types)
            .find(|(_, kind)| model.row(**kind).is_none())
        {
            let model = model.name();
            return Err(fail(format!(
                "atom {atom} has type {kind}, which {model} does not know"
            )));
        }
        let mut given: HashMap<&str, &[i32]> = HashMap::new();
        for list in lists {
            let known = |prior: &Prior| prior.description.name == list.prior;
            if !model.priors().iter().any(known) {
                let names: Vec<&str> = names(model).collect();
                return Err(fail(format!(
                    "there is no prior {:?} in {}; there are {}",
                    list.prior,
                    model.name(),
                    names.join(", ")
                )));
            }
            if given.insert(list.prior, list.atoms).is_some() {
                return Err(fail(format!("prior {:?} is listed twice", list.prior)));
            }
        }
        let mut terms = Vec::new();
        for prior in model.priors() {
            let prior_name = prior.description.name.as_str();
            let fail = |reason: String| fail(format!("prior {prior_name:?}: {reason}"));
            let list = given.get(prior_name).ok_or_else(|| {
                fail("has no term list; give an empty one if the molecule has no such terms".into())
            })?;
            let atoms = checked(list, prior.description.kind.atoms(), types.len()).map_err(fail)?;
            if prior.description.lookup == Lookup::PerTerm && !atoms.is_empty() {
                return Err(fail(
                    "has a row of parameters for every term of the molecules in the file, and none by types for others"
                        .into(),
                ));
            }
            let rows = look_up(prior, types, &atoms).map_err(fail)?;
            terms.push(Terms::new(prior, &atoms, rows.into_iter()));
        }
        Ok(Self {
            name: name.to_owned(),
            types: types.to_vec(),
            terms,
        })
    }

    /// Number of terms.
    pub fn len(&self) -> usize {
        self.terms.iter().map(Terms::len).sum()
    }

    /// Whether two topologies are the same but for their names.
    pub fn agrees(&self, other: &Self) -> bool {
        self.types == other.types && self.terms == other.terms
    }
}

/// The names of a model's priors.
fn names(model: &Model) -> impl Iterator<Item = &str> {
    let priors = model.priors().iter();
    priors.map(|prior| prior.description.name.as_str())
}

impl Terms {
    /// Terms that join `atoms` and have these rows of the prior's parameters.
    fn new(prior: &Prior, atoms: &[u32], rows: impl Iterator<Item = usize>) -> Self {
        let degrees = prior.description.degrees;
        let mut parameters = Vec::new();
        for row in rows {
            parameters.extend(prior.parameters.iter().map(|values| values[row]));
            for series in &prior.series {
                parameters.extend_from_slice(&series[row * degrees..(row + 1) * degrees]);
            }
        }
        Self {
            kind: prior.description.kind,
            cutoff2: prior.description.cutoff.map_or(f64::INFINITY, |c| c * c),
            atoms: atoms.to_vec(),
            parameters,
        }
    }

    /// Number of terms.
    pub(super) fn len(&self) -> usize {
        self.atoms.len() / self.kind.atoms()
    }
}

/// Rows of the parameters by type of these terms, or which term has none.
fn look_up(prior: &Prior, types: &[i32], atoms: &[u32]) -> std::result::Result<Vec<usize>, String> {
    let order = prior.description.kind.atoms();
    let rows: HashMap<&[i32], usize> = prior.types.chunks_exact(order).zip(0..).collect();
    let mut key = vec![0; order];
    (0..).zip(atoms.chunks_exact(order))
        .map(|(number, term): (usize, _)| {
            for (kind, &atom) in key.iter_mut().zip(term) {
                *kind = types[atom as usize];
            }
            rows.get(key.as_slice()).copied().ok_or_else(|| {
                format!(
                    "term {number} joins atoms {term:?} of types {key:?}, which its table does not have"
                )
            })
        })
        .collect()
}

/// A caller's atoms of terms as indices.
fn checked(list: &[i32], order: usize, atoms: usize) -> std::result::Result<Vec<u32>, String> {
    if !list.len().is_multiple_of(order) {
        return Err(format!(
            "its terms join {order} atoms, and {} are listed",
            list.len()
        ));
    }
    for (number, term) in (0..).zip(list.chunks_exact(order)) {
        let number: usize = number;
        for (place, &atom) in term.iter().enumerate() {
            if usize::try_from(atom).is_ok_and(|atom| atom < atoms) {
                if term[..place].contains(&atom) {
                    return Err(format!("term {number} names atom {atom} twice"));
                }
            } else {
                return Err(format!(
                    "term {number} names atom {atom}, and there are {atoms}"
                ));
            }
        }
    }
    Ok(list.iter().map(|&atom| atom as u32).collect())
}
