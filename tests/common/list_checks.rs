//! Neighbour lists found on a device, against the processor's.

use fastrand::Rng;
use flashschnet::engine::Unlisted;
use flashschnet::engine::cuda::{DeviceList, DeviceLists};
use flashschnet::neighbors::{Batch, Cell, NeighborList, Structure};

use super::cuda_checks::MakeDevice;

type Vector = [f64; 3];

/// Independent structures.
struct Case {
    offsets: Vec<usize>,
    positions: Vec<Vector>,
    cells: Vec<Cell>,
    excluded: Vec<[i32; 2]>,
    cutoff: f64,
}

impl Case {
    fn find(&self, lists: &mut DeviceLists, skin: f64) -> flashschnet::Result<DeviceList> {
        let vectors: Vec<_> = self.cells.iter().map(|cell| *cell.vectors()).collect();
        let periodic: Vec<_> = self.cells.iter().map(Cell::periodic).collect();
        let repeats = periodic.iter().any(|directions| *directions != [false; 3]);
        let given = Unlisted {
            positions: &self.positions,
            types: &[],
            structures: &self.offsets,
            cells: repeats.then_some((&vectors, &periodic)),
            excluded: &self.excluded,
            terms: None,
            skin,
        };
        lists.find(&given, self.cutoff)
    }

    /// The processor's list, without excluded pairs.
    fn expected(&self, skin: f64) -> (Vec<u64>, Vec<u32>, Vec<[i32; 3]>) {
        let structures: Vec<Structure> = self
            .offsets
            .windows(2)
            .zip(&self.cells)
            .map(|(bounds, cell)| Structure {
                positions: &self.positions[bounds[0]..bounds[1]],
                cell,
            })
            .collect();
        let list: NeighborList = Batch::new(&structures)
            .build(self.cutoff + skin)
            .expect("a list");
        let (mut offsets, mut neighbors, mut shifts) = (vec![0], Vec::new(), Vec::new());
        for atom in 0..list.n_atoms() {
            for pair in list.row(atom) {
                let (i, j) = (atom as i32, list.neighbors[pair] as i32);
                if !self.excluded.contains(&[i, j]) && !self.excluded.contains(&[j, i]) {
                    neighbors.push(list.neighbors[pair]);
                    shifts.push(list.shifts[pair]);
                }
            }
            offsets.push(neighbors.len() as u64);
        }
        (offsets, neighbors, shifts)
    }

    fn check(&self, lists: &mut DeviceLists, skin: f64, what: &str) -> DeviceList {
        let found = self
            .find(lists, skin)
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        let (offsets, neighbors, shifts) = self.expected(skin);
        assert_eq!(found.offsets, offsets, "{what}");
        assert_eq!(found.neighbors, neighbors, "{what}");
        assert_eq!(found.shifts, shifts, "{what}");
        found
    }
}

/// A cell with tilts beyond its edges now and then, left-handed ones too; atoms in it, and some far out of it.
fn structure(rng: &mut Rng, atoms: usize, edge: f64) -> (Cell, Vec<Vector>) {
    let mut uniform = |from: f64, to: f64| from + (to - from) * rng.f64();
    let tilt = if uniform(0.0, 1.0) < 0.3 { 2.5 } else { 0.4 };
    let mut vectors = [[0.0; 3]; 3];
    for (c, vector) in vectors.iter_mut().enumerate() {
        for (axis, value) in vector.iter_mut().enumerate() {
            *value = if axis == c {
                edge * uniform(0.5, 1.5)
            } else {
                edge * uniform(-tilt, tilt) / 2.0
            };
        }
    }
    if uniform(0.0, 1.0) < 0.2 {
        vectors.swap(0, 1);
    }
    let periodic = match uniform(0.0, 4.0) as u32 {
        0 => [false; 3],
        1 => std::array::from_fn(|_| uniform(0.0, 1.0) < 0.5),
        _ => [true; 3],
    };
    let positions = (0..atoms)
        .map(|_| {
            let away = if uniform(0.0, 1.0) < 0.1 { 7.0 } else { 1.0 };
            let fraction = [(); 3].map(|()| away * uniform(-0.2, 1.2));
            std::array::from_fn(|axis| (0..3).map(|c| fraction[c] * vectors[c][axis]).sum())
        })
        .collect();
    let cell = Cell::new(vectors, periodic).unwrap_or_else(|_| Cell::open());
    (cell, positions)
}

fn case(rng: &mut Rng, structures: usize, atoms: usize, cutoff: f64) -> Case {
    let mut case = Case {
        offsets: vec![0],
        positions: Vec::new(),
        cells: Vec::new(),
        excluded: Vec::new(),
        cutoff,
    };
    for _ in 0..structures {
        let count = rng.usize(0..=atoms);
        let edge = (count as f64).cbrt().max(1.0);
        let (cell, positions) = structure(rng, count, edge);
        let first = case.positions.len() as i32;
        for _ in 0..if rng.bool() { count / 2 } else { 0 } {
            let pair = [(); 2].map(|()| first + rng.i32(0..count as i32));
            if pair[0] != pair[1] {
                case.excluded.push(pair);
            }
        }
        case.positions.extend(positions);
        case.cells.push(cell);
        case.offsets.push(case.positions.len());
    }
    case
}

/// The same pairs in the same order as the processor's, whatever came before; and kept while they serve.
pub fn lists(seeds: std::ops::Range<u64>, device: MakeDevice) {
    let mut lists = DeviceLists::new(device(1)).expect("lists");
    for seed in seeds {
        let mut rng = Rng::with_seed(seed);
        // Many cells shorter than the cutoff, some several times; a few systems large enough for bins.
        let large = seed % 128 == 15;
        let (structures, atoms) = if large {
            (rng.usize(1..4), 1500)
        } else {
            (rng.usize(1..5), 20)
        };
        let cutoff = if large { 1.5 } else { 0.5 + 2.5 * rng.f64() };
        let mut case = case(&mut rng, structures, atoms, cutoff);
        let skin = 0.3 * rng.f64();
        let what = format!("case {seed}");
        let first = case.check(&mut lists, skin, &what);
        assert_eq!(
            case.find(&mut lists, skin),
            Ok(first.clone()),
            "{what}: kept"
        );
        if case.positions.is_empty() {
            continue;
        }
        // Less than half the skin keeps the list, more does not.
        let atom = rng.usize(0..case.positions.len());
        case.positions[atom][seed as usize % 3] += 0.499 * skin;
        assert_eq!(
            case.find(&mut lists, skin),
            Ok(first.clone()),
            "{what}: within the skin"
        );
        case.positions[atom][seed as usize % 3] += 0.01 * skin;
        let found = case.check(&mut lists, skin, &format!("{what}: beyond the skin"));
        assert!(found.builds > first.builds, "{what}");
        // Other exclusions, another cell.
        if case.excluded.pop().is_some() {
            case.check(&mut lists, skin, &format!("{what}: fewer excluded"));
        }
        let stretched = case.cells[0]
            .vectors()
            .map(|vector| vector.map(|x| 1.01 * x));
        if let Ok(cell) = Cell::new(stretched, case.cells[0].periodic()) {
            case.cells[0] = cell;
            case.check(&mut lists, skin, &format!("{what}: another cell"));
        }
    }
}

/// What no list can be made of is refused, and the next call is served.
pub fn refusals(device: MakeDevice) {
    let mut lists = DeviceLists::new(device(0)).expect("lists");
    let good = case(&mut Rng::with_seed(3), 2, 12, 1.5);
    good.check(&mut lists, 0.1, "before");
    let refuse = |lists: &mut DeviceLists, case: &Case, text: &str| {
        let error = case.find(lists, 0.1).expect_err(text).to_string();
        assert!(error.contains(text), "{error}");
        good.check(lists, 0.1, text);
    };
    let one = |positions: Vec<Vector>, cell: Cell| Case {
        offsets: vec![0, positions.len()],
        positions,
        cells: vec![cell],
        excluded: Vec::new(),
        cutoff: 1.5,
    };
    for bad in [f64::NAN, f64::INFINITY, -1e101] {
        let mut other = one(good.positions.clone(), Cell::open());
        let atom = other.positions.len() - 1;
        other.positions[atom][1] = bad;
        let text = format!("position of atom {atom} is not finite or out of range");
        refuse(&mut lists, &other, &text);
    }
    let tiny = Cell::new(
        [[1e-3, 0.0, 0.0], [0.0, 1e-3, 0.0], [0.0, 0.0, 1e-3]],
        [true; 3],
    );
    let tiny = one(vec![[0.0; 3]], tiny.expect("a cell"));
    refuse(
        &mut lists,
        &tiny,
        "structure 0: the cutoff is too long for the cell",
    );
    let unit = Cell::new(
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [true; 3],
    );
    let far = one(vec![[0.0; 3], [1e12, 0.0, 0.0]], unit.expect("a cell"));
    refuse(&mut lists, &far, "is too many cells away");
    let mut excluded = one(good.positions.clone(), Cell::open());
    excluded.excluded = vec![[0, 1], [0, excluded.positions.len() as i32]];
    refuse(&mut lists, &excluded, "excluded pair 1");
}
