//! Neighbour lists against a search that tries every pair and every image.

use flashschnet::neighbors::{Batch, Cell, NeighborList, Structure, VerletList, Workspace};
use proptest::prelude::*;

type Pair = (usize, u32, [i32; 3]);

fn pairs(list: &NeighborList) -> Vec<Pair> {
    (0..list.n_atoms())
        .flat_map(|i| list.row(i).map(move |e| (i, e)))
        .map(|(i, e)| (i, list.neighbors[e], list.shifts[e]))
        .collect()
}

fn distance(structure: &Structure, (i, j, shift): Pair) -> f64 {
    let (p, q) = (structure.positions[i], structure.positions[j as usize]);
    let v = structure.cell.vectors();
    let d: [f64; 3] = std::array::from_fn(|k| {
        let translation: f64 = (0..3).map(|c| f64::from(shift[c]) * v[c][k]).sum();
        (q[k] - p[k]) + translation
    });
    (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).sqrt()
}

/// Every pair and every image, from the definition. `reach[c]` images to either side of the nearest.
///
/// The images are centred on the difference of positions in coordinates of the cell, so atoms may be anywhere.
fn brute_force(structure: &Structure, cutoff: f64) -> Vec<Pair> {
    let (v, periodic) = (structure.cell.vectors(), structure.cell.periodic());
    let duals = duals(v, periodic);
    let n = structure.positions.len();
    let mut found = Vec::new();
    for i in 0..n {
        for j in 0..n {
            let (p, q) = (structure.positions[i], structure.positions[j]);
            let range = |c: usize| {
                if !periodic[c] {
                    return 0..=0;
                }
                // |duals[c] · d| < cutoff · |duals[c]| for every d shorter than the cutoff.
                let along: f64 = (0..3).map(|k| duals[c][k] * (q[k] - p[k])).sum();
                let half = cutoff * duals[c].iter().map(|x| x * x).sum::<f64>().sqrt() + 0.01;
                (-along - half).floor() as i32..=(-along + half).ceil() as i32
            };
            for s0 in range(0) {
                for s1 in range(1) {
                    for s2 in range(2) {
                        let pair = (i, j as u32, [s0, s1, s2]);
                        if (i, [0; 3]) != (j, pair.2) && distance(structure, pair) < cutoff {
                            found.push(pair);
                        }
                    }
                }
            }
        }
    }
    found
}

/// For each periodic vector, the vector in the span of all of them that is dual to it.
fn duals(v: &[[f64; 3]; 3], periodic: [bool; 3]) -> [[f64; 3]; 3] {
    let dot = |p: &[f64; 3], q: &[f64; 3]| p.iter().zip(q).map(|(a, b)| a * b).sum::<f64>();
    let mut duals = [[0.0; 3]; 3];
    for c in (0..3).filter(|&c| periodic[c]) {
        // What is left of v[c] when the span of the others is projected out (Gram-Schmidt).
        let mut rest = v[c];
        let mut basis: Vec<[f64; 3]> = Vec::new();
        for o in (0..3).filter(|&o| o != c && periodic[o]) {
            let mut u = v[o];
            for _ in 0..2 {
                for b in &basis {
                    let along = dot(&u, b) / dot(b, b);
                    u = std::array::from_fn(|k| u[k] - along * b[k]);
                }
            }
            basis.push(u);
        }
        for _ in 0..2 {
            for b in &basis {
                let along = dot(&rest, b) / dot(b, b);
                rest = std::array::from_fn(|k| rest[k] - along * b[k]);
            }
        }
        let scale = 1.0 / dot(&rest, &v[c]);
        duals[c] = rest.map(|x| x * scale);
    }
    duals
}

fn symmetric(list: &NeighborList) {
    let all: std::collections::BTreeSet<Pair> = pairs(list).into_iter().collect();
    for &(i, j, s) in &all {
        assert!(all.contains(&(j as usize, i as u32, s.map(|x| -x))));
    }
}

fn check(structure: &Structure, cutoff: f64) {
    let list = NeighborList::build(structure, cutoff).unwrap();
    assert_eq!(list.n_atoms(), structure.positions.len());
    // brute_force finds them in the order promised: by atom, neighbour, shift.
    assert_eq!(pairs(&list), brute_force(structure, cutoff));
}

/// Coordinates in the cell (or anything, along directions that do not repeat) to positions.
fn place(vectors: &[[f64; 3]; 3], fractions: &[[f64; 3]]) -> Vec<[f64; 3]> {
    fractions
        .iter()
        .map(|f| std::array::from_fn(|k| (0..3).map(|c| f[c] * vectors[c][k]).sum()))
        .collect()
}

fn spanned(vectors: [[f64; 3]; 3], periodic: [bool; 3]) -> Option<Cell> {
    Cell::new(vectors, periodic).ok()
}

/// Any three vectors of up to ten, which is left-handed half of the time.
fn vectors() -> impl Strategy<Value = [[f64; 3]; 3]> {
    prop::array::uniform3(prop::array::uniform3(-10.0..10.0))
}

fn fractions(most: usize, width: f64) -> impl Strategy<Value = Vec<[f64; 3]>> {
    prop::collection::vec(prop::array::uniform3(-width..width), 0..most)
}

/// Whether a search of all images ends within a test's patience.
fn modest(cell: &Cell, cutoff: f64) -> bool {
    duals(cell.vectors(), cell.periodic())
        .iter()
        .map(|d| 2.0 * cutoff * d.iter().map(|x| x * x).sum::<f64>().sqrt() + 2.0)
        .product::<f64>()
        < 5000.0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cell(v in vectors(), periodic: [bool; 3], f in fractions(25, 2.0), cutoff in 0.5..8.0) {
        if let Some(cell) = spanned(v, periodic) && modest(&cell, cutoff) {
            let positions = place(&v, &f);
            check(&Structure { positions: &positions, cell: &cell }, cutoff);
        }
    }

    #[test]
    fn skewed_cell(a in 2.0..5.0, shear in prop::array::uniform3(-400.0..400.0), periodic: [bool; 3],
                   f in fractions(12, 1.5), cutoff in 0.5..4.0) {
        let v = [[a, 0.0, 0.0], [shear[0], a, 0.0], [shear[1], shear[2], a]];
        let cell = Cell::new(v, periodic).unwrap();
        if modest(&cell, cutoff) || f.len() < 4 {
            let positions = place(&v, &f);
            check(&Structure { positions: &positions, cell: &cell }, cutoff);
        }
    }

    #[test]
    fn tiny_and_thin_cells(lengths in prop::array::uniform3(0.4..6.0), tilt in -3.0..3.0, periodic: [bool; 3],
                           f in fractions(5, 3.0), cutoff in 0.5..5.0) {
        let v = [[lengths[0], 0.0, 0.0], [tilt, lengths[1], 0.0], [0.0, tilt, lengths[2]]];
        let cell = Cell::new(v, periodic).unwrap();
        let positions = place(&v, &f);
        check(&Structure { positions: &positions, cell: &cell }, cutoff);
    }

    #[test]
    fn directions_without_a_vector(which in 0..8_usize, dependent: bool, f in fractions(20, 4.0), cutoff in 0.5..6.0) {
        let full = [[5.0, 0.3, 0.0], [1.0, 4.0, -0.7], [0.2, 0.4, 6.0]];
        let periodic = [which & 1 > 0, which & 2 > 0, which & 4 > 0];
        let mut v = full;
        for c in 0..3 {
            if !periodic[c] {
                v[c] = if dependent { full[(c + 1) % 3] } else { [0.0; 3] };
            }
        }
        let cell = Cell::new(v, periodic).unwrap();
        let positions = place(&full, &f);
        check(&Structure { positions: &positions, cell: &cell }, cutoff);
    }

    #[test]
    fn atoms_far_outside(far in prop::collection::vec(prop::array::uniform3(-100_000..100_000_i32), 8),
                         f in fractions(8, 1.0), periodic: [bool; 3], cutoff in 1.0..6.0) {
        let v = [[4.0, 0.5, 0.0], [-1.0, 5.0, 0.25], [0.5, 0.75, 3.0]];
        let moved: Vec<[f64; 3]> = f
            .iter()
            .zip(&far)
            .map(|(f, far)| std::array::from_fn(|c| f[c] + f64::from(far[c]) * f64::from(u8::from(periodic[c]))))
            .collect();
        let cell = Cell::new(v, periodic).unwrap();
        let positions = place(&v, &moved);
        check(&Structure { positions: &positions, cell: &cell }, cutoff);
    }

    #[test]
    fn crystals_with_shells_at_the_cutoff(repeat in prop::array::uniform3(1..4_usize), order in 1..9_u32) {
        // Distances of a simple cubic crystal are square roots of integers: rounding decides at each of them.
        let spacing = 1.1;
        let mut positions = Vec::new();
        for x in 0..repeat[0] {
            for y in 0..repeat[1] {
                for z in 0..repeat[2] {
                    positions.push([x as f64 * spacing, y as f64 * spacing, z as f64 * spacing]);
                }
            }
        }
        let [a, b, c] = repeat.map(|n| n as f64 * spacing);
        let cell = Cell::new([[a, 0.0, 0.0], [0.0, b, 0.0], [0.0, 0.0, c]], [true; 3]).unwrap();
        let structure = Structure { positions: &positions, cell: &cell };
        let cutoff = f64::from(order).sqrt() * spacing;
        check(&structure, cutoff);
        symmetric(&NeighborList::build(&structure, cutoff).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Enough atoms for many bins.
    #[test]
    fn many_bins(v in vectors(), periodic: [bool; 3], f in prop::collection::vec(prop::array::uniform3(-0.5..1.5), 600..900),
                 stretch in 1.0..4.0, cutoff in 0.5..3.0) {
        let v = v.map(|row| row.map(|x| x * stretch));
        if let Some(cell) = spanned(v, periodic) && modest(&cell, cutoff) {
            let positions = place(&v, &f);
            check(&Structure { positions: &positions, cell: &cell }, cutoff);
        }
    }

    /// Clusters so far apart that a table of bins would not fit.
    #[test]
    fn sparse(centers in prop::collection::vec(prop::array::uniform3(-1e12..1e12), 2..5), periodic_c: bool,
              f in prop::collection::vec(prop::array::uniform3(-4.0..4.0), 700..900), cutoff in 0.5..3.0) {
        let positions: Vec<[f64; 3]> = f
            .iter()
            .enumerate()
            .map(|(n, f)| {
                let mut center: [f64; 3] = centers[n % centers.len()];
                if periodic_c {
                    center[2] = 0.0;
                }
                std::array::from_fn(|k| center[k] + f[k])
            })
            .collect();
        let cell = Cell::new([[0.0; 3], [0.0; 3], [0.0, 0.0, 9.0]], [false, false, periodic_c]).unwrap();
        check(&Structure { positions: &positions, cell: &cell }, cutoff);
    }

    #[test]
    fn batch_is_its_structures(sets in prop::collection::vec((vectors(), any::<[bool; 3]>(), fractions(40, 1.0)), 0..6),
                               cutoff in 0.5..4.0) {
        let sets: Vec<(Cell, Vec<[f64; 3]>)> = sets
            .into_iter()
            .filter_map(|(v, periodic, f)| Some((spanned(v, periodic)?, place(&v, &f))))
            .filter(|(cell, _)| modest(cell, cutoff))
            .collect();
        let structures: Vec<Structure> =
            sets.iter().map(|(cell, positions)| Structure { positions, cell }).collect();
        let batch = Batch::new(&structures);
        let list = batch.build(cutoff).unwrap();
        prop_assert_eq!(list.n_atoms(), batch.n_atoms());
        let mut expected = Vec::new();
        let mut first = 0;
        for structure in &structures {
            let single = NeighborList::build(structure, cutoff).unwrap();
            expected.extend(pairs(&single).into_iter().map(|(i, j, s)| (i + first, j + first as u32, s)));
            first += structure.positions.len();
        }
        prop_assert_eq!(pairs(&list), expected);
    }

    /// After any moves, the pairs within the cutoff are those of a fresh list, in every structure of a batch.
    #[test]
    fn verlet_is_complete(v in vectors(), periodic: [bool; 3], f in fractions(25, 1.0), cutoff in 1.0..4.0, skin in 0.0..1.0,
                          moves in prop::collection::vec((0.0..0.5, any::<[bool; 2]>(), any::<u64>()), 8)) {
        let Some(cell) = spanned(v, periodic) else { return Ok(()) };
        prop_assume!(modest(&cell, cutoff + skin));
        let mut sets = [place(&v, &f), place(&v, &f)];
        let mut verlet = VerletList::new();
        for (size, which, seed) in moves {
            let mut random = Random(seed | 1);
            for (set, moves) in sets.iter_mut().zip(which) {
                if moves {
                    for x in set.iter_mut().flatten() {
                        *x += size * (random.uniform() - 0.5);
                    }
                }
            }
            let structures = [0, 1].map(|k| Structure { positions: &sets[k], cell: &cell });
            verlet.update(structures.iter().copied(), cutoff, skin).unwrap();
            let fresh = Batch::new(&structures).build(cutoff).unwrap();
            let n = f.len();
            let mut kept = pairs(verlet.list());
            kept.retain(|&(i, j, s)| {
                let k = i / n;
                distance(&structures[k], (i - k * n, j - (k * n) as u32, s)) < cutoff
            });
            prop_assert_eq!(kept, pairs(&fresh));
        }
    }
}

struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn cube(length: f64) -> Cell {
    Cell::new(
        [[length, 0.0, 0.0], [0.0, length, 0.0], [0.0, 0.0, length]],
        [true; 3],
    )
    .unwrap()
}

fn message<T: std::fmt::Debug>(result: flashschnet::Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn own_images_are_neighbours_and_the_atom_itself_is_not() {
    let cell = cube(2.0);
    let structure = Structure {
        positions: &[[0.1, 0.2, 0.3]],
        cell: &cell,
    };
    let list = NeighborList::build(&structure, 2.1).unwrap();
    assert_eq!(list.neighbors, [0; 6]);
    assert_eq!(
        list.shifts,
        [
            [-1, 0, 0],
            [0, -1, 0],
            [0, 0, -1],
            [0, 0, 1],
            [0, 1, 0],
            [1, 0, 0]
        ]
    );
    // Exactly at the cutoff is outside.
    assert_eq!(NeighborList::build(&structure, 2.0).unwrap().n_pairs(), 0);
}

#[test]
fn atoms_at_one_point_are_a_pair() {
    let open = Cell::open();
    let structure = Structure {
        positions: &[[1.0; 3], [1.0; 3]],
        cell: &open,
    };
    for cutoff in [1e-300, 1e-3, 5.0] {
        let list = NeighborList::build(&structure, cutoff).unwrap();
        assert_eq!(list.offsets, [0, 1, 2]);
        assert_eq!(list.neighbors, [1, 0]);
        assert_eq!(list.shifts, [[0; 3]; 2]);
    }
}

#[test]
fn nothing_gives_an_empty_list() {
    for cell in [Cell::open(), cube(3.0)] {
        let structure = Structure {
            positions: &[],
            cell: &cell,
        };
        let list = NeighborList::build(&structure, 5.0).unwrap();
        assert_eq!(list.offsets, [0]);
        assert!(
            VerletList::new()
                .update([structure].into_iter(), 5.0, 1.0)
                .unwrap()
        );
    }
    assert_eq!(Batch::new(&[]).build(1.0).unwrap().offsets, [0]);
}

#[test]
fn rebuilding_in_used_memory_gives_the_same_list() {
    let mut random = Random(99);
    let mut list = NeighborList::new();
    let mut workspace = Workspace::default();
    let open = Cell::open();
    for (n, length) in [(900, 20.0), (10, 4.0), (2000, 25.0), (0, 5.0), (700, 18.0)] {
        let cell = cube(length);
        let positions: Vec<[f64; 3]> = (0..n)
            .map(|_| std::array::from_fn(|_| length * random.uniform()))
            .collect();
        for cell in [&cell, &open] {
            let structure = Structure {
                positions: &positions,
                cell,
            };
            list.rebuild(&structure, 3.0, &mut workspace).unwrap();
            assert_eq!(list, NeighborList::build(&structure, 3.0).unwrap());
        }
    }
}

#[test]
fn steady_state_keeps_its_memory() {
    let mut random = Random(5);
    let cell = cube(20.0);
    let positions: Vec<[f64; 3]> = (0..2000)
        .map(|_| std::array::from_fn(|_| 20.0 * random.uniform()))
        .collect();
    let structure = Structure {
        positions: &positions,
        cell: &cell,
    };
    let mut list = NeighborList::new();
    let mut workspace = Workspace::default();
    list.rebuild(&structure, 3.0, &mut workspace).unwrap();
    let before = (list.neighbors.as_ptr(), list.shifts.as_ptr());
    list.rebuild(&structure, 3.0, &mut workspace).unwrap();
    assert_eq!(before, (list.neighbors.as_ptr(), list.shifts.as_ptr()));
}

#[test]
fn skin_is_used_up_at_half_of_it() {
    let cell = cube(10.0);
    let start = [[1.0, 1.0, 1.0], [4.0, 1.0, 1.0]];
    let update = |verlet: &mut VerletList, positions: &[[f64; 3]], cell: &Cell| {
        let structure = Structure { positions, cell };
        verlet.update([structure].into_iter(), 4.0, 0.5).unwrap()
    };
    let mut verlet = VerletList::new();
    assert!(update(&mut verlet, &start, &cell));
    assert!(!update(&mut verlet, &start, &cell));
    // Quarters have exact binary representations: exactly half the skin is still safe.
    let moved = |by: f64| [[1.0 + by, 1.0, 1.0], start[1]];
    assert!(!update(&mut verlet, &moved(0.25), &cell));
    assert!(!update(&mut verlet, &moved(0.2499999), &cell));
    assert!(update(&mut verlet, &moved(0.2500001), &cell));
    assert!(!update(&mut verlet, &moved(0.2500001), &cell));
    assert_eq!(verlet.searches(), 2);
    // Wrapping by the host, another number of atoms, another cell, another periodicity.
    assert!(update(&mut verlet, &moved(10.25), &cell));
    assert!(update(&mut verlet, &[start[0]], &cell));
    assert!(update(&mut verlet, &[start[0]], &cube(10.001)));
    let slab = Cell::new(*cube(10.001).vectors(), [true, true, false]).unwrap();
    assert!(update(&mut verlet, &[start[0]], &slab));
    assert!(!update(&mut verlet, &[start[0]], &slab));
    verlet.invalidate();
    assert!(update(&mut verlet, &[start[0]], &slab));
}

#[test]
fn a_batch_searches_only_what_moved() {
    let cell = cube(8.0);
    let still = [[1.0; 3], [2.0; 3]];
    let mut verlet = VerletList::new();
    for step in 0..4 {
        let moving = [[1.0; 3], [2.0 + f64::from(step), 2.0, 2.0], [5.0; 3]];
        let structures = [&still[..], &moving[..], &still[..]].map(|positions| Structure {
            positions,
            cell: &cell,
        });
        assert!(verlet.update(structures.iter().copied(), 3.0, 0.2).unwrap());
        assert_eq!(verlet.searches(), 3 + step as u64);
        let fresh = Batch::new(&structures).build(3.2).unwrap();
        assert_eq!(*verlet.list(), fresh);
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let cell = cube(5.0);
    let mut positions = vec![[0.5; 3]; 14];
    positions[12][0] = f64::NAN;
    for cell in [&cell, &Cell::open()] {
        let structure = Structure {
            positions: &positions,
            cell,
        };
        assert_eq!(
            message(NeighborList::build(&structure, 3.0)),
            "invalid argument: position of atom 12 is not finite (x = NaN)"
        );
        assert_eq!(
            message(
                Batch::new(&[
                    Structure {
                        positions: &[],
                        cell
                    },
                    structure
                ])
                .build(3.0)
            ),
            "invalid argument: structure 1: position of atom 12 is not finite (x = NaN)"
        );
    }
    let fine = Structure {
        positions: &positions[..3],
        cell: &cell,
    };
    for cutoff in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(
            message(NeighborList::build(&fine, cutoff))
                .contains("cutoff must be positive and finite, got")
        );
    }
    assert!(
        message(VerletList::new().update([fine].into_iter(), 3.0, -0.5))
            .contains("skin must be zero or positive, and finite, got -0.5")
    );

    let flat = [[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0]];
    let text = message(Cell::new(flat, [true; 3]));
    assert!(
        text.contains("zero volume (det = 0.0)") && text.contains("along a, b, c"),
        "{text}"
    );
    let text = message(Cell::new([[0.0; 3]; 3], [true, false, false]));
    assert!(
        text.contains("periodic along a: vector a is zero"),
        "{text}"
    );
    assert!(Cell::new(flat, [true, false, true]).is_ok());
    let text = message(Cell::new(
        [[1.0, 0.0, f64::INFINITY], [0.0; 3], [0.0; 3]],
        [false; 3],
    ));
    assert!(
        text.contains("cell vector a is not finite") && text.contains("z = inf"),
        "{text}"
    );
}

#[test]
fn a_failed_update_leaves_nothing_behind() {
    let cell = cube(5.0);
    let good = [[0.5; 3], [1.0; 3]];
    let bad = [[0.5; 3], [f64::NAN; 3]];
    let structure = |positions| Structure {
        positions,
        cell: &cell,
    };
    let mut verlet = VerletList::new();
    assert!(
        verlet
            .update([structure(&good)].into_iter(), 3.0, 1.0)
            .unwrap()
    );
    assert!(
        verlet
            .update([structure(&bad)].into_iter(), 3.0, 1.0)
            .is_err()
    );
    assert_eq!(verlet.list().n_atoms(), 0);
    assert!(
        verlet
            .update([structure(&good)].into_iter(), 3.0, 1.0)
            .unwrap()
    );
    assert!(verlet.list().n_pairs() > 0);
    assert!(
        verlet
            .update([structure(&good)].into_iter(), -3.0, 1.0)
            .is_err()
    );
    assert_eq!(verlet.list().n_atoms(), 0);
}

#[test]
fn hostile_input_is_refused_quickly() {
    let positions = [[0.0; 3]; 4];
    for (length, cutoff) in [(1e-6, 5.0), (1e-100, 1.0), (1.0, 1e50), (1.0, 300.0)] {
        let cell = cube(length);
        let structure = Structure {
            positions: &positions,
            cell: &cell,
        };
        let text = message(NeighborList::build(&structure, cutoff));
        assert!(text.contains("periodic images"), "{text}");
    }
    // A structure collapsed to a point has more pairs than can be counted in 32 bits.
    let collapsed = vec![[0.0; 3]; 70_000];
    let open = Cell::open();
    let structure = Structure {
        positions: &collapsed,
        cell: &open,
    };
    let text = message(NeighborList::build(&structure, 1.0));
    assert!(text.contains("more than 4294967295 pairs"), "{text}");
    // Atoms at the ends of the range, and beyond.
    let cell = cube(10.0);
    let far = [[1e300, 0.0, 0.0], [0.0; 3]];
    let away = [[1e30, 0.0, 0.0], [0.0; 3]];
    let text = message(NeighborList::build(
        &Structure {
            positions: &far,
            cell: &open,
        },
        1.0,
    ));
    assert!(
        text.contains("position of atom 0 is out of range"),
        "{text}"
    );
    let text = message(NeighborList::build(
        &Structure {
            positions: &away,
            cell: &cell,
        },
        1.0,
    ));
    assert!(
        text.contains("position of atom 0 is too many cells away"),
        "{text}"
    );
    let list = NeighborList::build(
        &Structure {
            positions: &away,
            cell: &open,
        },
        1.0,
    )
    .unwrap();
    assert_eq!(list.n_pairs(), 0);
}

#[test]
fn volume_needs_three_vectors() {
    assert_eq!(cube(2.0).volume(), Some(8.0));
    assert_eq!(Cell::open().volume(), None);
    let left = [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 3.0]];
    assert_eq!(Cell::new(left, [false; 3]).unwrap().volume(), Some(3.0));
    let slab = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0; 3]];
    assert_eq!(Cell::new(slab, [true, true, false]).unwrap().volume(), None);
}
