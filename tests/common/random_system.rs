//! Random structures: open, periodic in some directions or in all, in cells smaller than the cutoff.

use fastrand::Rng;

use super::random_model::{RandomModel, TYPES};
use super::system::{System, Vector};

const CLOSEST: f64 = 0.8;

/// A structure for `model` in which no pair is so close to a distance where a filter has a kink that a small
/// displacement takes it across.
pub fn random_system(rng: &mut Rng, model: &RandomModel) -> System {
    const MARGIN: f64 = 0.03;
    let periodic = match rng.u8(0..5) {
        0 | 1 => [false; 3],
        2 => [rng.bool(), rng.bool(), rng.bool()],
        _ => [true; 3],
    };
    random_periodic(rng, model, periodic, MARGIN)
}

/// As [`random_system`], periodic in all directions.
pub fn random_crystal(rng: &mut Rng, model: &RandomModel) -> System {
    const ROUNDING: f64 = 1e-6;
    random_periodic(rng, model, [true; 3], ROUNDING)
}

fn random_periodic(rng: &mut Rng, model: &RandomModel, periodic: [bool; 3], margin: f64) -> System {
    loop {
        let system = candidate(rng, periodic);
        let reach = model.cutoff() + margin;
        let sound = system
            .distances(reach)
            .iter()
            .all(|&d| d > CLOSEST && model.kinks.iter().all(|kink| (d - kink).abs() > margin));
        if sound {
            return system;
        }
    }
}

fn candidate(rng: &mut Rng, periodic: [bool; 3]) -> System {
    let mut uniform = |from: f64, to: f64| from + (to - from) * rng.f64();
    let atoms = uniform(2.0, if periodic == [true; 3] { 4.0 } else { 7.0 }) as usize;
    // Lower triangular, with tilts up to most of an edge.
    let [a, b, c] = [(); 3].map(|()| uniform(2.2, 3.5));
    let cell: [Vector; 3] = [
        [a, 0.0, 0.0],
        [uniform(-0.8, 0.8) * a, b, 0.0],
        [uniform(-0.8, 0.8) * a, uniform(-0.8, 0.8) * b, c],
    ];
    let positions = (0..atoms)
        .map(|_| {
            let fraction = [(); 3].map(|()| uniform(0.0, 1.0));
            std::array::from_fn(|axis| (0..3).map(|c| fraction[c] * cell[c][axis]).sum())
        })
        .collect();
    System {
        positions,
        types: (0..atoms)
            .map(|_| TYPES[uniform(0.0, 3.0) as usize])
            .collect(),
        cell: (periodic != [false; 3]).then_some(cell),
        periodic,
    }
}

/// A box of `counts` atoms on a jittered grid, not periodic: a compact one is a structure whose atoms nearly all hear each
/// other, a long one is not.
pub fn random_box(rng: &mut Rng, counts: [usize; 3]) -> System {
    const SPACING: f64 = 1.2;
    const JITTER: f64 = 0.15;
    let mut positions = Vec::new();
    for x in 0..counts[0] {
        for y in 0..counts[1] {
            for z in 0..counts[2] {
                let place = [x, y, z].map(|step| step as f64 * SPACING);
                positions.push(place.map(|x| x + JITTER * (2.0 * rng.f64() - 1.0)));
            }
        }
    }
    System {
        types: positions.iter().map(|_| TYPES[rng.usize(0..3)]).collect(),
        positions,
        cell: None,
        periodic: [false; 3],
    }
}
