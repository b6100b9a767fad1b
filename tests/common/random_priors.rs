//! Models of random priors without a network, and molecules for them.

use std::sync::Arc;

use fastrand::Rng;
use flashschnet::model::Model;
use serde_json::{Value, json};

use super::model_file::{ModelFile, Tensor};
use super::random_tensors::{choice, uniform};
use super::system::{System, Vector, norm, sub};

/// Every kind: its name, atoms of a term, and parameters with the ranges they are drawn from.
pub type Kind = (&'static str, usize, &'static [(&'static str, f64, f64)]);
pub const KINDS: [Kind; 9] = [
    (
        "harmonic_bond",
        2,
        &[("k", 0.5, 5.0), ("x0", 0.5, 2.0), ("v0", -1.0, 1.0)],
    ),
    (
        "harmonic_angle_cos",
        3,
        &[("k", 0.5, 5.0), ("x0", -1.0, 1.0), ("v0", -1.0, 1.0)],
    ),
    (
        "harmonic_angle",
        3,
        &[("k", 0.5, 5.0), ("x0", 0.0, 3.0), ("v0", -1.0, 1.0)],
    ),
    (
        "quartic_angle",
        3,
        &[
            ("a", -1.0, 1.0),
            ("b", -1.0, 1.0),
            ("c", -1.0, 1.0),
            ("d", -1.0, 1.0),
            ("v0", -1.0, 1.0),
        ],
    ),
    (
        "restricted_bending",
        3,
        &[("k", 0.5, 5.0), ("x0", -1.0, 1.0), ("v0", -1.0, 1.0)],
    ),
    ("fourier_dihedral", 4, &[("v0", -1.0, 1.0)]),
    (
        "harmonic_improper",
        4,
        &[("k", 0.5, 5.0), ("x0", -9.0, 9.0), ("v0", -1.0, 1.0)],
    ),
    ("repulsion", 2, &[("sigma", 0.5, 2.0)]),
    (
        "exponential_repulsion",
        2,
        &[("a", 0.5, 5.0), ("b", 0.5, 2.0)],
    ),
];

/// How a prior's parameters are found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum By {
    Term,
    Type,
}

/// A file whose one prior `kind` has terms for each of `molecules`: types, and atoms of terms.
pub fn one_prior(
    rng: &mut Rng,
    kind: &Kind,
    by: By,
    molecules: &[(Vec<i32>, Vec<i64>)],
) -> ModelFile {
    let &(name, order, parameters) = kind;
    let terms: usize = molecules.iter().map(|(_, atoms)| atoms.len() / order).sum();
    let tuples = 3usize.pow(order as u32);
    let rows = if by == By::Term { terms } else { tuples };
    let degrees = if name == "fourier_dihedral" {
        rng.usize(1..8)
    } else {
        0
    };
    let structures: Vec<Value> = (0..)
        .zip(molecules)
        .map(|(number, (types, _)): (usize, _)| json!({"name": format!("m{number}"), "atoms": types.len()}))
        .collect();
    let type_table = [1, 2, 3]
        .map(|t| json!({"index": t, "name": format!("T{t}"), "atomic_number": null, "mass": 12.0}));
    let mut file = ModelFile {
        description: json!({
            "format_version": 1,
            "units": {"length": "Angstrom", "energy": "kcal/mol"},
            "types": type_table,
            "network": null,
            "structures": structures,
            "priors": [{
                "name": "p", "kind": name, "lookup": if by == By::Term { "per_term" } else { "per_type" }, "terms": true,
                "count": rows, "degrees": degrees,
            }],
        }),
        tensors: Default::default(),
    };
    for &(parameter, from, to) in parameters {
        let values: Vec<f64> = (0..rows).map(|_| uniform(rng, from, to)).collect();
        let tensor = Tensor::floats(choice(rng, &["F64", "F32"]), &[rows], &values);
        file.tensors.insert(format!("priors.p.{parameter}"), tensor);
    }
    for series in ["sin", "cos"] {
        if degrees > 0 {
            let values: Vec<f64> = (0..rows * degrees)
                .map(|_| uniform(rng, -1.0, 1.0))
                .collect();
            let tensor = Tensor::floats("F64", &[rows, degrees], &values);
            file.tensors.insert(format!("priors.p.{series}"), tensor);
        }
    }
    if by == By::Type {
        let mut all = Vec::new();
        for tuple in 0..tuples {
            all.extend((0..order as u32).map(|place| (tuple / 3usize.pow(place) % 3 + 1) as i64));
        }
        file.tensors.insert(
            "priors.p.types".into(),
            Tensor::integers(&[tuples, order], &all),
        );
    }
    let types: Vec<i64> = molecules
        .iter()
        .flat_map(|(types, _)| types.iter().map(|&t| i64::from(t)))
        .collect();
    let atoms: Vec<i64> = molecules
        .iter()
        .flat_map(|(_, atoms)| atoms.clone())
        .collect();
    let mut offsets = vec![0];
    for (_, atoms) in molecules {
        offsets.push(offsets[offsets.len() - 1] + (atoms.len() / order) as i64);
    }
    file.tensors.insert(
        "structures.types".into(),
        Tensor::integers(&[types.len()], &types),
    );
    file.tensors.insert(
        "priors.p.atoms".into(),
        Tensor::integers(&[terms, order], &atoms),
    );
    file.tensors.insert(
        "priors.p.offsets".into(),
        Tensor::integers(&[offsets.len()], &offsets),
    );
    file
}

pub fn load(file: &ModelFile) -> Arc<Model> {
    Arc::new(Model::from_bytes("priors", &file.bytes()).unwrap_or_else(|error| panic!("{error}")))
}

/// `terms` sets of different atoms.
pub fn random_terms(rng: &mut Rng, atoms: usize, order: usize, terms: usize) -> Vec<i64> {
    let mut all = Vec::new();
    for _ in 0..terms {
        let mut left: Vec<i64> = (0..atoms as i64).collect();
        rng.shuffle(&mut left);
        all.extend(&left[..order]);
    }
    all
}

pub fn random_types(rng: &mut Rng, atoms: usize) -> Vec<i32> {
    (0..atoms).map(|_| rng.i32(1..4)).collect()
}

/// Atoms no closer than 0.7 to each other, and no three of them near a line.
pub fn random_molecule(rng: &mut Rng, types: &[i32]) -> System {
    loop {
        let positions: Vec<Vector> = types
            .iter()
            .map(|_| std::array::from_fn(|_| uniform(rng, -1.5, 1.5)))
            .collect();
        let apart = |i: usize, j: usize| norm(sub(positions[i], positions[j])) > 0.7;
        let bent = |i: usize, j: usize, k: usize| {
            let (u, v) = (
                sub(positions[i], positions[j]),
                sub(positions[k], positions[j]),
            );
            norm(super::system::cross(u, v)) > 0.2 * norm(u) * norm(v)
        };
        let n = positions.len();
        let all = |test: &dyn Fn(usize, usize) -> bool| {
            (0..n).all(|i| (0..n).all(|j| i == j || test(i, j)))
        };
        if all(&apart) && (0..n).all(|j| all(&|i, k| i == j || k == j || bent(i, j, k))) {
            return System {
                positions,
                types: types.to_vec(),
                cell: None,
                periodic: [false; 3],
            };
        }
    }
}
