//! The way through the network and back.

use rayon::ThreadPool;

use super::edges::Edges;
use super::gather::{Terms, passing};
use super::kernels::Features;
use super::parts::{Outputs, Part};
use super::readout::Scratch;
use super::rows::Array;
use super::{CpuEngine, CpuReal, Filters, Workspace};
use crate::Result;
use crate::engine::{Exchange, Graph, Wanted};
use crate::model::{Aggregation, Network};
use crate::simd::{Aligned, Real, padded};

/// What is computed, and by whom.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub graph: &'a Graph<'a>,
    pub part: &'a Part,
    pub network: &'a Network,
    pub wanted: Wanted,
    /// Threads that share this part, if more than the calling one.
    pub pool: Option<&'a ThreadPool>,
}

impl<T: CpuReal> CpuEngine<T> {
    /// Takes a part through the network and back.
    pub(super) fn compute_part(
        &self,
        work: &mut Workspace<T>,
        run: Run,
        exchange: &mut Option<&mut dyn Exchange>,
        outputs: &mut Outputs,
    ) -> Result<()> {
        let Run {
            network,
            part,
            wanted,
            ..
        } = run;
        let spacing = match &self.filters {
            Filters::Table(tables) => Some(tables.spacing()),
            Filters::Half(tables) => Some(tables.spacing()),
            Filters::Exact(_) => None,
        };
        work.edges.update(
            (run.graph, part),
            (
                network.description.cutoff,
                network.description.aggregation == Aggregation::Mean,
            ),
            spacing,
            (self.arch, &self.found),
            run.pool,
        )?;
        self.start(work, run);
        let blocks = network.description.blocks;
        for block in 0..blocks - 1 {
            self.forward(work, run, block);
            if let Some(exchange) = exchange {
                exchange_rows(
                    &mut work.y[block],
                    &mut work.compact,
                    network.description.filters,
                    *exchange,
                )?;
            }
        }
        self.energies(work, run, outputs);
        if wanted.gradients() {
            work.forces.clear();
            work.forces.resize(part.listed, [0.0; 3]);
            work.slopes.resize(work.edges.places(), T::default());
            work.virials.clear();
            let virials = wanted.virials || wanted.atom_virials;
            work.virials
                .resize(if virials { part.listed } else { 0 }, [0.0; 9]);
            for block in (0..blocks).rev() {
                if let Some(exchange) = exchange {
                    exchange_rows(
                        &mut work.g[block % 2],
                        &mut work.compact,
                        network.description.filters,
                        *exchange,
                    )?;
                }
                self.backward(work, run, block);
            }
            collect(work, run, outputs);
        }
        Ok(())
    }

    /// Sizes the workspace.
    fn start(&self, work: &mut Workspace<T>, run: Run) {
        let (features, stride) = widths::<T>(run.network);
        let (rows, owned, blocks) = (
            run.part.rows.len(),
            run.part.owned,
            run.network.description.blocks,
        );
        let size = |buffer: &mut Aligned<T>, length| buffer.resize(length);
        size(&mut work.x, owned * features);
        work.y.resize(blocks - 1, Aligned::default());
        work.z.resize(blocks - 1, Aligned::default());
        work.y.iter_mut().for_each(|y| size(y, rows * stride));
        work.z.iter_mut().for_each(|z| size(z, owned * features));
        size(&mut work.gradient, owned * features);
        for g in &mut work.g {
            size(g, rows * stride);
            // Ghosts that have pairs give nothing back here; what others give comes by an exchange.
            if run.part.listed > owned {
                g[owned * stride..].fill(T::default());
            }
        }
        let (graph, base) = (run.graph, run.part.rows.start);
        let kinds = (0..rows).map(|row| graph.types[graph.atom(base + row)]);
        work.kinds.clear();
        work.kinds.extend(kinds);
    }

    /// y of `block`, of which `above` holds those of the second and of later ones.
    fn y<'a>(
        &'a self,
        kinds: &'a [u32],
        above: &'a [Aligned<T>],
        (block, stride): (usize, usize),
    ) -> Features<'a, T> {
        match block.checked_sub(1) {
            None => Features {
                data: &self.weights.first_y,
                stride,
                kinds: Some(kinds),
            },
            Some(place) => Features {
                data: &above[place],
                stride,
                kinds: None,
            },
        }
    }

    /// Takes features through a block that is not the last, and on to y of the next.
    fn forward(&self, work: &mut Workspace<T>, run: Run, block: usize) {
        let (features, stride) = widths::<T>(run.network);
        let next = &self.weights.blocks[run.network.distinct(block + 1)].in2f;
        let (y, y_next) = work.y.split_at_mut(block);
        let y = self.y(&work.kinds, y, (block, stride));
        let others = (
            Array::new(&mut work.z[block], features),
            Array::new(&mut work.x, features),
            Array::new(&mut y_next[0][..run.part.owned * stride], stride),
        );
        let (edges, kinds) = (&work.edges, &work.kinds);
        self.gather(
            (run.pool, block),
            edges,
            edges.owned(run.part),
            Terms::Messages { y },
            (passing(stride), &mut [], others),
            |first, count, m, (z, x, y_next)| {
                let place = (block, first, count);
                self.interaction(run.network, edges, kinds, place, m, z.data, x.data);
                next.apply(count, x.data, features, y_next.data, stride, false);
            },
        );
    }

    /// Takes features of a task's rows through a block, from sums of messages on; leaves act′(z) in `z`.
    #[allow(clippy::too_many_arguments)]
    fn interaction(
        &self,
        network: &Network,
        edges: &Edges<T>,
        kinds: &[u32],
        (block, first, count): (usize, usize, usize),
        m: &mut [T],
        z: &mut [T],
        x: &mut [T],
    ) {
        let (features, stride) = widths::<T>(network);
        let weights = &self.weights.blocks[network.distinct(block)];
        if network.description.aggregation == Aggregation::Mean {
            average(edges, first, count, &mut Array::new(m, stride));
        }
        weights.f2out.apply(count, m, stride, z, features, false);
        let mut a = self.activated.get();
        a.resize(count * features);
        let activation = network.description.activation;
        activation.apply_keeping_slope(self.arch, &mut z[..count * features], &mut a);
        if block == 0 {
            let rows = x.chunks_exact_mut(features).zip(&kinds[first..][..count]);
            for (row, &kind) in rows {
                row.copy_from_slice(
                    &self.weights.embedding[kind as usize * features..][..features],
                );
            }
        }
        weights.dense.apply(count, &a, features, x, features, true);
    }

    /// The last block, energies, dE/dx, and dE/dm of the last block.
    fn energies(&self, work: &mut Workspace<T>, run: Run, outputs: &mut Outputs) {
        let Run {
            graph,
            part,
            network,
            wanted,
            pool,
        } = run;
        let description = &network.description;
        let (features, stride) = widths::<T>(network);
        let last = description.blocks - 1;
        let others = (
            Array::new(outputs.atom_energies.data, 1),
            Array::new(&mut work.x, features),
            Array::new(&mut work.gradient, features),
            Array::new(&mut work.g[last % 2][..part.owned * stride], stride),
        );
        let (edges, kinds) = (&work.edges, &work.kinds);
        let y = self.y(kinds, &work.y, (last, stride));
        self.gather(
            (pool, last),
            edges,
            edges.owned(part),
            Terms::Messages { y },
            (passing(stride), &mut [], others),
            |first, count, m, (mut energies, x, gradient, mut g)| {
                let mut slopes = self.slopes.get();
                slopes.resize(count * features);
                let place = (last, first, count);
                self.interaction(network, edges, kinds, place, m, &mut slopes, x.data);
                let mut own = self.scratch.get();
                let mut scratch = Scratch::new(&self.readout, count, &mut own);
                let structure =
                    |atom: usize| graph.structures.partition_point(|&start| start <= atom) - 1;
                let weight = |row: usize| match description.energy_aggregation {
                    Aggregation::Sum => 1.0,
                    Aggregation::Mean => {
                        let s = structure(part.rows.start + row);
                        1.0 / (graph.structures[s + 1] - graph.structures[s]) as f64
                    }
                };
                self.readout.evaluate(
                    self.arch,
                    count,
                    (x.data, features),
                    &mut scratch,
                    (&mut gradient.data[..count * features], features),
                    |row, output| {
                        let kind = graph.types[part.rows.start + first + row];
                        let reference = network.reference_energies[kind as usize];
                        energies.row(row)[0] = weight(first + row)
                            * (description.scale * output + description.shift + reference);
                    },
                );
                if wanted.gradients() {
                    for row in 0..count {
                        let scale = T::from_f64(weight(first + row) * description.scale);
                        gradient.data[row * features..(row + 1) * features]
                            .iter_mut()
                            .for_each(|g| *g = g.times(scale));
                    }
                    self.message_gradient(
                        network,
                        last,
                        edges,
                        (first, count),
                        gradient.data,
                        &slopes,
                        &mut g,
                    );
                }
            },
        );
        for (energy, rows) in outputs.energies.data.iter_mut().zip(part.structures(graph)) {
            *energy = outputs.atom_energies.data[rows].iter().sum();
        }
    }

    /// dE/dm of `block` from dE/dx above it.
    #[allow(clippy::too_many_arguments)]
    fn message_gradient(
        &self,
        network: &Network,
        block: usize,
        edges: &Edges<T>,
        (first, count): (usize, usize),
        gradient: &[T],
        slopes: &[T],
        g: &mut Array<T>,
    ) {
        let (features, _) = widths::<T>(network);
        let weights = &self.weights.blocks[network.distinct(block)];
        let mut a = self.activated.get();
        a.resize(count * features);
        weights
            .dense
            .apply_transposed(count, gradient, features, &mut a, features, false);
        self.arch
            .dispatch(|| multiply(&mut a, &slopes[..count * features]));
        weights
            .f2out
            .apply_transposed(count, &a, features, g.data, g.stride, false);
        if network.description.aggregation == Aggregation::Mean {
            average(edges, first, count, g);
        }
    }

    /// Takes dE/dx above a block to dE/dx below it and dE/dm of the block below; adds the block's forces and virials.
    fn backward(&self, work: &mut Workspace<T>, run: Run, block: usize) {
        let (network, passes) = (run.network, (run.pool, block));
        let (features, stride) = widths::<T>(network);
        let below = block > 0;
        let in2f = &self.weights.blocks[network.distinct(block)].in2f;
        let [even, odd] = &mut work.g;
        let (g, g_below) = if block.is_multiple_of(2) {
            (&*even, odd)
        } else {
            (&*odd, even)
        };
        let y = self.y(&work.kinds, &work.y, (block, stride));
        let g = Features {
            data: g,
            stride,
            kinds: None,
        };
        let edges = &work.edges;
        let virials = !work.virials.is_empty();
        let slopes = &mut work.slopes[..];
        let terms = Terms::Gradients {
            y,
            g,
            above: block + 1 < network.description.blocks,
            below,
            virials,
        };
        let sums = (
            Array::new(&mut [][..], stride),
            Array::new(&mut work.forces, 1),
            Array::new(&mut work.virials, 1),
        );
        if !below {
            // x⁰ does not depend on positions: nothing further down needs a gradient.
            self.gather(
                passes,
                edges,
                edges.segments(),
                terms,
                (sums, slopes, ()),
                |_, _, _, ()| {},
            );
            return;
        }
        let dense = |first: usize, count: usize, y_gradient: &mut [T], arrays: DenseArrays<T>| {
            let (gradient, slopes, mut g) = arrays;
            in2f.apply_transposed(count, y_gradient, stride, gradient.data, features, true);
            self.message_gradient(
                network,
                block - 1,
                edges,
                (first, count),
                gradient.data,
                slopes.data,
                &mut g,
            );
        };
        let owned = (
            Array::new(&mut work.gradient, features),
            Array::new(&mut work.z[block - 1], features),
            Array::new(&mut g_below[..run.part.owned * stride], stride),
        );
        // Ghosts have no pairs here: with a block below they are folded, or there is an exchange.
        let arrays = (sums, slopes, owned);
        self.gather(passes, edges, edges.segments(), terms, arrays, dense);
    }
}

/// dE/dx; act′(z); dE/dm of owned rows.
type DenseArrays<'a, T> = (Array<'a, T>, Array<'a, T>, Array<'a, T>);

/// Distance of rows of features, and of rows of filters.
fn widths<T>(network: &Network) -> (usize, usize) {
    (
        padded::<T>(network.description.features),
        padded::<T>(network.description.filters),
    )
}

/// rows ∘ factors, in place.
#[inline(always)]
fn multiply<T: Real>(rows: &mut [T], factors: &[T]) {
    rows.iter_mut()
        .zip(factors)
        .for_each(|(value, &factor)| *value = value.times(factor));
}

/// Rows divided by their number of pairs.
fn average<T: Real>(edges: &Edges<T>, first: usize, count: usize, rows: &mut Array<T>) {
    for row in 0..count {
        let weight = T::from_f64(1.0 / edges.neighbors(first + row).max(1) as f64);
        rows.row(row)
            .iter_mut()
            .for_each(|value| *value = value.times(weight));
    }
}

/// Lets a host exchange rows, which are padded here and are not there.
fn exchange_rows<T: CpuReal>(
    rows: &mut [T],
    compact: &mut Vec<T>,
    filters: usize,
    exchange: &mut dyn Exchange,
) -> Result<()> {
    let stride = padded::<T>(filters);
    if stride == filters {
        return exchange.forward(T::rows(rows), filters);
    }
    compact.clear();
    compact.extend(rows.chunks_exact(stride).flat_map(|row| &row[..filters]));
    exchange.forward(T::rows(compact), filters)?;
    for (row, compact) in rows
        .chunks_exact_mut(stride)
        .zip(compact.chunks_exact(filters))
    {
        row[..filters].copy_from_slice(compact);
    }
    Ok(())
}

/// Forces and virials of rows to where the caller reads them.
fn collect<T>(work: &Workspace<T>, run: Run, outputs: &mut Outputs) {
    let Run { wanted, part, .. } = run;
    if wanted.forces {
        outputs.forces.data[..work.forces.len()].copy_from_slice(&work.forces);
    }
    if wanted.atom_virials {
        outputs.atom_virials.data[..work.virials.len()].copy_from_slice(&work.virials);
    }
    if wanted.virials {
        let virials = outputs.virials.data.iter_mut();
        for (virial, rows) in virials.zip(part.structures(run.graph)) {
            // Ghosts belong to the one structure that has them, the last.
            let end = match rows.end == part.owned {
                true => work.virials.len(),
                false => rows.end,
            };
            for row in &work.virials[rows.start..end] {
                virial
                    .iter_mut()
                    .zip(row)
                    .for_each(|(sum, share)| *sum += share);
            }
        }
    }
}
