//! One structure, and computing it.

use flashschnet::Result;
use flashschnet::engine::{Results, Wanted};
use flashschnet::model::Model;
use flashschnet::potential::{Options, Potential, Precision, Structures};
use std::sync::Arc;

/// Everything an engine can be asked for.
pub const ALL: Wanted = Wanted {
    forces: true,
    virials: true,
    atom_virials: true,
};

pub type Vector = [f64; 3];

/// Atoms in space, with or without a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct System {
    pub positions: Vec<Vector>,
    pub types: Vec<i32>,
    pub cell: Option<[Vector; 3]>,
    pub periodic: [bool; 3],
}

impl System {
    /// Energies and their gradients.
    pub fn compute(&self, potential: &mut Potential) -> Results {
        self.compute_wanted(potential, ALL)
    }

    /// The energy alone.
    pub fn energy(&self, potential: &mut Potential) -> f64 {
        self.compute_wanted(potential, Wanted::default()).energies[0]
    }

    fn compute_wanted(&self, potential: &mut Potential, wanted: Wanted) -> Results {
        let cells: Vec<_> = self.cell.into_iter().collect();
        let structures = Structures {
            offsets: &[0, self.positions.len()],
            positions: &self.positions,
            types: &self.types,
            cells: &cells,
            periodic: &[self.periodic],
            excluded: None,
            topologies: None,
        };
        potential
            .compute(&structures, wanted)
            .expect("a valid structure")
            .clone()
    }

    /// Every position and lattice vector taken through `map`, which must be linear.
    pub fn mapped(&self, map: impl Fn(Vector) -> Vector) -> Self {
        Self {
            positions: self.positions.iter().map(|&p| map(p)).collect(),
            cell: self.cell.map(|cell| cell.map(&map)),
            ..self.clone()
        }
    }

    /// Lattice translations, as multiples of the cell's vectors, that can bring an atom within `reach` of another.
    pub fn translations(&self, reach: f64) -> Vec<[i32; 3]> {
        let Some(cell) = self.cell else {
            return vec![[0; 3]];
        };
        let volume = dot(cell[0], cross(cell[1], cell[2])).abs();
        let range = |c: usize| {
            let steps = if self.periodic[c] {
                let height = volume / norm(cross(cell[(c + 1) % 3], cell[(c + 2) % 3]));
                // Atoms lie in the cell or one beside it.
                (reach / height).ceil() as i32 + 2
            } else {
                0
            };
            -steps..=steps
        };
        range(0)
            .flat_map(|x| range(1).map(move |y| (x, y)))
            .flat_map(|(x, y)| range(2).map(move |z| [x, y, z]))
            .collect()
    }

    /// A lattice translation in space.
    pub fn shift(&self, steps: [i32; 3]) -> Vector {
        let cell = self.cell.unwrap_or_default();
        std::array::from_fn(|axis| (0..3).map(|c| f64::from(steps[c]) * cell[c][axis]).sum())
    }

    /// All distances below `reach`, each pair and image once a direction.
    pub fn distances(&self, reach: f64) -> Vec<f64> {
        let translations = self.translations(reach);
        let mut distances = Vec::new();
        for (i, &p) in self.positions.iter().enumerate() {
            for (j, &q) in self.positions.iter().enumerate() {
                for &steps in &translations {
                    let d = norm(sub(add(q, self.shift(steps)), p));
                    if d < reach && (i != j || steps != [0; 3]) {
                        distances.push(d);
                    }
                }
            }
        }
        distances
    }
}

/// A potential in float64 with this skin; 0 for none.
pub fn potential(model: &Arc<Model>, skin: f64) -> Potential {
    let options = Options {
        precision: Precision::Double,
        skin: Some(skin),
        ..Options::default()
    };
    Potential::new(model.clone(), options).expect("a potential")
}

pub fn add(p: Vector, q: Vector) -> Vector {
    std::array::from_fn(|axis| p[axis] + q[axis])
}

pub fn sub(p: Vector, q: Vector) -> Vector {
    std::array::from_fn(|axis| p[axis] - q[axis])
}

pub fn dot(p: Vector, q: Vector) -> f64 {
    p[0] * q[0] + p[1] * q[1] + p[2] * q[2]
}

pub fn cross(p: Vector, q: Vector) -> Vector {
    [
        p[1] * q[2] - p[2] * q[1],
        p[2] * q[0] - p[0] * q[2],
        p[0] * q[1] - p[1] * q[0],
    ]
}

pub fn norm(p: Vector) -> f64 {
    dot(p, p).sqrt()
}

/// The largest component of many vectors.
pub fn largest<'a>(numbers: impl IntoIterator<Item = &'a f64>) -> f64 {
    numbers.into_iter().fold(0.0, |most, x| most.max(x.abs()))
}

/// All of `systems` in one call.
pub fn compute_batch(potential: &mut Potential, systems: &[System]) -> Results {
    try_batch(potential, systems).expect("a valid batch")
}

pub fn try_batch(potential: &mut Potential, systems: &[System]) -> Result<Results> {
    batch_of(potential, systems, ALL)
}

/// As [`try_batch`], of what is wanted.
pub fn batch_of(potential: &mut Potential, systems: &[System], wanted: Wanted) -> Result<Results> {
    let mut offsets = vec![0];
    offsets.extend(systems.iter().scan(0, |end, system| {
        *end += system.positions.len();
        Some(*end)
    }));
    let positions: Vec<Vector> = systems
        .iter()
        .flat_map(|system| system.positions.clone())
        .collect();
    let types: Vec<i32> = systems
        .iter()
        .flat_map(|system| system.types.clone())
        .collect();
    let cells: Vec<_> = systems
        .iter()
        .map(|system| system.cell.unwrap_or_default())
        .collect();
    let periodic: Vec<_> = systems
        .iter()
        .map(|system| {
            if system.cell.is_some() {
                system.periodic
            } else {
                [false; 3]
            }
        })
        .collect();
    let structures = Structures {
        offsets: &offsets,
        positions: &positions,
        types: &types,
        cells: &cells,
        periodic: &periodic,
        excluded: None,
        topologies: None,
    };
    potential.compute(&structures, wanted).cloned()
}
