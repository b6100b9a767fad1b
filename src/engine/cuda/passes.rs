//! The way through the network and back, launch by launch.

use std::sync::Arc;

use super::device::{Device, Kernel, Launch};
use super::system::System;
use super::tuning::{Regime, Tuning};
use super::{CudaEngine, CudaReal, Program};
use crate::engine::{Exchange, Graph, Results, Rows, Wanted, network as network_of};
use crate::{Error, Result};

const WARP: usize = 32;

impl<T: CudaReal> CudaEngine<T> {
    pub(super) fn compute_in(
        &mut self,
        graph: &Graph,
        wanted: Wanted,
        exchange: &mut Option<&mut dyn Exchange>,
        results: &mut Results,
    ) -> Result<()> {
        let virials = wanted.virials || wanted.atom_virials;
        let program = self.program(Regime::of(graph.feature_rows(), self.limits))?;
        let system = self.place(graph, &program.tuning, wanted.gradients(), virials)?;
        let structures = graph.structures.len() - 1;
        let blocks = network_of(&self.model)?.description.blocks;
        let run = Run {
            device: self.device.clone(),
            program,
            system,
        };
        let starting = system.rows as usize * program.tuning.start_columns();
        run.elements(Kernel::Start, starting.max(1))?;
        run.rows(Kernel::Geometry, system.rows, 0)?;
        for block in 0..blocks {
            run.rows(Kernel::Receive, system.owned, block)?;
            run.dense(Kernel::Update, block)?;
            if let Some(exchange) = exchange.as_mut().filter(|_| block + 1 < blocks) {
                let first = (block + 1) * graph.feature_rows() * self.recipe.widths.filters;
                self.exchange(false, first, graph, |rows, width| {
                    exchange.forward(rows, width)
                })?;
            }
        }
        run.dense(Kernel::Readout, usize::from(wanted.gradients()))?;
        if wanted.gradients() {
            self.backward(&run, graph, (blocks, virials), exchange)?;
            let width = if virials { 6 } else { 3 };
            run.elements(Kernel::Collect, system.rows as usize * width)?;
        }
        run.launch(
            Kernel::Total,
            (structures as u32, 1),
            (Tuning::TOTAL_THREADS, 0),
            structures,
        )?;
        self.fetch(graph, &system, wanted, results)
    }

    fn backward(
        &mut self,
        run: &Run,
        graph: &Graph,
        (blocks, virials): (usize, bool),
        exchange: &mut Option<&mut dyn Exchange>,
    ) -> Result<()> {
        let send = if virials {
            Kernel::SendVirials
        } else {
            Kernel::Send
        };
        for block in (0..blocks).rev() {
            run.rows(send, run.system.rows, block)?;
            // x⁰ does not depend on positions: nothing further down needs a gradient.
            if block > 0 {
                if let Some(exchange) = exchange {
                    self.exchange(true, 0, graph, |rows, width| exchange.reverse(rows, width))?;
                }
                run.dense(Kernel::Descend, block)?;
            }
        }
        Ok(())
    }

    /// Sizes the arrays and brings to the device what the graph has.
    fn place(
        &mut self,
        graph: &Graph,
        tuning: &Tuning,
        gradients: bool,
        virials: bool,
    ) -> Result<System> {
        let network = network_of(&self.model)?;
        let (rows, owned) = (graph.feature_rows(), graph.owned);
        let blocks = network.description.blocks;
        let widths = self.recipe.widths;
        let slices = tuning.slices();
        if graph.positions.len() > u32::MAX as usize / 4 {
            return Err(Error::unsupported(format!(
                "device cuda: {} atoms in one call; use device cpu",
                graph.positions.len()
            )));
        }
        let work = &mut self.work;
        let lists = work.lists.update(graph)?;
        let pairs = work.lists.pairs();
        let backward = |length: usize| if gradients { length } else { 0 };
        // Sizes of `Edge` and `Arm` in kernels/base.cuh.
        let (edge, arm) = (16, 4 * size_of::<T>());
        let sections = Sections::new(graph, slices, (gradients, virials));
        let results = work.results.reserve::<f64>(sections.end)?;
        let section = |first: usize| results + (first * size_of::<f64>()) as u64;
        if work.kinds != graph.types {
            work.kinds.clear();
            work.types.set(graph.types)?;
            work.kinds.extend_from_slice(graph.types);
        }
        let system = System {
            positions: work.positions.set(graph.positions)?,
            types: work.types.address(),
            structure: lists.structure,
            structures: lists.structures,
            cells: match graph.images {
                Some(images) if lists.shifts != 0 => work.cells.set(images.cells)?,
                _ => 0,
            },
            starts: lists.starts,
            candidates: lists.candidates,
            shifts: lists.shifts,
            owners: lists.owners,
            weights: work.weights.address(),
            tables: work.tables.address(),
            scales: work.scales.address(),
            basis: work.basis.address(),
            references: work.references.address(),
            counts: work.counts.reserve::<u32>(rows)?,
            edges: work.edges.reserve::<u8>(pairs * edge)?,
            arms: work.arms.reserve::<u8>(pairs * arm)?,
            x: work.x.reserve::<T>(owned * widths.features)?,
            gradient: work
                .gradient
                .reserve::<T>(backward(owned * widths.features))?,
            y: work.y.reserve::<T>(blocks * rows * widths.filters)?,
            z: work.z.reserve::<T>(blocks * owned * widths.features)?,
            m: work.m.reserve::<T>(rows * widths.filters)?,
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
        };
        if gradients && rows > owned {
            // Ghosts give nothing back here; their owners do.
            let row = widths.filters * size_of::<T>();
            let to = system.g + (owned * row) as u64;
            self.device.fill(to, 0, (rows - owned) * row)?;
        }
        Ok(system)
    }

    /// Lets a host exchange rows of y, from number `first` on, or of m; they are padded here and are not there.
    fn exchange(
        &mut self,
        back: bool,
        first: usize,
        graph: &Graph,
        exchange: impl FnOnce(Rows, usize) -> Result<()>,
    ) -> Result<()> {
        let filters = network_of(&self.model)?.description.filters;
        let stride = self.recipe.widths.filters;
        let array = if back { &self.work.m } else { &self.work.y };
        let rows = &mut self.exchanged;
        rows.resize(graph.feature_rows() * stride, T::default());
        array.get_from(first, rows)?;
        // In place, to the front and back again: a row never overtakes the one it is moved past.
        for row in 1..graph.feature_rows() {
            rows.copy_within(row * stride..row * stride + filters, row * filters);
        }
        exchange(
            T::rows(&mut rows[..graph.feature_rows() * filters]),
            filters,
        )?;
        for row in (0..graph.feature_rows()).rev() {
            rows.copy_within(row * filters..(row + 1) * filters, row * stride);
            rows[row * stride + filters..(row + 1) * stride].fill(T::default());
        }
        array.put(first, rows)
    }

    /// Brings back what was wanted.
    fn fetch(
        &mut self,
        graph: &Graph,
        system: &System,
        wanted: Wanted,
        results: &mut Results,
    ) -> Result<()> {
        let rows = graph.feature_rows();
        let sections = Sections::new(graph, 1, (wanted.gradients(), system.virials != 0));
        let found = &mut self.fetched;
        // In one copy: all but virials of atoms, which begin behind the forces' other slices.
        found.resize(sections.virials, 0.0);
        self.work.results.get(found)?;
        let coincident = found[0].to_bits();
        if coincident != u64::MAX {
            return Err(Error::invalid(format!(
                "atoms {} and {} are at the same point",
                coincident >> 32,
                coincident & 0xffff_ffff
            )));
        }
        let section = |first: usize, length: usize| &found[first..first + length];
        let structures = graph.structures.len() - 1;
        results
            .energies
            .copy_from_slice(section(sections.energies, structures));
        results
            .atom_energies
            .copy_from_slice(section(sections.atom_energies, graph.owned));
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
    fn new(graph: &Graph, slices: usize, (gradients, virials): (bool, bool)) -> Self {
        let structures = graph.structures.len() - 1;
        let each = |width: usize, wanted: bool| {
            if wanted {
                width * slices * graph.feature_rows()
            } else {
                0
            }
        };
        let energies = 1;
        let structure_virials = energies + structures;
        let atom_energies = structure_virials + 6 * structures;
        let forces = atom_energies + graph.owned;
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
struct Run {
    device: Arc<dyn Device>,
    program: Program,
    system: System,
}

impl Run {
    /// A warp, or a few lanes, or several of them, a row and slice.
    fn rows(&self, kernel: Kernel, rows: u32, block: usize) -> Result<()> {
        let tuning = &self.program.tuning;
        let (threads, lanes, slices, shared) = if kernel == Kernel::Geometry {
            (tuning.geometry_threads, WARP, 1, tuning.geometry_shared())
        } else {
            let lanes = if tuning.table {
                tuning.group * tuning.parts
            } else {
                WARP
            };
            (
                tuning.row_threads,
                lanes,
                tuning.slices(),
                tuning.row_shared(),
            )
        };
        let grid = (rows.div_ceil((threads / lanes) as u32), slices as u32);
        self.launch(kernel, grid, (threads, shared), block)
    }

    /// A team a few owned rows.
    fn dense(&self, kernel: Kernel, block: usize) -> Result<()> {
        let tuning = &self.program.tuning;
        let rows = tuning.dense_threads / tuning.dense_team * tuning.dense_rows;
        let (blocks, readout) = tuning.dense_shared();
        let shared = if kernel == Kernel::Readout {
            readout
        } else {
            blocks
        };
        let grid = (self.system.owned.div_ceil(rows as u32), 1);
        self.launch(kernel, grid, (tuning.dense_threads, shared), block)
    }

    /// A thread an element.
    fn elements(&self, kernel: Kernel, elements: usize) -> Result<()> {
        let grid = (elements.div_ceil(Tuning::START_THREADS) as u32, 1);
        self.launch(kernel, grid, (Tuning::START_THREADS, 0), 0)
    }

    fn launch(
        &self,
        kernel: Kernel,
        grid: (u32, u32),
        (threads, shared): (usize, usize),
        block: usize,
    ) -> Result<()> {
        if grid.0 == 0 {
            return Ok(());
        }
        let launch = Launch {
            program: self.program.number,
            kernel,
            grid,
            threads: threads as u32,
            shared: shared as u32,
        };
        self.device.launch(launch, &self.system, block as u32)
    }
}

/// Whole matrices from xx xy xz yy yz zz.
fn unpack(halves: &[[f64; 6]], whole: &mut [[f64; 9]]) {
    for (&[xx, xy, xz, yy, yz, zz], whole) in halves.iter().zip(whole) {
        *whole = [xx, xy, xz, xy, yy, yz, xz, yz, zz];
    }
}
