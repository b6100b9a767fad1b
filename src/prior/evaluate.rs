//! Summing the terms of one molecule.

use super::forms::{self, Degenerate, Term};
use super::geometry::{Vector, dot, sub};
use super::topology::{Terms, Topology};
use crate::model::PriorKind;
use crate::neighbors::Cell;

/// What the terms of one molecule are added to; arrays that are not wanted are empty or absent.
#[derive(Debug)]
pub struct Sums<'a> {
    /// Energy of the molecule.
    pub energy: &'a mut f64,
    /// Energy of each prior.
    pub priors: &'a mut [f64],
    /// Energy of each atom: an equal share of its terms'.
    pub atom_energies: &'a mut [f64],
    /// −dE/dr of each atom.
    pub forces: &'a mut [[f64; 3]],
    /// −dE/dε, row-major.
    pub virial: Option<&'a mut [f64; 9]>,
    /// Virial of each atom: an equal share of its terms'.
    pub atom_virials: &'a mut [[f64; 9]],
}

/// A term that cannot be evaluated.
pub(super) struct Fault {
    /// Number of the prior.
    pub prior: usize,
    /// What is wrong, with the atoms.
    pub reason: String,
}

const BOND: [[usize; 2]; 1] = [[0, 1]];
const ANGLE: [[usize; 2]; 2] = [[1, 0], [1, 2]];
const CHAIN: [[usize; 2]; 3] = [[0, 1], [1, 2], [2, 3]];

impl Topology {
    /// What is wrong with a term, counted through all lists: a vector of it of a number has no length, or with none, atoms lie on a line.
    pub fn fault(&self, mut term: usize, vector: Option<usize>) -> Fault {
        let mut prior = 0;
        while prior + 1 < self.terms.len() && term >= self.terms[prior].len() {
            term -= self.terms[prior].len();
            prior += 1;
        }
        let terms = &self.terms[prior];
        let order = terms.kind.atoms();
        let edges: &[[usize; 2]] = match order {
            2 => &BOND,
            3 => &ANGLE,
            _ => &CHAIN,
        };
        let degenerate = vector.map_or(Degenerate::Collinear, Degenerate::Coincident);
        let atoms = &terms.atoms[term * order..(term + 1) * order];
        Fault {
            prior,
            reason: reason(degenerate, edges, atoms),
        }
    }

    /// Adds energies, forces and virials of all terms at these positions.
    pub fn add(
        &self,
        positions: &[Vector],
        cell: &Cell,
        sums: &mut Sums,
    ) -> std::result::Result<(), Fault> {
        let place = Place { positions, cell };
        for (prior, terms) in self.terms.iter().enumerate() {
            let energy = match terms.kind {
                PriorKind::HarmonicBond => place.pairs(terms, sums, forms::harmonic_bond),
                PriorKind::Repulsion => place.pairs(terms, sums, forms::repulsion),
                PriorKind::ExponentialRepulsion => {
                    place.pairs(terms, sums, forms::exponential_repulsion)
                }
                PriorKind::HarmonicAngleCos => {
                    place.run(terms, sums, ANGLE, forms::harmonic_angle_cos)
                }
                PriorKind::HarmonicAngle => place.run(terms, sums, ANGLE, forms::harmonic_angle),
                PriorKind::QuarticAngle => place.run(terms, sums, ANGLE, forms::quartic_angle),
                PriorKind::RestrictedBending => {
                    place.run(terms, sums, ANGLE, forms::restricted_bending)
                }
                PriorKind::FourierDihedral => {
                    place.run(terms, sums, CHAIN, forms::fourier_dihedral)
                }
                PriorKind::HarmonicImproper => {
                    place.run(terms, sums, CHAIN, forms::harmonic_improper)
                }
            }
            .map_err(|reason| Fault { prior, reason })?;
            sums.priors[prior] += energy;
            *sums.energy += energy;
        }
        Ok(())
    }
}

/// Atoms in space.
struct Place<'a> {
    positions: &'a [Vector],
    cell: &'a Cell,
}

impl Place<'_> {
    /// Terms of two atoms, which may end at a cutoff.
    fn pairs(
        &self,
        terms: &Terms,
        sums: &mut Sums,
        form: impl Fn([Vector; 1], &[f64]) -> Term<1>,
    ) -> std::result::Result<f64, String> {
        self.run(terms, sums, BOND, |vectors, parameters| {
            if dot(vectors[0], vectors[0]) >= terms.cutoff2 {
                return Ok((0.0, [[0.0; 3]]));
            }
            form(vectors, parameters)
        })
    }

    /// Adds all terms of one prior and returns their energy; `edges` says which atoms each vector of a term joins.
    #[inline]
    fn run<const V: usize>(
        &self,
        terms: &Terms,
        sums: &mut Sums,
        edges: [[usize; 2]; V],
        form: impl Fn([Vector; V], &[f64]) -> Term<V>,
    ) -> std::result::Result<f64, String> {
        let (order, share) = (V + 1, 1.0 / (V + 1) as f64);
        let width = terms.parameters.len() / terms.len().max(1);
        let mut total = 0.0;
        for (number, atoms) in terms.atoms.chunks_exact(order).enumerate() {
            let at = |place: usize| atoms[place] as usize;
            let vectors = edges.map(|[from, to]| {
                self.cell
                    .nearest(sub(self.positions[at(to)], self.positions[at(from)]))
            });
            let parameters = &terms.parameters[number * width..(number + 1) * width];
            let (energy, gradients) =
                form(vectors, parameters).map_err(|fault| reason(fault, &edges, atoms))?;
            total += energy;
            for place in 0..order {
                sums.atom_energies[at(place)] += share * energy;
            }
            if !sums.forces.is_empty() {
                for ([from, to], gradient) in edges.iter().zip(&gradients) {
                    for (axis, slope) in gradient.iter().enumerate() {
                        sums.forces[at(*from)][axis] += slope;
                        sums.forces[at(*to)][axis] -= slope;
                    }
                }
            }
            if sums.virial.is_some() || !sums.atom_virials.is_empty() {
                let mut virial = [0.0; 9];
                for (vector, gradient) in vectors.iter().zip(&gradients) {
                    for (element, value) in virial.iter_mut().enumerate() {
                        *value -= gradient[element / 3] * vector[element % 3];
                    }
                }
                if let Some(sum) = &mut sums.virial {
                    add(sum, 1.0, &virial);
                }
                if !sums.atom_virials.is_empty() {
                    for place in 0..order {
                        add(&mut sums.atom_virials[at(place)], share, &virial);
                    }
                }
            }
        }
        Ok(total)
    }
}

fn add(sum: &mut [f64; 9], factor: f64, values: &[f64; 9]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

fn reason(fault: Degenerate, edges: &[[usize; 2]], atoms: &[u32]) -> String {
    match fault {
        Degenerate::Coincident(edge) => {
            let [from, to] = edges[edge];
            format!(
                "atoms {} and {} are at the same point",
                atoms[from], atoms[to]
            )
        }
        Degenerate::Collinear if edges.len() == 2 => {
            format!("atoms {atoms:?} lie on a line, where its energy is infinite")
        }
        Degenerate::Collinear => {
            format!("three neighbours of atoms {atoms:?} lie on a line: the dihedral has no value")
        }
    }
}
