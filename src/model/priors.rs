//! Parameters and term lists of a model's analytic priors, checked; the room `prior` evaluates them.

use super::description::{Description, Lookup, PriorDescription};
use super::tensors::Tensors;
use crate::Result;

/// One prior: description, parameters and, where the file has them, term lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Prior {
    /// Name, form and sizes.
    pub description: PriorDescription,
    /// One vector a parameter, in the order of [`super::PriorKind::parameters`], a number a row.
    pub parameters: Vec<Vec<f64>>,
    /// One vector a series, in the order of [`super::PriorKind::series`], row-major `count × degrees`.
    pub series: Vec<Vec<f64>>,
    /// Type tuples of the rows, row-major `count × atoms`; empty when rows are terms.
    pub types: Vec<i32>,
    /// Term lists.
    pub terms: Option<Terms>,
}

/// The terms of one prior in all structures of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Atoms of each term, row-major, counted within their structure.
    pub atoms: Vec<u32>,
    /// Terms of structure s are rows `offsets[s]..offsets[s + 1]`.
    pub offsets: Vec<usize>,
}

/// The molecules a file carries term lists for.
#[derive(Debug, Clone, PartialEq)]
pub struct Structures {
    /// Types of all atoms, one molecule after the other.
    pub types: Vec<i32>,
    /// Atoms of structure s are `offsets[s]..offsets[s + 1]`.
    pub offsets: Vec<usize>,
}

impl Structures {
    pub(super) fn read(description: &Description, tensors: &mut Tensors) -> Result<Self> {
        let mut offsets = vec![0usize];
        for (index, structure) in description.structures.iter().enumerate() {
            let last = offsets[index].checked_add(structure.atoms).ok_or_else(|| {
                tensors.error(&format!("structures[{index}].atoms"), "is too large")
            })?;
            offsets.push(last);
        }
        if description.structures.is_empty() {
            return Ok(Self {
                types: Vec::new(),
                offsets,
            });
        }
        let name = "structures.types";
        let atoms = offsets[description.structures.len()];
        let types = known_types(
            description,
            tensors.integers(name, &[atoms])?,
            name,
            tensors,
        )?;
        Ok(Self { types, offsets })
    }
}

impl Prior {
    pub(super) fn read(
        prior: &PriorDescription,
        description: &Description,
        tensors: &mut Tensors,
    ) -> Result<Self> {
        let at = |part: &str| format!("priors.{}.{part}", prior.name);
        let terms = if prior.terms {
            Some(Terms::read(prior, description, tensors)?)
        } else {
            None
        };
        let types = match prior.lookup {
            Lookup::PerTerm => Vec::new(),
            Lookup::PerType => {
                let name = at("types");
                let tuples = tensors.integers(&name, &[prior.count, prior.kind.atoms()])?;
                let tuples = known_types(description, tuples, &name, tensors)?;
                let mut seen = std::collections::HashSet::new();
                for (row, tuple) in tuples.chunks(prior.kind.atoms()).enumerate() {
                    if !seen.insert(tuple) {
                        return Err(
                            tensors.error(&name, format!("row {row}: {tuple:?} occurs twice"))
                        );
                    }
                }
                tuples
            }
        };
        Ok(Self {
            parameters: prior
                .kind
                .parameters()
                .iter()
                .map(|parameter| tensors.floats(&at(parameter), &[prior.count]))
                .collect::<Result<_>>()?,
            series: prior
                .kind
                .series()
                .iter()
                .map(|series| tensors.floats(&at(series), &[prior.count, prior.degrees]))
                .collect::<Result<_>>()?,
            types,
            terms,
            description: prior.clone(),
        })
    }
}

impl Terms {
    fn read(
        prior: &PriorDescription,
        description: &Description,
        tensors: &mut Tensors,
    ) -> Result<Self> {
        let structures = &description.structures;
        let (name, order) = (format!("priors.{}.atoms", prior.name), prior.kind.atoms());
        let rows = match prior.lookup {
            Lookup::PerTerm => prior.count,
            Lookup::PerType => tensors.rows(&name)?,
        };
        let atoms = tensors.integers(&name, &[rows, order])?;
        let offsets_name = format!("priors.{}.offsets", prior.name);
        let offsets = tensors.integers(&offsets_name, &[structures.len() + 1])?;
        let rising = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
        if offsets[0] != 0 || offsets.last() != Some(&(rows as i64)) || !rising {
            return Err(tensors.error(
                &offsets_name,
                format!("must rise from 0 to the number of terms, {rows}"),
            ));
        }
        let offsets: Vec<usize> = offsets.into_iter().map(|offset| offset as usize).collect();
        for (index, structure) in structures.iter().enumerate() {
            for row in offsets[index]..offsets[index + 1] {
                let term = &atoms[row * order..(row + 1) * order];
                for (place, &atom) in term.iter().enumerate() {
                    if !(0..structure.atoms as i64).contains(&atom) {
                        return Err(tensors.error(
                            &name,
                            format!(
                                "row {row} names atom {atom} of structure {index}, which has {}",
                                structure.atoms
                            ),
                        ));
                    }
                    if term[..place].contains(&atom) {
                        return Err(
                            tensors.error(&name, format!("row {row} names atom {atom} twice"))
                        );
                    }
                }
            }
        }
        if structures
            .iter()
            .any(|structure| structure.atoms > u32::MAX as usize)
        {
            return Err(tensors.error("structures", "has more atoms than are supported"));
        }
        Ok(Self {
            atoms: atoms.into_iter().map(|atom| atom as u32).collect(),
            offsets,
        })
    }
}

fn known_types(
    description: &Description,
    types: Vec<i64>,
    name: &str,
    tensors: &Tensors,
) -> Result<Vec<i32>> {
    let known: std::collections::HashSet<i64> = description
        .types
        .iter()
        .map(|kind| i64::from(kind.index))
        .collect();
    match types.iter().position(|kind| !known.contains(kind)) {
        Some(at) => Err(tensors.error(
            name,
            format!(
                "element {at} is {}, which is not one of the model's types",
                types[at]
            ),
        )),
        None => Ok(types.into_iter().map(|kind| kind as i32).collect()),
    }
}
