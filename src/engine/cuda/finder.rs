//! Neighbour lists found on the device: the arrays of `kernels/neighbors.cu`, and its launches.

use std::fmt::Write;
use std::sync::Arc;

use super::device::{Array, Batch, Device, Kernel, Launch, words_of};
use super::list_system::{Arrays, NOTHING, Status};
use super::system::Inputs;
use crate::Result;

/// Threads of a block.
const THREADS: u32 = 128;
/// Threads of a block that takes a structure.
const BOUNDS_THREADS: u32 = 512;
/// With so few atoms in all, each looks at every other of its structure: there is less to launch.
const DIRECT: usize = 1024;
/// A structure of so few atoms has one bin.
const FEW: usize = 512;
/// Parts that an array is cut into for sums over it.
const MOST_PARTS: usize = 1024;
const PER_PART: usize = 256;

/// What there is to find neighbours in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Problem {
    pub atoms: usize,
    pub structures: usize,
    /// Atoms of the largest structure; zero if only the device knows.
    pub largest: usize,
    pub excluded: usize,
    /// Whether there are cells, and flags of what repeats.
    pub cells: bool,
    pub periodic: bool,
    pub cutoff: f64,
    pub skin: f64,
    /// Whether a step looks at all pairs of a structure: then there is no list.
    pub listless: bool,
}

/// A list on the device.
pub(super) struct Finder {
    program: usize,
    problem: Option<Problem>,
    room: usize,
    kept_positions: Array,
    kept_structures: Array,
    kept_cells: Array,
    kept_periodic: Array,
    kept_excluded: Array,
    grids: Array,
    bin: Array,
    counts: [Array; 3],
    starts: [Array; 3],
    sums: [Array; 3],
    members: Array,
    partners: Array,
    candidates: Array,
    shifts: Array,
    status: Array,
}

/// The kernels that find neighbours, as [`Device::load`] gets them.
pub fn neighbor_program() -> String {
    let mut text = String::from("// Written by src/engine/cuda/finder.rs.\n");
    for (name, value) in [
        ("SEARCH_THREADS", THREADS as usize),
        ("BOUNDS_THREADS", BOUNDS_THREADS as usize),
        ("DIRECT", DIRECT),
        ("FEW", FEW),
    ] {
        let _ = writeln!(text, "constexpr int {name} = {value};");
    }
    for (name, content) in [
        ("launch.cuh", include_str!("../../../kernels/launch.cuh")),
        ("status.cuh", include_str!("../../../kernels/status.cuh")),
        (
            "neighbors.cuh",
            include_str!("../../../kernels/neighbors.cuh"),
        ),
        ("bins.cu", include_str!("../../../kernels/bins.cu")),
        (
            "neighbors.cu",
            include_str!("../../../kernels/neighbors.cu"),
        ),
        ("hosts.cu", include_str!("../../../kernels/hosts.cu")),
    ] {
        let _ = write!(text, "#line 1 \"kernels/{name}\"\n{content}");
    }
    text
}

/// Its kernels.
const KERNELS: [Kernel; 11] = [
    Kernel::Watch,
    Kernel::Bounds,
    Kernel::Bin,
    Kernel::Sum,
    Kernel::Spread,
    Kernel::Put,
    Kernel::Count,
    Kernel::Fill,
    Kernel::Sort,
    Kernel::Admit,
    Kernel::Deliver,
];

impl Finder {
    /// No list yet.
    pub fn new(device: &Arc<dyn Device>) -> Result<Self> {
        let array = || Array::new(device);
        let mut status = array();
        status.set(&[Status::FRESH])?;
        Ok(Self {
            program: device.load(&neighbor_program(), &KERNELS.map(|kernel| (kernel, 0)))?,
            problem: None,
            room: 0,
            kept_positions: array(),
            kept_structures: array(),
            kept_cells: array(),
            kept_periodic: array(),
            kept_excluded: array(),
            grids: array(),
            bin: array(),
            counts: [array(), array(), array()],
            starts: [array(), array(), array()],
            sums: [array(), array(), array()],
            members: array(),
            partners: array(),
            candidates: array(),
            shifts: array(),
            status,
        })
    }

    /// Pairs there is room for.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Makes room for a list of so many pairs, and a few more.
    pub fn make_room(&mut self, pairs: u64) {
        let pairs = usize::try_from(pairs).unwrap_or(usize::MAX);
        self.room = self.room.max(pairs.saturating_add(pairs / 16));
    }

    /// Gives up the room there is, when there was no memory for it: the next list may be smaller.
    pub fn give_up(&mut self) {
        self.problem = None;
        self.room = 0;
        for array in [&mut self.candidates, &mut self.shifts] {
            array.release();
        }
    }

    /// Makes the next step find the list.
    pub fn forget(&mut self) {
        self.problem = None;
    }

    /// Whether the arrays are there for `problem`, so that steps may follow one another without the host.
    pub fn is_for(&self, problem: &Problem) -> bool {
        self.problem.as_ref() == Some(problem)
    }

    /// Sizes the arrays for `problem`. What is given of `arrays` is the caller's; the rest is filled.
    pub fn place(&mut self, problem: Problem, arrays: Arrays) -> Result<Arrays> {
        let Problem {
            atoms,
            structures,
            excluded,
            ..
        } = problem;
        if !self.is_for(&problem) {
            self.problem = None;
            let fresh = Status {
                builds: self.read()?.builds,
                ..Status::FRESH
            };
            self.status.set(&[fresh])?;
        }
        let parts = parts(atoms);
        let [counts, partner_counts, candidate_counts] = &mut self.counts;
        let [bins, partners, rows] = &mut self.starts;
        let [bin_sums, partner_sums, row_sums] = &mut self.sums;
        let cells = usize::from(problem.cells) * structures;
        // Where nothing repeats, a list needs no shifts.
        let shifts = if problem.cells {
            self.shifts.reserve::<[i32; 3]>(self.room)?
        } else {
            0
        };
        let arrays = Arrays {
            kept_positions: self.kept_positions.reserve::<[f64; 3]>(atoms)?,
            kept_structures: self.kept_structures.reserve::<u32>(structures + 1)?,
            kept_cells: self.kept_cells.reserve::<[f64; 9]>(cells)?,
            kept_periodic: self.kept_periodic.reserve::<[u8; 3]>(cells)?,
            kept_excluded: self.kept_excluded.reserve::<[u32; 2]>(excluded)?,
            grids: self.grids.reserve::<[f64; 8]>(structures)?,
            bin: self.bin.reserve::<u32>(atoms)?,
            counts: [
                counts.reserve::<u32>(atoms)?,
                partner_counts.reserve::<u32>(atoms)?,
                candidate_counts.reserve::<u32>(atoms)?,
            ],
            starts: [
                bins.reserve::<u64>(atoms + 1)?,
                partners.reserve::<u64>(atoms + 1)?,
                rows.reserve::<u64>(atoms + 1)?,
            ],
            sums: [
                bin_sums.reserve::<u64>(parts)?,
                partner_sums.reserve::<u64>(parts)?,
                row_sums.reserve::<u64>(parts)?,
            ],
            members: self.members.reserve::<u32>(atoms)?,
            partners: self.partners.reserve::<[u32; 2]>(excluded)?,
            candidates: self.candidates.reserve::<u32>(self.room)?,
            shifts,
            status: self.status.address(),
            reach: problem.cutoff + problem.skin,
            skin: problem.skin,
            room: self.room as u64,
            atoms: atoms as u32,
            structure_count: structures as u32,
            excluded_count: excluded as u32,
            direct: u32::from(atoms <= DIRECT),
            ..arrays
        };
        self.problem = Some(problem);
        Ok(arrays)
    }

    /// What the network's kernels are told of the list.
    pub fn list(&self, arrays: &Arrays) -> Inputs {
        Inputs {
            positions: arrays.positions,
            structure: arrays.structure,
            structures: arrays.structures,
            cells: arrays.cells,
            starts: arrays.starts[2],
            candidates: arrays.candidates,
            shifts: arrays.shifts,
            ..Inputs::default()
        }
    }

    /// Adds the launches that see to the list; without one, that which looks at positions.
    pub fn watch(&self, arrays: &Arrays, batch: &mut Batch) {
        batch.with(&words_of(arrays));
        let atoms = arrays.atoms;
        let most = atoms.max(arrays.structure_count).max(arrays.excluded_count);
        let rows = atoms.div_ceil(THREADS / 32);
        let elements = most.max(1).div_ceil(THREADS);
        let parts = parts(atoms as usize) as u32;
        let mut add = |kernel, grid, number| batch.add(self.launch(kernel, grid), number);
        add(Kernel::Watch, (elements, 1), 0);
        if arrays.host.listless != 0 {
            return;
        }
        if arrays.direct == 0 {
            let both = 1 + u32::from(arrays.excluded_count > 0);
            add(Kernel::Bounds, (arrays.structure_count, 1), 0);
            add(Kernel::Bin, (elements, 1), 0);
            if parts > 1 {
                add(Kernel::Sum, (parts, both), 0);
            }
            add(Kernel::Spread, (parts, both), 0);
            add(Kernel::Put, (elements, 1), 0);
        }
        add(Kernel::Count, (rows, 1), 0);
        if parts > 1 {
            add(Kernel::Sum, (parts, 1), 2);
        }
        add(Kernel::Spread, (parts, 1), 2);
        add(Kernel::Fill, (rows, 1), 0);
        if arrays.direct == 0 {
            add(Kernel::Sort, (rows, 1), 0);
        }
    }

    /// A launch of one of its kernels.
    pub fn launch(&self, kernel: Kernel, grid: (u32, u32)) -> Launch {
        Launch {
            program: self.program,
            kernel,
            grid,
            threads: if kernel == Kernel::Bounds {
                BOUNDS_THREADS
            } else {
                THREADS
            },
            shared: 0,
        }
    }

    /// How the list is, when all that was launched is done.
    pub fn read(&self) -> Result<Status> {
        let mut status = [Status::FRESH];
        self.status.get(&mut status)?;
        Ok(status[0])
    }

    /// The list, when all that was launched is done.
    #[allow(clippy::type_complexity)]
    pub fn get(&self, arrays: &Arrays) -> Result<(Vec<u64>, Vec<u32>, Vec<[i32; 3]>)> {
        let mut offsets = vec![0; arrays.atoms as usize + 1];
        self.starts[2].get(&mut offsets)?;
        let pairs = offsets[arrays.atoms as usize] as usize;
        let (mut neighbors, mut shifts) = (vec![0; pairs], vec![[0; 3]; pairs]);
        self.candidates.get(&mut neighbors)?;
        if arrays.shifts != 0 {
            self.shifts.get(&mut shifts)?;
        }
        Ok((offsets, neighbors, shifts))
    }

    /// Forgets what went wrong, when it has been read.
    pub fn clear(&mut self, status: Status) -> Result<()> {
        let status = Status {
            trouble: NOTHING,
            ..status
        };
        self.status.set(&[status])?;
        Ok(())
    }

    /// Blocks of a launch with a thread for each of so many.
    pub fn blocks(elements: usize) -> u32 {
        elements.div_ceil(THREADS as usize) as u32
    }

    /// What it takes to bring [`Finder::read`]'s to the host with other things.
    pub fn part<'a>(&self, status: &'a mut [Status; 1]) -> (u64, &'a mut [u8]) {
        self.status.part(status)
    }
}

/// Parts that sums over atoms are made of.
fn parts(atoms: usize) -> usize {
    if atoms <= DIRECT {
        return 1;
    }
    atoms.div_ceil(PER_PART).clamp(1, MOST_PARTS)
}
