//! The way through the network and back, launch by launch.

use super::device::{Batch, Kernel, Lane, Launch, Limits, words_of};
use super::mutual::{MOST_BANDS, Mutual};
use super::system::{Inputs, System};
use super::tuning::{Regime, Tuning};
use super::{CudaEngine, CudaReal, Program};
use crate::engine::{DeviceRows, Exchange, Graph, Results, Rows, Wanted, network as network_of};
use crate::{Error, Result};

const WARP: usize = 32;
/// Bytes of an `Edge` in `kernels/base.cuh`, of a `Bend`, and of a `Slot` in `kernels/spans.cuh`.
const EDGE: usize = 16;
const BEND: usize = 16;
const SLOT: usize = 8;
/// Bytes of a `NearPair` and of a `NearRun` in `kernels/near.cu`.
const NEAR: usize = 8;

/// How much there is of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Atoms with features.
    pub rows: usize,
    pub owned: usize,
    pub structures: usize,
    /// Pairs that there is to be room for.
    pub pairs: usize,
    /// Atoms of the largest structure, where all are owned and have no images; else zero, or where only the device knows.
    pub alone: usize,
    /// Whether all are owned and have no images.
    pub plain: bool,
}

impl<T: CudaReal> CudaEngine<T> {
    pub(super) fn compute_in(
        &mut self,
        graph: &Graph,
        wanted: Wanted,
        exchange: Option<&mut dyn Exchange>,
        results: &mut Results,
    ) -> Result<()> {
        let (inputs, shape) = self.inputs(graph, exchange.is_some())?;
        let mut run = self.run(&inputs, shape, wanted)?;
        // No two atoms at one point.
        let nothing = size_of::<u64>();
        self.device.fill(run.system.coincident, 0xff, nothing)?;
        self.step(&mut run, wanted, exchange)?;
        self.device.run(&run.batch)?;
        self.fetch(shape, &run.system, wanted, results)
    }

    /// Everything that the launches of a call need, and none of them yet.
    pub(super) fn run(&mut self, inputs: &Inputs, shape: Shape, wanted: Wanted) -> Result<Run> {
        let batch = self.batch.clone().filter(|_| shape.plain);
        let regime = Regime::of(shape.rows, shape.structures, batch, self.limits);
        let program = self.program(regime)?;
        let mutual = Mutual::new(shape, &program.tuning, self.limits);
        let system = self.place(inputs, shape, (&program.tuning, mutual), wanted)?;
        Ok(Run {
            program,
            shape,
            wanted,
            mutual,
            system,
            batch: Batch::default(),
        })
    }

    /// Adds the way through the network, and back if gradients are wanted; only an exchange starts anything.
    pub(super) fn step(
        &mut self,
        run: &mut Run,
        wanted: Wanted,
        mut exchange: Option<&mut dyn Exchange>,
    ) -> Result<()> {
        let Shape { rows, owned, .. } = run.shape;
        let blocks = network_of(&self.model)?.description.blocks;
        run.batch.with(&words_of(&run.system));
        let starting = rows * run.program.tuning.start_columns();
        if let Some(mutual) = run.mutual {
            run.elements(Kernel::Start, starting);
            run.meet(mutual);
        } else if run.program.tuning.ranks {
            let size = (Tuning::RANK_THREADS, Tuning::RANK_SHARED);
            run.launch(Kernel::Rank, (rows as u32, 1), size, 0);
        } else {
            run.elements(Kernel::Start, starting);
            run.rows(Kernel::Geometry, rows, 0);
            run.span_rows(Kernel::Deal, 0);
            run.near(Kernel::OrderNear, 0);
        }
        for block in 0..blocks {
            match run.mutual {
                Some(mutual) => {
                    run.mutual(Kernel::Mutual, mutual, block);
                    run.merge(Kernel::Merge);
                }
                None => {
                    if run.tables() {
                        run.rows(Kernel::Receive, owned, block);
                    }
                    run.near(Kernel::ReceiveNear, block);
                    run.spans(Kernel::ReceiveSpans, block, self.limits);
                }
            }
            run.dense(Kernel::Update, block);
            if let Some(exchange) = exchange.as_mut().filter(|_| block + 1 < blocks) {
                let first = (block + 1) * rows * self.recipe.widths.filters;
                self.exchange(run, false, first, *exchange)?;
            }
        }
        run.dense(Kernel::Readout, usize::from(wanted.gradients()));
        let virials = run.system.virials != 0;
        if !virials {
            run.total(Lane::Aside);
        }
        if wanted.gradients() {
            self.backward(run, (blocks, virials), exchange)?;
            if run.program.tuning.force_slices() > 1 {
                let width = if virials { 6 } else { 3 };
                run.elements(Kernel::Collect, rows * width);
            }
        }
        if virials {
            run.total(Lane::Main);
        }
        Ok(())
    }

    fn backward(
        &mut self,
        run: &mut Run,
        (blocks, virials): (usize, bool),
        mut exchange: Option<&mut dyn Exchange>,
    ) -> Result<()> {
        let (send, mutual_back) = if virials {
            (Kernel::SendVirials, Kernel::MutualBackVirials)
        } else {
            (Kernel::Send, Kernel::MutualBack)
        };
        for block in (0..blocks).rev() {
            if let Some(exchange) = &mut exchange {
                self.exchange(run, true, 0, *exchange)?;
            }
            match run.mutual {
                Some(mutual) => {
                    run.mutual(mutual_back, mutual, block);
                    run.merge(if block > 0 {
                        Kernel::Merge
                    } else {
                        Kernel::MergePulls
                    });
                }
                None => {
                    if run.tables() {
                        run.rows(send, run.shape.rows, block);
                    }
                    run.near(Kernel::SlopeNear, block);
                    run.spans(Kernel::SlopeSpans, block, self.limits);
                    if block > 0 {
                        run.near(Kernel::SendNear, block);
                        run.spans(Kernel::SendSpans, block, self.limits);
                    }
                }
            }
            // x⁰ does not depend on positions: nothing further down needs a gradient.
            if block > 0 {
                run.dense(Kernel::Descend, block);
            }
        }
        let first = usize::from(!run.tables());
        run.span_rows(Kernel::PullSpans, first);
        Ok(())
    }

    /// Brings to the device what the graph has.
    fn inputs(&mut self, graph: &Graph, exchange: bool) -> Result<(Inputs, Shape)> {
        if graph.positions.len() > u32::MAX as usize / 4 {
            return Err(Error::unsupported(format!(
                "device cuda: {} atoms in one call; use device cpu",
                graph.positions.len()
            )));
        }
        let work = &mut self.work;
        let lists = work.lists.update(graph, exchange)?;
        match graph.owners {
            Some(_) => {
                let types = (0..graph.feature_rows()).map(|row| graph.types[graph.atom(row)]);
                work.set_types(&types.collect::<Vec<_>>())?;
            }
            None => work.set_types(graph.types)?,
        }
        let inputs = Inputs {
            positions: work.positions.set(graph.positions)?,
            types: work.types.address(),
            cells: match graph.images {
                Some(images) if lists.shifts != 0 => work.cells.set(images.cells)?,
                _ => 0,
            },
            ..lists
        };
        let shape = Shape {
            rows: graph.feature_rows(),
            owned: graph.owned,
            structures: graph.structures.len() - 1,
            pairs: work.lists.pairs(),
            alone: 0,
            plain: false,
        };
        Ok((inputs, shape))
    }

    /// Sizes the arrays.
    fn place(
        &mut self,
        inputs: &Inputs,
        shape: Shape,
        (tuning, mutual): (&Tuning, Option<Mutual>),
        wanted: Wanted,
    ) -> Result<System> {
        let network = network_of(&self.model)?;
        let Shape {
            rows, owned, pairs, ..
        } = shape;
        let blocks = network.description.blocks;
        let widths = self.recipe.widths;
        let slices = tuning.force_slices();
        let (gradients, virials) = (wanted.gradients(), wanted.virials || wanted.atom_virials);
        let work = &mut self.work;
        let backward = |length: usize| if gradients { length } else { 0 };
        // Of an `Edge` and an `Arm` in kernels/base.cuh.
        let (edge, arm) = (EDGE, 4 * size_of::<T>());
        let sections = Sections::new(shape, slices, (gradients, virials));
        let results = work.results.reserve::<f64>(sections.end)?;
        let section = |first: usize| results + (first * size_of::<f64>()) as u64;
        let both = |length: usize| if mutual.is_some() { length } else { 0 };
        let parts = mutual.map_or(tuning.sum_parts(), |mutual| mutual.parts());
        let far = Distant::new(shape, tuning, self.limits);
        let pull = if virials { 9 } else { 3 };
        let system = System {
            inputs: *inputs,
            weights: work.weights.address(),
            tables: work.tables.address(),
            scales: work.scales.address(),
            fragments: work.fragments.address(),
            span_filters: work.span_tables.filters.address(),
            span_factors: work.span_tables.factors.address(),
            span_scales: work.span_tables.scales.address(),
            basis: work.basis.address(),
            references: work.references.address(),
            counts: work.counts.reserve::<u32>(rows)?,
            spans: work.spans.reserve::<u32>(far.ends)?,
            slots: work.slots.reserve::<u8>(far.slots * SLOT)?,
            slopes: work.slopes.reserve::<f32>(backward(far.slopes))?,
            near: work.near.reserve::<u8>(far.near * NEAR)?,
            near_draft: work.near_draft.reserve::<u8>(far.near * NEAR)?,
            near_runs: work.near_runs.reserve::<u8>(far.runs * NEAR)?,
            edges: work.edges.reserve::<u8>(pairs * edge)?,
            arms: work.arms.reserve::<u8>(pairs * arm)?,
            bends: work.bends.reserve::<u8>(both(pairs * BEND))?,
            ends: work.ends.reserve::<u32>(both(MOST_BANDS * rows))?,
            pulls: work
                .pulls
                .reserve::<f64>(both(backward(parts * rows * pull)))?,
            x: work.x.reserve::<T>(owned * widths.features)?,
            gradient: work
                .gradient
                .reserve::<T>(backward(owned * widths.features))?,
            y: work.y.reserve::<T>(blocks * rows * widths.filters)?,
            z: work.z.reserve::<T>(blocks * owned * widths.features)?,
            m: work.m.reserve::<T>(parts * rows * widths.filters)?,
            g: work.g.reserve::<T>(backward(rows * widths.filters))?,
            atom_energies: section(sections.atom_energies),
            forces: section(sections.forces),
            virials: if virials {
                section(sections.virials)
            } else {
                0
            },
            energies: section(sections.energies),
            structure_virials: section(sections.structure_virials),
            coincident: section(0),
            rows: rows as u32,
            owned: owned as u32,
            held: far.held as u32,
            near_rows: tuning.near_rows(self.limits) as u32,
            bands: mutual.map_or(0, |mutual| mutual.bands as u32),
            splits: mutual.map_or(0, |mutual| mutual.splits as u32),
        };
        if gradients && rows > owned {
            // Ghosts give nothing back here, unless an exchange says what.
            let row = widths.filters * size_of::<T>();
            let to = system.g + (owned * row) as u64;
            self.device.fill(to, 0, (rows - owned) * row)?;
        }
        Ok(system)
    }

    /// Lets a host exchange rows of y, from number `first` on, or of g; they are padded here and are not there.
    fn exchange(
        &mut self,
        run: &mut Run,
        back: bool,
        first: usize,
        exchange: &mut dyn Exchange,
    ) -> Result<()> {
        self.device.run(&run.batch)?;
        run.batch.clear();
        let count = run.shape.rows;
        let filters = network_of(&self.model)?.description.filters;
        let stride = self.recipe.widths.filters;
        let array = if back { &self.work.g } else { &self.work.y };
        if exchange.on_device() {
            let rows = DeviceRows {
                address: array.address() + (first * size_of::<T>()) as u64,
                stride,
                element_size: size_of::<T>(),
                stream: self.device.stream(),
            };
            return exchange.forward(Rows::OnDevice(rows), filters);
        }
        let rows = &mut self.exchanged;
        rows.resize(count * stride, T::default());
        // Owned rows go to the host, and the others come back.
        let owned = run.shape.owned;
        array.get_from(first, &mut rows[..owned * stride])?;
        // In place, to the front and back again: a row never overtakes the one it is moved past.
        for row in 1..owned {
            rows.copy_within(row * stride..row * stride + filters, row * filters);
        }
        rows[owned * filters..count * filters].fill(T::default());
        exchange.forward(T::rows(&mut rows[..count * filters]), filters)?;
        for row in (owned..count).rev() {
            rows.copy_within(row * filters..(row + 1) * filters, row * stride);
            rows[row * stride + filters..(row + 1) * stride].fill(T::default());
        }
        array.put(first + owned * stride, &rows[owned * stride..])
    }

    /// Brings back what was wanted.
    fn fetch(
        &mut self,
        shape: Shape,
        system: &System,
        wanted: Wanted,
        results: &mut Results,
    ) -> Result<()> {
        let length = self.fetched_length(shape, system, wanted);
        self.fetched.resize(length, 0.0);
        self.work.results.get(&mut self.fetched)?;
        self.hand_over(shape, system, wanted, results)
    }

    /// What is brought back in one copy: all but virials of atoms, which begin behind the forces' other slices.
    pub(super) fn fetched_length(&self, shape: Shape, system: &System, wanted: Wanted) -> usize {
        Sections::new(shape, 1, (wanted.gradients(), system.virials != 0)).virials
    }

    /// Results from what was brought back.
    pub(super) fn hand_over(
        &mut self,
        shape: Shape,
        system: &System,
        wanted: Wanted,
        results: &mut Results,
    ) -> Result<()> {
        let Shape {
            rows,
            owned,
            structures,
            ..
        } = shape;
        let sections = Sections::new(shape, 1, (wanted.gradients(), system.virials != 0));
        let found = &mut self.fetched;
        let coincident = found[0].to_bits();
        if coincident != u64::MAX {
            return Err(Error::invalid(format!(
                "atoms {} and {} are at the same point",
                coincident >> 32,
                coincident & 0xffff_ffff
            )));
        }
        let section = |first: usize, length: usize| &found[first..first + length];
        results
            .energies
            .copy_from_slice(section(sections.energies, structures));
        results
            .atom_energies
            .copy_from_slice(section(sections.atom_energies, owned));
        if wanted.forces {
            let forces = section(sections.forces, 3 * rows).as_chunks().0;
            results.forces[..rows].copy_from_slice(forces);
        }
        if wanted.virials {
            let sums = section(sections.structure_virials, 6 * structures);
            unpack(sums.as_chunks().0, &mut results.virials);
        }
        if wanted.atom_virials {
            let first = (system.virials - system.coincident) as usize / size_of::<f64>();
            found.resize(6 * rows, 0.0);
            self.work.results.get_from(first, found)?;
            unpack(found.as_chunks().0, &mut results.atom_virials);
        }
        Ok(())
    }
}

/// How much there is of what kernels of distant pairs need; nothing without them.
#[derive(Default)]
struct Distant {
    /// Atoms of the largest structure that has distant pairs.
    held: usize,
    ends: usize,
    slots: usize,
    slopes: usize,
    near: usize,
    runs: usize,
}

impl Distant {
    fn new(shape: Shape, tuning: &Tuning, limits: Limits) -> Self {
        if tuning.spans == 0 {
            return Self::default();
        }
        let most = tuning.span_rows(limits);
        let held = match shape.alone {
            0 => most,
            largest => most.min(largest),
        };
        // A tile is read ahead of the last.
        let tile = Tuning::SPAN_SLACK + 1;
        Self {
            held,
            ends: shape.rows * (tuning.spans + 1),
            slots: shape.pairs + shape.rows * tuning.spans * Tuning::SPAN_SLACK + tile,
            slopes: tuning.span_slices() * shape.rows * held,
            near: shape.pairs / 2,
            runs: shape.structures * tuning.near_runs(),
        }
    }
}

/// Where the results lie in one array of float64, the coincident pair's number first.
struct Sections {
    energies: usize,
    structure_virials: usize,
    atom_energies: usize,
    forces: usize,
    virials: usize,
    end: usize,
}

impl Sections {
    fn new(shape: Shape, slices: usize, (gradients, virials): (bool, bool)) -> Self {
        let structures = shape.structures;
        let each = |width: usize, wanted: bool| {
            if wanted {
                width * slices * shape.rows
            } else {
                0
            }
        };
        let energies = 1;
        let structure_virials = energies + structures;
        let atom_energies = structure_virials + 6 * structures;
        let forces = atom_energies + shape.owned;
        let virials_at = forces + each(3, gradients);
        Self {
            energies,
            structure_virials,
            atom_energies,
            forces,
            virials: virials_at,
            end: virials_at + each(6, virials),
        }
    }
}

/// The launches of one call.
pub(super) struct Run {
    program: Program,
    pub shape: Shape,
    pub wanted: Wanted,
    /// How pairs are shared out that are evaluated once for both directions, if they are.
    mutual: Option<Mutual>,
    pub system: System,
    pub batch: Batch,
}

impl Run {
    /// Leaves slices of forces as they are: how many whoever takes them is to add up.
    pub fn leave_slices(&mut self) -> u32 {
        self.batch.retain(|kernel| kernel != Kernel::Collect);
        self.program.tuning.force_slices() as u32
    }

    /// Sums over structures.
    fn total(&mut self, lane: Lane) {
        let structures = self.shape.structures as u32;
        let launch = Launch {
            program: self.program.number,
            kernel: Kernel::Total,
            grid: (structures, 1),
            threads: Tuning::TOTAL_THREADS as u32,
            shared: 0,
        };
        self.batch.add_in(lane, launch, structures);
    }

    /// A warp, or a few lanes, or several of them, a row and slice.
    fn rows(&mut self, kernel: Kernel, rows: usize, block: usize) {
        let tuning = &self.program.tuning;
        let (threads, lanes, slices, shared) = if kernel == Kernel::Geometry {
            (tuning.geometry_threads, WARP, 1, tuning.geometry_shared())
        } else {
            let lanes = if tuning.table {
                tuning.group
            } else if tuning.tensor {
                WARP * tuning.parts
            } else {
                WARP
            };
            (
                tuning.row_threads,
                lanes,
                tuning.force_slices(),
                tuning.row_shared(),
            )
        };
        let grid = (rows.div_ceil(threads / lanes) as u32, slices as u32);
        self.launch(kernel, grid, (threads, shared), block);
    }

    /// Blocks that hold a structure's features, as many for each as fill the GPU.
    fn spans(&mut self, kernel: Kernel, block: usize, limits: Limits) {
        let tuning = &self.program.tuning;
        if tuning.spans == 0 {
            return;
        }
        let (structures, slices) = (self.shape.structures, tuning.span_slices());
        let splits = (limits.multiprocessors as usize / (structures * slices)).max(1);
        let shared = tuning.span_shared(self.system.held as usize);
        let grid = (structures as u32, (slices * splits) as u32);
        let size = (tuning.span_threads, shared);
        self.launch(kernel, grid, size, block);
    }

    /// Whether there are pairs that tables alone have: those of structures without spans.
    fn tables(&self) -> bool {
        let tuning = &self.program.tuning;
        let alone = self.shape.alone;
        let spans = tuning.spans > 0 && (1..=self.system.held as usize).contains(&alone);
        // Who adds up slices of forces wants all of them.
        !spans || tuning.force_slices() > 1
    }

    /// Blocks that hold a slice of a structure's rows, if there are near pairs by themselves.
    fn near(&mut self, kernel: Kernel, block: usize) {
        let tuning = &self.program.tuning;
        if tuning.spans == 0 {
            return;
        }
        let (held, all) = (self.system.held as usize, self.system.near_rows as usize);
        let slices = tuning.near_slices();
        let (slices, size) = match kernel {
            Kernel::OrderNear => (1, (tuning.span_threads, tuning.near_order_shared())),
            Kernel::SlopeNear => (slices, (tuning.span_threads, tuning.near_shared(2 * held))),
            _ => {
                let shared = Tuning::NEAR_FRONT + tuning.near_shared(all);
                (slices, (Tuning::NEAR_THREADS, shared))
            }
        };
        let grid = (self.shape.structures as u32, slices as u32);
        self.launch(kernel, grid, size, block);
    }

    /// A warp a row's pairs, if there are spans.
    fn span_rows(&mut self, kernel: Kernel, block: usize) {
        if self.program.tuning.spans > 0 {
            let rows = Tuning::SPAN_DEAL_THREADS / WARP;
            let grid = (self.shape.rows.div_ceil(rows) as u32, 1);
            self.launch(kernel, grid, (Tuning::SPAN_DEAL_THREADS, 0), block);
        }
    }

    /// A warp a row.
    fn meet(&mut self, mutual: Mutual) {
        let tuning = &self.program.tuning;
        let size = (tuning.geometry_threads, mutual.meet_shared(tuning));
        let grid = self.shape.rows.div_ceil(tuning.geometry_threads / WARP);
        self.launch(Kernel::Meet, (grid as u32, 1), size, 0);
    }

    /// A block two bands of a structure.
    fn mutual(&mut self, kernel: Kernel, mutual: Mutual, block: usize) {
        let shared = Mutual::shared(&self.program.tuning, kernel);
        let grid = (mutual.items(self.shape.structures) as u32, 1);
        self.launch(kernel, grid, (Mutual::THREADS, shared), block);
    }

    /// A thread four channels of a row, or a number of its forces and virials.
    fn merge(&mut self, kernel: Kernel) {
        let each = match kernel {
            Kernel::Merge => self.program.tuning.widths.filters / 4,
            _ if self.system.virials != 0 => 9,
            _ => 3,
        };
        self.elements(kernel, self.shape.rows * each);
    }

    /// A team a few owned rows.
    fn dense(&mut self, kernel: Kernel, block: usize) {
        let dense = &self.program.tuning.dense;
        let part = if kernel == Kernel::Readout {
            &dense.readout
        } else {
            &dense.blocks
        };
        let rows = dense.threads / dense.team * part.rows;
        let grid = (self.shape.owned.div_ceil(rows) as u32, 1);
        let size = (dense.threads, part.bytes);
        self.launch(kernel, grid, size, block);
    }

    /// A thread an element.
    fn elements(&mut self, kernel: Kernel, elements: usize) {
        let grid = (elements.div_ceil(Tuning::START_THREADS) as u32, 1);
        self.launch(kernel, grid, (Tuning::START_THREADS, 0), 0);
    }

    fn launch(
        &mut self,
        kernel: Kernel,
        grid: (u32, u32),
        (threads, shared): (usize, usize),
        block: usize,
    ) {
        let launch = Launch {
            program: self.program.number,
            kernel,
            grid,
            threads: threads as u32,
            shared: shared as u32,
        };
        self.batch.add(launch, block as u32);
    }
}

/// Whole matrices from xx xy xz yy yz zz.
fn unpack(halves: &[[f64; 6]], whole: &mut [[f64; 9]]) {
    for (&[xx, xy, xz, yy, yz, zz], whole) in halves.iter().zip(whole) {
        *whole = [xx, xy, xz, xy, yy, yz, xz, yz, zz];
    }
}
