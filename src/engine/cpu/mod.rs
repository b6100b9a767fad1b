//! The CPU engine: float32 or float64, filters tabulated or exact, vectors and threads.
//!
//! A block is one pass over the atoms: gather, filter, multiply and reduce over the pairs of a group of rows,
//! then the atoms' dense layers, then the next block's `in2f`. The backward pass goes by sender: every row gathers what
//! the atoms that hear it give back. Where most atoms of a structure hear each other, pairs are listed once and serve both
//! directions. No two threads ever add to one number, and the result is the same to the bit
//! for any number of threads. Memory: atoms × (filters + features) × blocks, and the pairs; nothing of pairs × channels.

mod edges;
mod found;
mod gather;
mod kernels;
mod partial;
mod parts;
mod passes;
mod per_thread;
mod ragged;
mod readout;
mod rows;
mod search;
mod segments;
mod sorted;
mod tasks;
mod weights;

use std::sync::Arc;

use pulp::Arch;

use self::edges::{Edges, TaskEdges};
use self::found::Found;
use self::kernels::Coefficients;
use self::partial::Partial;
use self::parts::{ByPart, FirstError, Outputs, Part};
use self::passes::Run;
use self::per_thread::PerThread;
use self::readout::Readout;
use self::rows::{Rows as _, TASK_ROWS, for_each_row};
use self::sorted::Sorted;
use self::tasks::{PairTask, TableTask, TileTask};
use self::weights::Weights;
use super::{Engine, Exchange, Graph, Results, Rows, Wanted};
use crate::Result;
use crate::filter::{HalfTables, Tables, Tile, TileFilter, half};
use crate::model::{Model, Network};
use crate::pool::Pool;
use crate::simd::{Aligned, Real};

/// A precision this engine computes in.
pub trait CpuReal: Real {
    /// Rows in this precision, for an exchange.
    fn rows(rows: &mut [Self]) -> Rows<'_>;
}

impl CpuReal for f32 {
    fn rows(rows: &mut [Self]) -> Rows<'_> {
        Rows::F32(rows)
    }
}

impl CpuReal for f64 {
    fn rows(rows: &mut [Self]) -> Rows<'_> {
        Rows::F64(rows)
    }
}

/// How the filters of a network are evaluated.
#[derive(Debug, Clone)]
pub enum Filters<T> {
    /// From tables.
    Table(Tables<T>),
    /// From tables in 16 bits.
    Half(HalfTables<T>),
    /// By the filter networks, one a distinct block.
    Exact(Vec<TileFilter<T>>),
}

impl<T: Real> Filters<T> {
    /// The filter networks of `network`.
    pub fn exact(network: &Network) -> Self {
        Self::Exact(
            (0..network.blocks.len())
                .map(|block| TileFilter::new(network, block))
                .collect(),
        )
    }
}

/// SchNet on the processor.
pub struct CpuEngine<T> {
    model: Arc<Model>,
    weights: Weights<T>,
    readout: Readout<T>,
    filters: Filters<T>,
    pool: Option<Pool>,
    tiles: PerThread<Tile<T>>,
    partial: PerThread<Partial<T>>,
    /// m or dE/dy of a task's rows.
    messages: PerThread<Aligned<T>>,
    /// act(z) or dE/dact(z) of a task's rows.
    activated: PerThread<Aligned<T>>,
    /// act′(z) of a task's rows in the last block.
    slopes: PerThread<Aligned<T>>,
    /// What the readout needs for a task's rows.
    scratch: PerThread<readout::Memory<T>>,
    found: PerThread<Found>,
    arch: Arch,
    sorted: Sorted,
    parts: Vec<Part>,
    /// For parts that all threads share.
    work: Workspace<T>,
    /// For parts that a thread has for itself.
    own_work: PerThread<Workspace<T>>,
}

/// Arrays that live from call to call.
#[derive(Default)]
struct Workspace<T> {
    edges: Edges<T>,
    /// Type of the atom of each row.
    kinds: Vec<u32>,
    /// Features of owned atoms.
    x: Aligned<T>,
    /// yⱼ of every block but the first, all rows. Under the first it depends on the type alone.
    y: Vec<Aligned<T>>,
    /// z = f2out · m + bias, and then act′(z), of every block but the last, owned rows.
    z: Vec<Aligned<T>>,
    /// dE/dx.
    gradient: Aligned<T>,
    /// dE/dm of this block and the one below, all rows.
    g: [Aligned<T>; 2],
    /// dE/dt of pairs, summed over blocks.
    slopes: Vec<T>,
    /// Rows for an exchange, without their padding.
    compact: Vec<T>,
    forces: Vec<[f64; 3]>,
    virials: Vec<[f64; 9]>,
}

impl<T: CpuReal> CpuEngine<T> {
    /// An engine for the network of `model`, with `threads` threads of its own.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] if the model has no network, [`crate::Error::OutOfMemory`] if threads cannot be had.
    pub fn new(model: Arc<Model>, filters: Filters<T>, threads: usize) -> Result<Self> {
        let network = super::network(&model)?;
        let (weights, readout) = (Weights::new(network), Readout::new(network));
        Self::with_weights(model, weights, readout, filters, threads)
    }

    /// The same with weights in 16 bits with a scale for each channel; they are kept as the numbers that these stand for, since
    /// it is in float32 that products are made.
    ///
    /// # Errors
    /// As [`CpuEngine::new`].
    pub fn half(model: Arc<Model>, filters: Filters<T>, threads: usize) -> Result<Self> {
        let network = half::rounded(super::network(&model)?);
        let (weights, readout) = (Weights::new(&network), Readout::new(&network));
        Self::with_weights(model, weights, readout, filters, threads)
    }

    fn with_weights(
        model: Arc<Model>,
        weights: Weights<T>,
        readout: Readout<T>,
        filters: Filters<T>,
        threads: usize,
    ) -> Result<Self> {
        let pool = (threads > 1).then(|| Pool::new(threads)).transpose()?;
        Ok(Self {
            weights,
            readout,
            filters,
            pool,
            tiles: PerThread::new(threads),
            partial: PerThread::new(threads),
            messages: PerThread::new(threads),
            activated: PerThread::new(threads),
            slopes: PerThread::new(threads),
            scratch: PerThread::new(threads),
            found: PerThread::new(threads),
            arch: Arch::new(),
            sorted: Sorted::default(),
            parts: Vec::new(),
            work: Workspace::default(),
            own_work: PerThread::new(threads),
            model,
        })
    }

    /// The graph as it is.
    fn compute_graph(
        &mut self,
        graph: &Graph,
        wanted: Wanted,
        mut exchange: Option<&mut dyn Exchange>,
        results: &mut Results,
    ) -> Result<()> {
        results.reset(graph, wanted);
        // Taken out so that tasks can borrow the engine.
        let mut work = std::mem::take(&mut self.work);
        let mut parts = std::mem::take(&mut self.parts);
        parts::parts(graph, exchange.is_some(), &mut parts);
        let by_part = ByPart {
            parts: &parts,
            outputs: Outputs::new(results),
        };
        let outcome = match &self.pool {
            // One way into the pool and out again. Callbacks, though, are promised the caller's own thread.
            Some(pool) if exchange.is_none() && graph.owned > TASK_ROWS => {
                pool.install(|| self.compute_parts(&mut work, graph, wanted, &mut None, by_part))
            }
            _ => self.compute_parts(&mut work, graph, wanted, &mut exchange, by_part),
        };
        (self.work, self.parts) = (work, parts);
        outcome
    }

    /// All parts: those that are small for a thread each, the others for all threads one after the other.
    fn compute_parts(
        &self,
        work: &mut Workspace<T>,
        graph: &Graph,
        wanted: Wanted,
        exchange: &mut Option<&mut dyn Exchange>,
        mut rest: ByPart,
    ) -> Result<()> {
        let network = super::network(&self.model)?;
        let pool = self.pool.as_deref();
        let alone = |part: &Part| {
            pool.is_some_and(|pool| parts::alone(part, graph, pool.current_num_threads()))
        };
        let run = |part, pool| Run {
            graph,
            part,
            network,
            wanted,
            pool,
        };
        let failed = FirstError::default();
        for alike in rest.parts.chunk_by(|a, b| alone(a) && alone(b)) {
            let (mut some, others) = rest.split(alike.len());
            rest = others;
            if alike.len() == 1 {
                let run = run(&alike[0], pool);
                let outcome = self.compute_part(work, run, exchange, &mut some.outputs);
                failed.note(alike[0].rows.start, outcome);
                continue;
            }
            for_each_row(pool, alike.len(), some, |_, mut one| {
                let part = &one.parts[0];
                let mut work = self.own_work.get();
                let outcome =
                    self.compute_part(&mut work, run(part, None), &mut None, &mut one.outputs);
                failed.note(part.rows.start, outcome);
            });
        }
        failed.into_result()
    }

    /// Runs a task's part over pairs in vector code.
    fn over_pairs(&self, block: usize, edges: TaskEdges<T>, task: impl PairTask<T>) {
        let network = self.model.network().expect("checked in new");
        let distinct = network.distinct(block);
        let table = match &self.filters {
            Filters::Table(tables) => Coefficients::Whole(tables.block(distinct)),
            Filters::Half(tables) => Coefficients::Half(tables.block(distinct)),
            Filters::Exact(filters) => {
                let mut tile = self.tiles.get();
                self.arch.dispatch(TileTask {
                    edges,
                    filter: &filters[distinct],
                    tile: &mut tile,
                    task,
                });
                return;
            }
        };
        self.arch.dispatch(TableTask { edges, table, task });
    }
}

impl<T: CpuReal> Engine for CpuEngine<T> {
    fn compute(
        &mut self,
        graph: &Graph,
        wanted: Wanted,
        exchange: Option<&mut dyn Exchange>,
        results: &mut Results,
    ) -> Result<()> {
        let cutoff = super::network(&self.model)?.description.cutoff;
        let mut sorted = std::mem::take(&mut self.sorted);
        let mut done = false;
        if exchange.is_none() && sorted.update(graph, cutoff) {
            let mut own = std::mem::take(&mut sorted.results);
            let wanted = Sorted::wanted(wanted);
            let outcome = self.compute_graph(&sorted.graph(graph), wanted, None, &mut own);
            sorted.results = own;
            done = outcome.is_ok();
        }
        let outcome = if done {
            sorted.deliver(graph, wanted, results);
            Ok(())
        } else {
            // Also where the above failed, so that the text names atoms by the caller's numbers.
            self.compute_graph(graph, wanted, exchange, results)
        };
        self.sorted = sorted;
        outcome
    }
}
