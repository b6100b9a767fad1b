//! The one place where an engine is chosen.

use std::sync::Arc;

use super::options::{Device, Filters, Options, Precision};
use super::terms::NoNetwork;
use crate::engine::cpu::{self, CpuEngine, CpuReal};
use crate::engine::{Engine, network};
use crate::filter::Tables;
use crate::model::Model;
use crate::{Error, Result};

/// Error of tables, see [`Tables::bound`], that is less than float32 arithmetic makes itself.
const SINGLE_TOLERANCE: f64 = 5e-7;
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
}

impl Choice {
    pub fn new(model: &Arc<Model>, options: Options) -> Result<Self> {
        if model.network().is_none() {
            return Ok(Self::without_network(options));
        }
        if options.device == Device::Cuda {
            return Err(Error::unsupported(
                "device cuda: this build has no CUDA engine; use device cpu or auto",
            ));
        }
        match options.precision {
            Precision::Double => cpu::<f64>(model, options, DOUBLE_TOLERANCE),
            Precision::Single => cpu::<f32>(model, options, SINGLE_TOLERANCE),
            Precision::Half => Err(Error::unsupported(
                "precision half: no engine has 16-bit weights yet; use single or double",
            )),
        }
    }

    /// Nothing but priors, which are evaluated in float64 by one thread whatever the engine.
    fn without_network(options: Options) -> Self {
        Self {
            engine: Box::new(NoNetwork),
            options: Options {
                device: Device::Cpu,
                precision: Precision::Double,
                filters: Filters::Exact,
                threads: Some(1),
                ..options
            },
            table: None,
        }
    }
}

/// The CPU engine, with tables where they are asked for or keep to `tolerance`.
fn cpu<T: CpuReal>(model: &Arc<Model>, mut options: Options, tolerance: f64) -> Result<Choice> {
    let network = network(model)?;
    let tables = match options.filters {
        Filters::Exact => None,
        Filters::Table => Some(Tables::build(network, tolerance)),
        // float64 is for those who want no approximation.
        Filters::Auto if options.precision == Precision::Double => None,
        Filters::Auto => {
            Some(Tables::build(network, tolerance)).filter(|tables| tables.bound() <= tolerance)
        }
    };
    let table = tables.as_ref().map(|tables| TableInfo {
        intervals: tables.spacing().intervals(),
        bound: tables.bound(),
    });
    let filters = tables.map_or_else(|| cpu::Filters::<T>::exact(network), cpu::Filters::Table);
    let threads = options.threads.unwrap_or_else(default_threads);
    options.device = Device::Cpu;
    options.filters = if table.is_some() {
        Filters::Table
    } else {
        Filters::Exact
    };
    options.threads = Some(threads);
    Ok(Choice {
        engine: Box::new(CpuEngine::new(model.clone(), filters, threads)?),
        options,
        table,
    })
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
