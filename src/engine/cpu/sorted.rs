//! Atoms in the order of space, where the order they are given in scatters neighbours over the memory.
//!
//! A group of rows then reads the same rows of neighbours again and again, as in structures that are made cell by cell,
//! instead of others for every atom.

use crate::engine::{Graph, Images, Results, Wanted};

/// In smaller structures all rows are near.
const MANY: usize = 4096;
/// Atoms are scattered if more than one in so many is far from the one before it.
const FAR_ONE_IN: usize = 8;
/// Cells along each edge of a block. Blocks are taken one after the other, and so are a block's cells.
const BLOCK: usize = 8;

/// A graph's atoms in another order.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// Of the list that this is of.
    version: Option<u64>,
    /// Whether its atoms are scattered; the rest is empty or old if not.
    scattered: bool,
    /// Cell and number of each atom.
    keys: Vec<(u64, u32)>,
    /// The caller's number of each atom here.
    order: Vec<u32>,
    /// The number here of each of the caller's atoms.
    places: Vec<u32>,
    offsets: Vec<usize>,
    neighbors: Vec<u32>,
    shifts: Vec<[i32; 3]>,
    positions: Vec<[f64; 3]>,
    types: Vec<u32>,
    pub results: Results,
}

impl Sorted {
    /// Takes the atoms of `graph`, and returns whether they are scattered and better taken from here.
    pub fn update(&mut self, graph: &Graph, cutoff: f64) -> bool {
        let atoms = graph.positions.len();
        let whole = graph.structures.len() == 2 && graph.owned == atoms && graph.owners.is_none();
        if !whole || atoms < MANY || graph.version.is_none() {
            return false;
        }
        if self.version != graph.version {
            self.version = graph.version;
            self.scattered = scattered(graph.positions, cutoff);
            if self.scattered {
                self.sort(graph);
                self.list(graph);
            }
        }
        if self.scattered {
            take(&mut self.positions, &self.order, graph.positions);
            take(&mut self.types, &self.order, graph.types);
        }
        self.scattered
    }

    /// What was taken of `graph`.
    pub fn graph<'a>(&'a self, graph: &Graph<'a>) -> Graph<'a> {
        Graph {
            positions: &self.positions,
            types: &self.types,
            offsets: &self.offsets,
            neighbors: &self.neighbors,
            images: graph.images.map(|images| Images {
                shifts: &self.shifts,
                ..images
            }),
            ..*graph
        }
    }

    /// What has to be computed of that graph, for what is wanted.
    pub fn wanted(wanted: Wanted) -> Wanted {
        Wanted {
            atom_virials: wanted.virials || wanted.atom_virials,
            ..wanted
        }
    }

    /// Puts the results of that graph in the order of `graph`.
    ///
    /// Sums over atoms are taken anew in that order. Those over pairs have the order of the list within each row: results are the
    /// same to the bit as without all this.
    pub fn deliver(&self, graph: &Graph, wanted: Wanted, results: &mut Results) {
        results.reset(graph, wanted);
        let Results {
            atom_energies,
            forces,
            atom_virials,
            ..
        } = &self.results;
        put(&mut results.atom_energies, &self.order, atom_energies);
        put(&mut results.forces, &self.order, forces);
        results.energies[0] = results.atom_energies.iter().sum();
        if wanted.atom_virials {
            put(&mut results.atom_virials, &self.order, atom_virials);
        }
        for virial in &mut results.virials {
            for &place in &self.places {
                let share = &atom_virials[place as usize];
                virial.iter_mut().zip(share).for_each(|(sum, x)| *sum += x);
            }
        }
    }

    /// Orders atoms by cells of about one atom, in blocks.
    fn sort(&mut self, graph: &Graph) {
        let fraction = fractions(graph);
        let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
        for position in graph.positions {
            for (k, x) in fraction(position).0.into_iter().enumerate() {
                low[k] = low[k].min(x);
                high[k] = high[k].max(x);
            }
        }
        let lengths = fraction(&graph.positions[0]).1;
        let extent: [f64; 3] = std::array::from_fn(|k| (high[k] - low[k]) * lengths[k]);
        // Of a flat or straight structure only the edges that it has are counted.
        let longest = extent.iter().fold(0.0_f64, |a, &b| a.max(b));
        let edges = extent.map(|x| x.max(1e-3 * longest));
        let width = (edges.iter().product::<f64>() / graph.positions.len() as f64).cbrt();
        // At one point there is no width, and what is not a number becomes no cells.
        let cells = edges.map(|x| ((x / width).ceil().min(1e6) as usize).max(1));
        let blocks = cells.map(|cells| cells.div_ceil(BLOCK) as u64);
        self.keys.clear();
        self.keys
            .extend((0_u32..).zip(graph.positions).map(|(atom, position)| {
                let x = fraction(position).0;
                let cell: [usize; 3] = std::array::from_fn(|k| {
                    let cell = (x[k] - low[k]) * lengths[k] / edges[k].max(f64::MIN_POSITIVE);
                    ((cell * cells[k] as f64) as usize).min(cells[k] - 1)
                });
                let block = cell.map(|cell| (cell / BLOCK) as u64);
                let within = cell.map(|cell| (cell % BLOCK) as u64);
                let block = (block[0] * blocks[1] + block[1]) * blocks[2] + block[2];
                let size = BLOCK as u64;
                let key = ((block * size + within[0]) * size + within[1]) * size + within[2];
                (key, atom)
            }));
        self.keys.sort_unstable();
        self.order.clear();
        self.order.extend(self.keys.iter().map(|&(_, atom)| atom));
        self.places.clear();
        self.places.resize(self.order.len(), 0);
        for (place, &atom) in (0_u32..).zip(&self.order) {
            self.places[atom as usize] = place;
        }
    }

    /// Copies the list.
    fn list(&mut self, graph: &Graph) {
        self.offsets.clear();
        self.neighbors.clear();
        self.shifts.clear();
        self.offsets.push(0);
        for &atom in &self.order {
            let row = graph.offsets[atom as usize]..graph.offsets[atom as usize + 1];
            let neighbors = &graph.neighbors[row.clone()];
            self.neighbors
                .extend(neighbors.iter().map(|&other| self.places[other as usize]));
            if let Some(images) = graph.images {
                self.shifts.extend_from_slice(&images.shifts[row]);
            }
            self.offsets.push(self.neighbors.len());
        }
    }
}

/// Whether many atoms are far from the one before them.
fn scattered(positions: &[[f64; 3]], cutoff: f64) -> bool {
    let far = positions.windows(2).filter(|pair| {
        let square = |k: usize| (pair[1][k] - pair[0][k]).powi(2);
        square(0) + square(1) + square(2) > (2.0 * cutoff).powi(2)
    });
    far.count() * FAR_ONE_IN > positions.len()
}

/// What takes a position to coordinates between the faces of the cell, if it has a volume, and what their units are long.
fn fractions(graph: &Graph) -> impl Fn(&[f64; 3]) -> ([f64; 3], [f64; 3]) + use<> {
    let cell = graph.images.map(|images| images.cells[0]);
    let dual = cell.and_then(|cell| {
        let cross = |a: [f64; 3], b: [f64; 3]| {
            [
                a[1] * b[2] - a[2] * b[1],
                a[2] * b[0] - a[0] * b[2],
                a[0] * b[1] - a[1] * b[0],
            ]
        };
        let faces = [
            cross(cell[1], cell[2]),
            cross(cell[2], cell[0]),
            cross(cell[0], cell[1]),
        ];
        let volume = dot(cell[0], faces[0]);
        let dual = faces.map(|face| face.map(|x| x / volume));
        dual.iter().flatten().all(|x| x.is_finite()).then_some(dual)
    });
    move |position| match dual {
        // Atoms need not be in the cell, and near ones may be in different images of it.
        Some(dual) => (
            dual.map(|face| dot(face, *position).rem_euclid(1.0)),
            dual.map(|face| dot(face, face).sqrt().recip()),
        ),
        None => (*position, [1.0; 3]),
    }
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn take<T: Copy>(to: &mut Vec<T>, order: &[u32], from: &[T]) {
    to.clear();
    to.extend(order.iter().map(|&atom| from[atom as usize]));
}

/// Nothing if `from` is empty, as what was not wanted is.
fn put<T: Copy>(to: &mut [T], order: &[u32], from: &[T]) {
    for (&atom, value) in order.iter().zip(from) {
        to[atom as usize] = *value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 17;

    /// A lattice of side 1 in a cell, its atoms `step` after one another, with the pairs along z.
    struct Lattice {
        positions: Vec<[f64; 3]>,
        offsets: Vec<usize>,
        neighbors: Vec<u32>,
        shifts: Vec<[i32; 3]>,
    }

    fn lattice(step: usize) -> Lattice {
        let atoms = SIDE.pow(3);
        let site = |atom: usize| atom * step % atoms;
        let mut atom_at = vec![0; atoms];
        (0..atoms).for_each(|atom| atom_at[site(atom)] = atom as u32);
        let place = |site: usize| [site / SIDE / SIDE, site / SIDE % SIDE, site % SIDE];
        let mut lattice = Lattice {
            positions: (0..atoms)
                .map(|atom| place(site(atom)).map(|x| x as f64))
                .collect(),
            offsets: (0..=atoms).collect(),
            neighbors: Vec::new(),
            shifts: Vec::new(),
        };
        for atom in 0..atoms {
            let last = site(atom) % SIDE == SIDE - 1;
            let next = site(atom) + 1 - if last { SIDE } else { 0 };
            lattice.neighbors.push(atom_at[next]);
            lattice.shifts.push([0, 0, i32::from(last)]);
        }
        lattice
    }

    fn with_graph(lattice: &Lattice, version: u64, check: impl Fn(&Graph)) {
        let types: Vec<u32> = (0..lattice.positions.len() as u32).collect();
        let side = SIDE as f64;
        let cells = [[[side, 0.0, 0.0], [0.0, side, 0.0], [0.0, 0.0, side]]];
        check(&Graph {
            positions: &lattice.positions,
            types: &types,
            owned: types.len(),
            structures: &[0, types.len()],
            offsets: &lattice.offsets,
            neighbors: &lattice.neighbors,
            images: Some(Images {
                shifts: &lattice.shifts,
                cells: &cells,
            }),
            owners: None,
            version: Some(version),
        });
    }

    #[test]
    fn atoms_in_the_order_of_space_stay_where_they_are() {
        with_graph(&lattice(1), 1, |graph| {
            assert!(!Sorted::default().update(graph, 1.5));
        });
    }

    #[test]
    fn scattered_atoms_come_together_with_their_pairs() {
        with_graph(&lattice(1801), 1, |graph| {
            let mut sorted = Sorted::default();
            assert!(sorted.update(graph, 1.5));
            let found = sorted.graph(graph);
            let mut step = 0.0;
            for atom in 0..found.owned {
                // Types say which atom each was.
                let was = found.types[atom] as usize;
                assert_eq!(found.positions[atom], graph.positions[was]);
                let (pair, before) = (found.offsets[atom], graph.offsets[was]);
                let other = graph.neighbors[before] as usize;
                assert_eq!(found.neighbors[pair], sorted.places[other]);
                assert_eq!(found.vector(0, atom, pair), graph.vector(0, was, before));
                let next = found.positions[(atom + 1) % found.owned];
                step += (0..3)
                    .map(|k| (next[k] - found.positions[atom][k]).powi(2))
                    .sum::<f64>()
                    .sqrt();
            }
            assert!(step < 2.5 * found.owned as f64, "{step}");
        });
    }

    #[test]
    fn atoms_in_other_images_of_the_cell_are_sorted_alike() {
        let at_home = lattice(1801);
        let mut moved = lattice(1801);
        let steps = (0..).map(|n| f64::from(n % 3 - 1) * SIDE as f64);
        (moved.positions.iter_mut().flatten())
            .zip(steps)
            .for_each(|(x, step)| *x += step);
        let order = |lattice: &Lattice| {
            let found = std::cell::RefCell::new(Sorted::default());
            with_graph(lattice, 1, |graph| {
                assert!(found.borrow_mut().update(graph, 1.5));
            });
            found.into_inner().order
        };
        // The half added keeps rounding from moving atoms over faces.
        let shifted = |mut lattice: Lattice| {
            lattice
                .positions
                .iter_mut()
                .flatten()
                .for_each(|x| *x += 0.5);
            lattice
        };
        assert_eq!(order(&shifted(at_home)), order(&shifted(moved)));
    }
}
