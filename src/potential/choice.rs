//! The one place where an engine is chosen.

use std::sync::Arc;

use super::options::{Device, Filters, Options, Precision};
use super::terms::NoNetwork;
use crate::Result;
use crate::engine::cpu::{self, CpuEngine, CpuReal};
use crate::engine::cuda::{self, CudaEngine, CudaReal, Gpu};
use crate::engine::{Engine, network};
use crate::filter::{HalfTables, Tables, half};
use crate::model::{Model, Network};

/// Error of tables, see [`Tables::bound`], that is less than float32 arithmetic makes itself.
const SINGLE_TOLERANCE: f64 = 5e-7;
/// Likewise, less than rounding to 16 bits makes.
const HALF_TOLERANCE: f64 = 1e-5;
/// The least error that tables reach in float64 with a few thousand knots.
const DOUBLE_TOLERANCE: f64 = 1e-10;

/// The tables of a potential.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TableInfo {
    /// Number of intervals.
    pub intervals: usize,
    /// Their error, as [`Tables::bound`] defines it.
    pub bound: f64,
}

/// An engine, and the options with every `Auto` replaced by what was chosen.
pub(super) struct Choice {
    pub engine: Box<dyn Engine>,
    pub options: Options,
    pub table: Option<TableInfo>,
    /// What `auto` decided against, and why; a sentence each.
    pub notes: Vec<String>,
}

impl Choice {
    pub fn new(model: &Arc<Model>, options: Options) -> Result<Self> {
        if model.network().is_none() {
            return Ok(Self::without_network(options));
        }
        match options.device {
            Device::Cpu => on_cpu(model, options),
            Device::Cuda => on_gpu(model, options),
            Device::Auto => on_gpu(model, options).or_else(|reason| {
                let mut choice = on_cpu(model, options)?;
                choice.notes.insert(0, format!("no GPU: {reason}"));
                Ok(choice)
            }),
        }
    }

    /// Nothing but priors, which are evaluated in float64 whatever the engine.
    fn without_network(options: Options) -> Self {
        Self {
            engine: Box::new(NoNetwork),
            options: Options {
                device: Device::Cpu,
                precision: Precision::Double,
                filters: Filters::Exact,
                threads: Some(options.threads.unwrap_or_else(default_threads)),
                ..options
            },
            table: None,
            notes: Vec::new(),
        }
    }
}

fn on_cpu(model: &Arc<Model>, options: Options) -> Result<Choice> {
    match options.precision {
        Precision::Double => cpu::<f64>(model, options, DOUBLE_TOLERANCE),
        Precision::Single => cpu::<f32>(model, options, SINGLE_TOLERANCE),
        Precision::Half => half_on_cpu(model, options),
    }
}

fn on_gpu(model: &Arc<Model>, options: Options) -> Result<Choice> {
    match options.precision {
        Precision::Double => cuda::<f64>(model, options, DOUBLE_TOLERANCE),
        Precision::Single => cuda::<f32>(model, options, SINGLE_TOLERANCE),
        Precision::Half => half_on_gpu(model, options),
    }
}

/// The CPU engine.
fn cpu<T: CpuReal>(model: &Arc<Model>, mut options: Options, tolerance: f64) -> Result<Choice> {
    let network = network(model)?;
    let (tables, notes) = tables(network, options, tolerance);
    let info = tables.as_ref().map(TableInfo::of);
    let filters = tables.map_or_else(|| cpu::Filters::<T>::exact(network), cpu::Filters::Table);
    let threads = options.threads.unwrap_or_else(default_threads);
    options.threads = Some(threads);
    let engine = Box::new(CpuEngine::new(model.clone(), filters, threads)?);
    Ok(Choice::made(engine, Device::Cpu, options, info, notes))
}

/// The CPU engine in float32, with tables and weights in 16 bits.
fn half_on_cpu(model: &Arc<Model>, mut options: Options) -> Result<Choice> {
    let network = network(model)?;
    let (tables, info, notes) = half_tables(network, options);
    let filters = tables.map_or_else(
        || cpu::Filters::exact(&half::rounded(network)),
        cpu::Filters::Half,
    );
    let threads = options.threads.unwrap_or_else(default_threads);
    options.threads = Some(threads);
    let engine = Box::new(CpuEngine::half(model.clone(), filters, threads)?);
    Ok(Choice::made(engine, Device::Cpu, options, info, notes))
}

/// The CUDA engine, on the GPU of this process.
fn cuda<T: CudaReal + CpuReal>(
    model: &Arc<Model>,
    options: Options,
    tolerance: f64,
) -> Result<Choice> {
    let network = network(model)?;
    let gpu = Gpu::new()?;
    let (tables, notes) = tables::<T>(network, options, tolerance);
    let info = tables.as_ref().map(TableInfo::of);
    let filters = tables
        .as_ref()
        .map_or(cuda::Filters::Exact, cuda::Filters::Table);
    with_gpu(model, options, (gpu, filters), info, notes)
}

/// The same in float32, with tables and weights in 16 bits.
fn half_on_gpu(model: &Arc<Model>, options: Options) -> Result<Choice> {
    let network = network(model)?;
    let gpu = Gpu::new()?;
    let (tables, info, notes) = half_tables(network, options);
    let filters = tables
        .as_ref()
        .map_or(cuda::Filters::HalfExact, cuda::Filters::Half);
    with_gpu(model, options, (gpu, filters), info, notes)
}

fn with_gpu<T: CudaReal>(
    model: &Arc<Model>,
    mut options: Options,
    (gpu, filters): (Gpu, cuda::Filters<T>),
    info: Option<TableInfo>,
    notes: Vec<String>,
) -> Result<Choice> {
    // All of the work is the GPU's.
    options.threads = Some(options.threads.unwrap_or(1));
    let engine = Box::new(CudaEngine::new(model.clone(), filters, Box::new(gpu))?);
    Ok(Choice::made(engine, Device::Cuda, options, info, notes))
}

/// Tables in 16 bits, what they are, and as [`tables`].
fn half_tables(
    network: &Network,
    options: Options,
) -> (Option<HalfTables<f32>>, Option<TableInfo>, Vec<String>) {
    let (tables, notes) = tables::<f32>(network, options, HALF_TOLERANCE);
    let tables = tables.map(|tables| HalfTables::new(network, &tables));
    let info = tables.as_ref().map(|tables| TableInfo {
        intervals: tables.spacing().intervals(),
        bound: tables.bound(),
    });
    (tables, info, notes)
}

/// Tables where they are asked for or keep to `tolerance`; and what there is to say if `auto` does not take them for that.
fn tables<T: CpuReal>(
    network: &Network,
    options: Options,
    tolerance: f64,
) -> (Option<Tables<T>>, Vec<String>) {
    // float64 is for those who want no approximation.
    let precise = options.precision == Precision::Double;
    if options.filters == Filters::Exact || options.filters == Filters::Auto && precise {
        return (None, Vec::new());
    }
    let tables = Tables::build(network, tolerance);
    if options.filters == Filters::Table || tables.bound() <= tolerance {
        return (Some(tables), Vec::new());
    }
    let note = format!(
        "filters are evaluated exactly, which is slower: tables of {} intervals would be off by {:.1e}, more than {tolerance:.0e}",
        tables.spacing().intervals(),
        tables.bound(),
    );
    (None, vec![note])
}

impl TableInfo {
    fn of<T: CpuReal>(tables: &Tables<T>) -> Self {
        Self {
            intervals: tables.spacing().intervals(),
            bound: tables.bound(),
        }
    }
}

impl Choice {
    fn made(
        engine: Box<dyn Engine>,
        device: Device,
        mut options: Options,
        table: Option<TableInfo>,
        notes: Vec<String>,
    ) -> Self {
        options.device = device;
        options.filters = if table.is_some() {
            Filters::Table
        } else {
            Filters::Exact
        };
        Self {
            engine,
            options,
            table,
            notes,
        }
    }
}

/// `OMP_NUM_THREADS` if it is a number, else what the machine offers this process.
fn default_threads() -> usize {
    let available = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::env::var("OMP_NUM_THREADS")
        .ok()
        .and_then(|text| text.split(',').next()?.trim().parse().ok())
        .filter(|&threads| threads > 0)
        .unwrap_or_else(available)
}
