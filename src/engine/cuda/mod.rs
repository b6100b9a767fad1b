//! The CUDA engine: the CPU engine's passes as kernels, compiled for the model and the GPU when a potential is made.
//!
//! A block is two launches each way: one over the rows of the neighbour list (gather, filter, multiply, reduce), one over
//! the atoms' dense layers. Nothing of pairs × channels exists, and there are no floating-point atomics: every number is summed by one warp
//! in one order, so that the same call gives the same bits. What kernels run on is behind [`Device`]: a GPU, or the
//! processor in tests.

mod cache;
mod compiler;
mod device;
mod driver;
mod half;
mod lists;
mod passes;
mod source;
mod system;
mod tuning;
mod weights;

use std::sync::Arc;

pub use compiler::compile;
pub use device::{Device, Kernel, Launch, Limits};
pub use driver::Gpu;
pub use system::System;
pub use tuning::Tuning;

use self::device::{Array, Plain};
use self::lists::Lists;
use self::source::{Widths, basis_numbers, source};
use self::weights::{Packed, Padding, pack};
use super::{Engine, Exchange, Graph, Results, Rows, Wanted};
use crate::Result;
use crate::filter::{Spacing, Tables};
use crate::model::{Model, Network};
use crate::simd::Real;

/// A precision this engine computes in.
#[allow(private_bounds)]
pub trait CudaReal: Real + Plain {
    /// Its name in C.
    const NAME: &'static str;

    /// Rows in this precision, for an exchange.
    fn rows(rows: &mut [Self]) -> Rows<'_>;
}

impl CudaReal for f32 {
    const NAME: &'static str = "float";

    fn rows(rows: &mut [Self]) -> Rows<'_> {
        Rows::F32(rows)
    }
}

impl CudaReal for f64 {
    const NAME: &'static str = "double";

    fn rows(rows: &mut [Self]) -> Rows<'_> {
        Rows::F64(rows)
    }
}

/// SchNet on a GPU.
pub struct CudaEngine<T> {
    model: Arc<Model>,
    tuning: Tuning,
    exact: bool,
    work: Workspace,
    /// Rows on their way through an exchange.
    exchanged: Vec<T>,
    /// Last, so that all memory on it has been given back.
    device: Arc<dyn Device>,
}

/// What is kept on the device.
struct Workspace {
    weights: Array,
    tables: Array,
    scales: Array,
    basis: Array,
    references: Array,
    lists: Lists,
    positions: Array,
    types: Array,
    cells: Array,
    counts: Array,
    edges: Array,
    arms: Array,
    x: Array,
    gradient: Array,
    y: Array,
    z: Array,
    m: Array,
    g: Array,
    atom_energies: Array,
    forces: Array,
    virials: Array,
    energies: Array,
    structure_virials: Array,
    coincident: Array,
}

impl Workspace {
    fn new(device: &Arc<dyn Device>) -> Self {
        let array = || Array::new(device);
        Self {
            weights: array(),
            tables: array(),
            scales: array(),
            basis: array(),
            references: array(),
            lists: Lists::new(device),
            positions: array(),
            types: array(),
            cells: array(),
            counts: array(),
            edges: array(),
            arms: array(),
            x: array(),
            gradient: array(),
            y: array(),
            z: array(),
            m: array(),
            g: array(),
            atom_energies: array(),
            forces: array(),
            virials: array(),
            energies: array(),
            structure_virials: array(),
            coincident: array(),
        }
    }
}

impl<T: CudaReal> CudaEngine<T> {
    /// An engine for the network of `model` on `device`.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] if the model has no network or the device cannot run it, [`crate::Error::OutOfMemory`].
    pub fn new(model: Arc<Model>, filters: Filters<T>, device: Box<dyn Device>) -> Result<Self> {
        Self::tuned(model, filters, device, |_| ())
    }

    /// As [`CudaEngine::new`], with the work cut up otherwise, for measurements of that.
    ///
    /// # Errors
    /// As [`CudaEngine::new`].
    pub fn tuned(
        model: Arc<Model>,
        filters: Filters<T>,
        mut device: Box<dyn Device>,
        adjust: impl FnOnce(&mut Tuning),
    ) -> Result<Self> {
        let network = super::network(&model)?;
        let (text, tuning, packed) = program_of(network, filters, device.limits(), adjust)?;
        let exact = matches!(filters, Filters::Exact);
        let (dense, readout) = tuning.dense_shared();
        let rows = tuning.row_shared(exact) as u32;
        device.load(
            &text,
            &[
                (Kernel::Geometry, tuning.geometry_shared() as u32),
                (Kernel::Receive, rows),
                (Kernel::Send, rows),
                (Kernel::SendVirials, rows),
                (Kernel::Update, dense as u32),
                (Kernel::Descend, dense as u32),
                (Kernel::Readout, readout as u32),
            ],
        )?;
        let device: Arc<dyn Device> = Arc::from(device);
        let mut work = Workspace::new(&device);
        let rounded: Vec<T> = packed.numbers.iter().map(|&x| T::from_f64(x)).collect();
        work.weights.set(&rounded)?;
        work.basis.set(&basis_numbers(&network.basis))?;
        work.references.set(&network.reference_energies)?;
        let blocks = 0..network.blocks.len();
        match filters {
            Filters::Exact => {}
            Filters::Table(tables) => {
                let all = blocks.flat_map(|block| tables.block(block).iter().copied());
                work.tables.set(&all.collect::<Vec<T>>())?;
            }
            Filters::Half(tables) => {
                let (mut halves, mut scales) = (Vec::new(), Vec::new());
                for block in blocks {
                    half::quantise(
                        tables.block(block),
                        tuning.widths.filters,
                        &mut halves,
                        &mut scales,
                    );
                }
                work.tables.set(&halves)?;
                work.scales.set(&scales)?;
            }
        }
        Ok(Self {
            tuning,
            exact,
            work,
            exchanged: Vec::new(),
            device,
            model,
        })
    }
}

/// How the filters of a network are evaluated.
#[derive(Debug, Clone, Copy)]
pub enum Filters<'a, T> {
    /// By the filter networks.
    Exact,
    /// From tables.
    Table(&'a Tables<T>),
    /// From tables whose numbers are rounded to 16 bits, with a scale for each channel.
    Half(&'a Tables<T>),
}

/// The program of a potential as [`Device::load`] gets it, for tests of the kernels on other architectures than the one at
/// hand.
///
/// # Errors
/// As [`CudaEngine::new`].
pub fn program<T: CudaReal>(
    network: &Network,
    filters: Filters<T>,
    limits: Limits,
) -> Result<String> {
    program_of(network, filters, limits, |_| ()).map(|(text, ..)| text)
}

fn program_of<T: CudaReal>(
    network: &Network,
    filters: Filters<T>,
    limits: Limits,
    adjust: impl FnOnce(&mut Tuning),
) -> Result<(String, Tuning, Packed)> {
    let widths = Widths::new(network, size_of::<T>());
    let (spacing, stored) = match filters {
        Filters::Exact => (None, T::NAME),
        Filters::Table(tables) => (Some(tables.spacing()), T::NAME),
        Filters::Half(tables) => (Some(tables.spacing()), "unsigned short"),
    };
    let intervals = spacing.map(Spacing::intervals);
    let mut tuning = Tuning::new(widths, size_of::<T>(), intervals, limits)?;
    adjust(&mut tuning);
    let packed = pack(network, Padding(widths.pad));
    let text = source(
        network,
        (T::NAME, stored),
        spacing,
        &tuning,
        &packed.declarations,
    );
    Ok((text, tuning, packed))
}

impl<T: CudaReal> Engine for CudaEngine<T> {
    fn compute(
        &mut self,
        graph: &Graph,
        wanted: Wanted,
        mut exchange: Option<&mut dyn Exchange>,
        results: &mut Results,
    ) -> Result<()> {
        results.reset(graph, wanted);
        self.compute_in(graph, wanted, &mut exchange, results)
    }
}
