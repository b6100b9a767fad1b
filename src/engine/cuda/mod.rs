//! The CUDA engine: the CPU engine's passes as kernels, compiled for the model and the GPU when a potential is made.
//!
//! A block is two launches each way: one over the rows of the neighbour list (gather, filter, multiply, reduce), one over
//! the atoms' dense layers. Nothing of pairs × channels exists, and there are no floating-point atomics: every number is summed by one warp
//! in one order, so that the same call gives the same bits. What kernels run on is behind [`Device`]: a GPU, or the
//! processor in tests.

mod cache;
mod compiler;
mod dense;
mod dense_fragments;
mod device;
mod driver;
mod finder;
mod fragments;
mod list_system;
mod lists;
mod motion_system;
mod mover;
mod mutual;
mod passes;
mod source;
mod spans;
mod system;
mod term_system;
mod term_tables;
mod tuning;
mod unlisted;
mod weights;

use std::ops::RangeInclusive;
use std::sync::Arc;

pub use compiler::compile;
pub use device::{Batch, Device, Facts, Kernel, KernelFacts, Lane, Launch, Limits};
pub use driver::Gpu;
pub use finder::neighbor_program;
pub use mover::motion_program;
pub use system::System;
pub use term_tables::term_program;
pub use tuning::Tuning;
pub use unlisted::{DeviceList, DeviceLists};

use self::device::{Array, Plain};
use self::fragments::Fragments;
use self::lists::Lists;
use self::mover::Mover;
use self::mutual::Mutual;
use self::source::{Widths, basis_numbers, source};
use self::spans::SpanTables;
use self::term_tables::TermTables;
use self::tuning::Regime;
use self::unlisted::Unlisting;
use self::weights::{Padding, pack};
use super::{Engine, Exchange, Graph, OnDevice, Results, Rows, Wanted};
use crate::Result;
use crate::filter::half::rounded;
use crate::filter::{HalfTables, Spacing, Spans, Tables};
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
    recipe: Recipe,
    /// One for each regime, made when it is first needed.
    programs: [Option<Program>; Regime::ALL.len()],
    limits: Limits,
    /// Sizes of structures that have a regime of their own.
    batch: Option<RangeInclusive<usize>>,
    work: Workspace,
    /// What finds neighbours, made when it is first needed.
    unlisting: Option<Unlisting>,
    /// Analytic terms, when there are any.
    terms: Option<TermTables>,
    /// Replicas that move here, when there are any.
    mover: Option<Mover>,
    /// Rows on their way through an exchange.
    exchanged: Vec<T>,
    /// Results as they come from the device.
    fetched: Vec<f64>,
    /// Last, so that all memory on it has been given back.
    device: Arc<dyn Device>,
}

/// A program on the device, and how its work is cut up.
#[derive(Clone, Copy)]
struct Program {
    number: usize,
    tuning: Tuning,
}

/// What a program is made from, besides the network.
struct Recipe {
    way: Way,
    /// Whether dense layers are for tensor cores.
    split: bool,
    /// Of distant pairs, where tables are wide enough for that.
    spans: Option<Spans>,
    declarations: String,
    widths: Widths,
    adjust: fn(&mut Tuning),
}

/// How kernels get at the filters.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// From a table.
    Table(Spacing),
    /// By ordinary arithmetic.
    Exact,
    /// By tensor cores.
    Tensor,
}

/// What is kept on the device.
struct Workspace {
    /// The types that are there.
    kinds: Vec<u32>,
    weights: Array,
    tables: Array,
    scales: Array,
    fragments: Array,
    span_tables: SpanTables,
    basis: Array,
    references: Array,
    lists: Lists,
    positions: Array,
    types: Array,
    cells: Array,
    counts: Array,
    spans: Array,
    slots: Array,
    slopes: Array,
    near: Array,
    near_draft: Array,
    near_runs: Array,
    edges: Array,
    arms: Array,
    bends: Array,
    ends: Array,
    pulls: Array,
    x: Array,
    gradient: Array,
    y: Array,
    z: Array,
    m: Array,
    g: Array,
    results: Array,
}

impl Workspace {
    fn new(device: &Arc<dyn Device>) -> Self {
        let array = || Array::new(device);
        Self {
            kinds: Vec::new(),
            weights: array(),
            tables: array(),
            scales: array(),
            fragments: array(),
            span_tables: SpanTables::new(array),
            basis: array(),
            references: array(),
            lists: Lists::new(device),
            positions: array(),
            types: array(),
            cells: array(),
            counts: array(),
            spans: array(),
            slots: array(),
            slopes: array(),
            near: array(),
            near_draft: array(),
            near_runs: array(),
            edges: array(),
            arms: array(),
            bends: array(),
            ends: array(),
            pulls: array(),
            x: array(),
            gradient: array(),
            y: array(),
            z: array(),
            m: array(),
            g: array(),
            results: array(),
        }
    }

    /// Brings the rows of the embedding to the device if others are there.
    fn set_types(&mut self, types: &[u32]) -> Result<()> {
        if self.kinds != types {
            self.kinds.clear();
            self.types.set(types)?;
            self.kinds.extend_from_slice(types);
        }
        Ok(())
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
        device: Box<dyn Device>,
        adjust: fn(&mut Tuning),
    ) -> Result<Self> {
        let network = super::network(&model)?;
        let device: Arc<dyn Device> = Arc::from(device);
        let (recipe, numbers, fragments) = Recipe::new(network, filters, adjust);
        let mut work = Workspace::new(&device);
        let rounded: Vec<T> = numbers.iter().map(|&x| T::from_f64(x)).collect();
        work.weights.set(&rounded)?;
        work.basis.set(&basis_numbers(&network.basis))?;
        work.references.set(&network.reference_energies)?;
        if !fragments.numbers.is_empty() {
            work.fragments.set(&fragments.numbers)?;
            let scales = fragments.scales.iter().map(|&x| T::from_f64(x));
            work.scales.set(&scales.collect::<Vec<T>>())?;
        }
        if let Some(spans) = &recipe.spans {
            work.span_tables.set(spans, network.blocks.len())?;
        }
        let limits = device.limits();
        let batch = recipe.batch::<T>(limits)?;
        let blocks = 0..network.blocks.len();
        match filters {
            Filters::Exact | Filters::HalfExact => {}
            Filters::Table(tables) => {
                let all = blocks.flat_map(|block| tables.block(block).iter().copied());
                work.tables.set(&all.collect::<Vec<T>>())?;
            }
            Filters::Half(tables) => {
                // As the numbers that the integers stand for: to make those anew for every pair costs a GPU more than to read
                // twice the bytes.
                let all: Vec<T> = blocks
                    .flat_map(|block| tables.block(block).expanded().to_vec())
                    .collect();
                work.tables.set(&all)?;
            }
        }
        let mut engine = Self {
            recipe,
            programs: [None; Regime::ALL.len()],
            batch,
            limits,
            work,
            unlisting: None,
            terms: None,
            mover: None,
            exchanged: Vec::new(),
            fetched: Vec::new(),
            device,
            model,
        };
        // What is missing on this machine shows now and not in the first call.
        engine.program(Regime::Many)?;
        Ok(engine)
    }

    /// Where it computes.
    pub fn device(&self) -> &Arc<dyn Device> {
        &self.device
    }

    /// The program of a regime.
    fn program(&mut self, regime: Regime) -> Result<Program> {
        if let Some(program) = self.programs[regime as usize] {
            return Ok(program);
        }
        let network = super::network(&self.model)?;
        let (text, tuning) = self.recipe.program::<T>(network, self.limits, regime)?;
        let (dense, readout) = (tuning.dense.blocks.bytes, tuning.dense.readout.bytes);
        let rows = tuning.row_shared() as u32;
        let mut kernels = vec![
            (Kernel::Start, 0),
            (Kernel::Geometry, tuning.geometry_shared() as u32),
            (Kernel::Rank, Tuning::RANK_SHARED as u32),
            (Kernel::Receive, rows),
            (Kernel::Send, rows),
            (Kernel::SendVirials, rows),
            (Kernel::Update, dense as u32),
            (Kernel::Descend, dense as u32),
            (Kernel::Readout, readout as u32),
            (Kernel::Collect, 0),
            (Kernel::Total, 0),
        ];
        if tuning.spans > 0 {
            // As much as there is: how much of it a launch has depends on the structures.
            let held = self.limits.shared;
            kernels.extend([
                (Kernel::Deal, 0),
                (Kernel::ReceiveSpans, held),
                (Kernel::SendSpans, held),
                (Kernel::SlopeSpans, held),
                (Kernel::PullSpans, 0),
                (Kernel::OrderNear, tuning.near_order_shared() as u32),
                (Kernel::ReceiveNear, held),
                (Kernel::SendNear, held),
                (Kernel::SlopeNear, held),
            ]);
        }
        if tuning.band_rows > 0 {
            kernels.extend(Mutual::kernels(&tuning));
        }
        let number = self.device.load(&text, &kernels)?;
        let program = Program { number, tuning };
        self.programs[regime as usize] = Some(program);
        Ok(program)
    }
}

impl Recipe {
    /// The recipe, the numbers of the weights, and those for tensor cores.
    fn new<T: CudaReal>(
        network: &Network,
        filters: Filters<T>,
        adjust: fn(&mut Tuning),
    ) -> (Self, Vec<f64>, Fragments) {
        let widths = Widths::new(network, size_of::<T>());
        let half = matches!(filters, Filters::Half(_) | Filters::HalfExact);
        let way = match filters {
            Filters::Exact | Filters::HalfExact
                if size_of::<T>() == 4 && fragments::fits(network) =>
            {
                Way::Tensor
            }
            Filters::Exact | Filters::HalfExact => Way::Exact,
            Filters::Table(tables) => Way::Table(*tables.spacing()),
            Filters::Half(tables) => Way::Table(*tables.spacing()),
        };
        let spans = match filters {
            Filters::Table(tables) => Some((tables.spacing(), tables.bound())),
            Filters::Half(tables) => Some((tables.spacing(), tables.bound())),
            Filters::Exact | Filters::HalfExact => None,
        };
        let spans = spans
            .filter(|_| size_of::<T>() == 4 && spans::width(network.description.filters).is_some())
            .map(|(spacing, bound)| Spans::build(network, spacing, bound))
            .filter(|spans| spans.bounds().len() > 1);
        let network = if half { &rounded(network) } else { network };
        let mut packed = pack(network, Padding(widths.pad));
        let mut fragments = if way == Way::Tensor {
            Fragments::new(network)
        } else {
            Fragments::default()
        };
        let split = size_of::<T>() == 4 && dense_fragments::fits(network, widths);
        if split {
            fragments.add_dense(network);
        }
        packed.declarations += &fragments.declarations;
        let recipe = Self {
            way,
            split,
            spans,
            declarations: packed.declarations,
            widths,
            adjust,
        };
        (recipe, packed.numbers, fragments)
    }

    /// The source for a regime.
    fn program<T: CudaReal>(
        &self,
        network: &Network,
        limits: Limits,
        regime: Regime,
    ) -> Result<(String, Tuning)> {
        let tuning = self.tuning::<T>(limits, regime)?;
        let spans = self.spans.as_ref();
        let text = source(
            network,
            T::NAME,
            self.way,
            &tuning,
            spans,
            &self.declarations,
        );
        Ok((text, tuning))
    }

    fn tuning<T: CudaReal>(&self, limits: Limits, regime: Regime) -> Result<Tuning> {
        let (bytes, spans) = (size_of::<T>(), self.spans.as_ref());
        let on_tensor_cores = (self.split, spans);
        let mut tuning = Tuning::new(
            self.widths,
            bytes,
            self.way,
            on_tensor_cores,
            limits,
            regime,
        )?;
        (self.adjust)(&mut tuning);
        Ok(tuning)
    }

    /// Sizes of structures for which [`Regime::Batch`] is.
    fn batch<T: CudaReal>(&self, limits: Limits) -> Result<Option<RangeInclusive<usize>>> {
        Ok(self.tuning::<T>(limits, Regime::Batch)?.batch(limits))
    }
}

/// How the filters of a network are evaluated.
#[derive(Debug, Clone, Copy)]
pub enum Filters<'a, T> {
    /// By the filter networks.
    Exact,
    /// By the filter networks, with the weights of all layers rounded to 16 bits.
    HalfExact,
    /// From tables.
    Table(&'a Tables<T>),
    /// From tables in 16 bits; the weights of layers are rounded to as many.
    Half(&'a HalfTables<T>),
}

/// The programs of a potential as [`Device::load`] gets them, for tests of the kernels on other architectures than the one at
/// hand.
///
/// # Errors
/// As [`CudaEngine::new`].
pub fn programs<T: CudaReal>(
    network: &Network,
    filters: Filters<T>,
    limits: Limits,
) -> Result<Vec<String>> {
    let (recipe, ..) = Recipe::new(network, filters, |_| ());
    let regimes = Regime::ALL.into_iter();
    regimes
        .filter(|&regime| regime != Regime::Batch || recipe.spans.is_some())
        .map(|regime| Ok(recipe.program::<T>(network, limits, regime)?.0))
        .collect()
}

impl<T: CudaReal> Engine for CudaEngine<T> {
    fn compute(
        &mut self,
        graph: &Graph,
        wanted: Wanted,
        exchange: Option<&mut dyn Exchange>,
        results: &mut Results,
    ) -> Result<()> {
        results.reset(graph, wanted);
        self.compute_in(graph, wanted, exchange, results)
    }

    fn on_device(&mut self) -> Option<&mut dyn OnDevice> {
        Some(self)
    }
}
