//! The way through the network and back, launch by launch.

use super::device::{Kernel, Launch};
use super::system::System;
use super::tuning::Tuning;
use super::{CudaEngine, CudaReal};
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
        let system = self.place(graph, wanted.gradients(), virials)?;
        let structures = graph.structures.len() - 1;
        let blocks = network_of(&self.model)?.description.blocks;
        self.rows(Kernel::Geometry, &system, system.rows, 0)?;
        self.elements(
            Kernel::Start,
            &system,
            system.rows as usize * self.tuning.start_columns(),
        )?;
        for block in 0..blocks {
            self.rows(Kernel::Receive, &system, system.owned, block)?;
            self.dense(Kernel::Update, &system, block)?;
            if let Some(exchange) = exchange.as_mut().filter(|_| block + 1 < blocks) {
                let first = (block + 1) * graph.feature_rows() * self.tuning.widths.filters;
                self.exchange(false, first, graph, |rows, width| {
                    exchange.forward(rows, width)
                })?;
            }
        }
        self.dense(Kernel::Readout, &system, usize::from(wanted.gradients()))?;
        if wanted.gradients() {
            self.backward(&system, graph, (blocks, virials), exchange)?;
            let width = if virials { 6 } else { 3 };
            self.elements(Kernel::Collect, &system, system.rows as usize * width)?;
        }
        let launch = Launch {
            grid: (structures as u32, 1),
            threads: Tuning::TOTAL_THREADS as u32,
            shared: 0,
        };
        self.launch(Kernel::Total, launch, &system, structures)?;
        self.fetch(graph, wanted, results)
    }

    fn backward(
        &mut self,
        system: &System,
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
            self.rows(send, system, system.rows, block)?;
            // x⁰ does not depend on positions: nothing further down needs a gradient.
            if block > 0 {
                if let Some(exchange) = exchange {
                    self.exchange(true, 0, graph, |rows, width| exchange.reverse(rows, width))?;
                }
                self.dense(Kernel::Descend, system, block)?;
            }
        }
        Ok(())
    }

    /// Sizes the arrays and brings to the device what the graph has.
    fn place(&mut self, graph: &Graph, gradients: bool, virials: bool) -> Result<System> {
        let network = network_of(&self.model)?;
        let (rows, owned) = (graph.feature_rows(), graph.owned);
        let (blocks, structures) = (network.description.blocks, graph.structures.len() - 1);
        let widths = self.tuning.widths;
        let slices = self.tuning.slices();
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
        let system = System {
            positions: work.positions.set(graph.positions)?,
            types: work.types.set(graph.types)?,
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
            atom_energies: work.atom_energies.reserve::<f64>(owned)?,
            forces: work.forces.reserve::<f64>(backward(3 * slices * rows))?,
            virials: if virials {
                work.virials.reserve::<f64>(6 * slices * rows)?
            } else {
                0
            },
            energies: work.energies.reserve::<f64>(structures)?,
            structure_virials: work.structure_virials.reserve::<f64>(6 * structures)?,
            coincident: work.coincident.set(&[u64::MAX])?,
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

    /// A warp a row and slice.
    fn rows(&self, kernel: Kernel, system: &System, rows: u32, block: usize) -> Result<()> {
        let geometry = kernel == Kernel::Geometry;
        let (threads, slices, shared) = if geometry {
            let shared = self.tuning.geometry_shared();
            (self.tuning.geometry_threads, 1, shared)
        } else {
            let shared = self.tuning.row_shared(self.exact);
            (self.tuning.row_threads, self.tuning.slices(), shared)
        };
        let lanes = if geometry || self.exact {
            WARP
        } else {
            self.tuning.group
        };
        let launch = Launch {
            grid: (rows.div_ceil((threads / lanes) as u32), slices as u32),
            threads: threads as u32,
            shared: shared as u32,
        };
        self.launch(kernel, launch, system, block)
    }

    /// A warp a few owned rows.
    fn dense(&self, kernel: Kernel, system: &System, block: usize) -> Result<()> {
        let rows = self.tuning.dense_threads / WARP * self.tuning.dense_rows;
        let (blocks, readout) = self.tuning.dense_shared();
        let shared = if kernel == Kernel::Readout {
            readout
        } else {
            blocks
        };
        let launch = Launch {
            grid: (system.owned.div_ceil(rows as u32), 1),
            threads: self.tuning.dense_threads as u32,
            shared: shared as u32,
        };
        self.launch(kernel, launch, system, block)
    }

    /// A thread an element.
    fn elements(&self, kernel: Kernel, system: &System, elements: usize) -> Result<()> {
        let launch = Launch {
            grid: (elements.div_ceil(Tuning::START_THREADS) as u32, 1),
            threads: Tuning::START_THREADS as u32,
            shared: 0,
        };
        self.launch(kernel, launch, system, 0)
    }

    fn launch(&self, kernel: Kernel, launch: Launch, system: &System, block: usize) -> Result<()> {
        if launch.grid.0 == 0 {
            return Ok(());
        }
        self.device.launch(kernel, launch, system, block as u32)
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
        let stride = self.tuning.widths.filters;
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
    fn fetch(&self, graph: &Graph, wanted: Wanted, results: &mut Results) -> Result<()> {
        let work = &self.work;
        let mut coincident = [0];
        work.coincident.get(&mut coincident)?;
        if coincident[0] != u64::MAX {
            return Err(Error::invalid(format!(
                "atoms {} and {} are at the same point",
                coincident[0] >> 32,
                coincident[0] & 0xffff_ffff
            )));
        }
        work.atom_energies.get(&mut results.atom_energies)?;
        work.energies.get(&mut results.energies)?;
        let rows = graph.feature_rows();
        if wanted.forces {
            work.forces.get(&mut results.forces[..rows])?;
        }
        if wanted.atom_virials {
            let mut shares = vec![[0.0; 6]; rows];
            work.virials.get(&mut shares)?;
            unpack(&shares, &mut results.atom_virials);
        }
        if wanted.virials {
            let mut sums = vec![[0.0; 6]; results.virials.len()];
            work.structure_virials.get(&mut sums)?;
            unpack(&sums, &mut results.virials);
        }
        Ok(())
    }
}

/// Whole matrices from xx xy xz yy yz zz.
fn unpack(halves: &[[f64; 6]], whole: &mut [[f64; 9]]) {
    for (&[xx, xy, xz, yy, yz, zz], whole) in halves.iter().zip(whole) {
        *whole = [xx, xy, xz, xy, yy, yz, xz, yz, zz];
    }
}
