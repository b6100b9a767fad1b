//! The reference engine: SchNet in float64, written as the equations are, by which every other engine
//! is judged.
//!
//! Schütt et al., J. Chem. Phys. 148, 241722 (2018), in the notation of `docs/model-format.md`. Speed is no
//! aim here, but memory is: nothing of size pairs × channels exists.

mod dense;
mod pairs;

use std::sync::Arc;

use self::dense::{affine, readout, transposed};
use self::pairs::{Pair, for_each_receiver};
use super::{Engine, Exchange, Graph, Results, Rows, Wanted};
use crate::Result;
use crate::filter::ExactFilter;
use crate::model::{Aggregation, Model, Network};

/// SchNet in float64.
pub struct ReferenceEngine {
    model: Arc<Model>,
}

impl ReferenceEngine {
    /// An engine for the network of `model`.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] if the model has no network.
    pub fn new(model: Arc<Model>) -> Result<Self> {
        super::network(&model)?;
        Ok(Self { model })
    }
}

/// What the backward pass needs of the forward pass of one block.
struct BlockTrace {
    /// yⱼ = in2f · xⱼ, all rows.
    y: Vec<Vec<f64>>,
    /// f2out · mᵢ + bias, before the activation.
    z: Vec<Vec<f64>>,
    /// What mᵢ is multiplied by.
    weights: Vec<f64>,
}

impl Engine for ReferenceEngine {
    fn compute(
        &mut self,
        graph: &Graph,
        wanted: Wanted,
        mut exchange: Option<&mut dyn Exchange>,
        results: &mut Results,
    ) -> Result<()> {
        let network = super::network(&self.model)?;
        results.reset(graph, wanted);

        let mut x: Vec<Vec<f64>> = (0..graph.feature_rows())
            .map(|row| embedding(network, graph.types[graph.atom(row)]))
            .collect();
        let mut traces = Vec::with_capacity(network.description.blocks);
        for block in 0..network.description.blocks {
            traces.push(forward(network, block, graph, &mut x, &mut exchange)?);
        }

        let mut gradient = energies(network, graph, &x[..graph.owned], results);

        if wanted.gradients() {
            for (block, trace) in traces.iter().enumerate().rev() {
                backward(
                    network,
                    block,
                    trace,
                    graph,
                    &mut gradient,
                    &mut exchange,
                    results,
                )?;
            }
        }
        Ok(())
    }
}

/// x⁰ of a type.
fn embedding(network: &Network, row: u32) -> Vec<f64> {
    let features = network.description.features;
    network.embedding[row as usize * features..][..features].to_vec()
}

/// Adds the update of one block to `x`.
fn forward(
    network: &Network,
    block: usize,
    graph: &Graph,
    x: &mut [Vec<f64>],
    exchange: &mut Option<&mut dyn Exchange>,
) -> Result<BlockTrace> {
    let (weights, activation) = (network.block(block), network.description.activation);
    let filters = network.description.filters;

    let mut y: Vec<Vec<f64>> = x.iter().map(|x| affine(&weights.in2f, x)).collect();
    // The features of block 0 follow from the types, which ghosts have.
    if let Some(exchange) = exchange.as_mut().filter(|_| block > 0) {
        let mut rows = y.concat();
        exchange.forward(Rows::F64(&mut rows), filters)?;
        y = rows.chunks(filters).map(<[f64]>::to_vec).collect();
    }

    let mut filter = ExactFilter::new(network, block);
    let mut z = Vec::with_capacity(graph.owned);
    let mut message_weights = Vec::with_capacity(graph.owned);
    for_each_receiver(graph, network.description.cutoff, |_, i, pairs| {
        let mut m = vec![0.0; filters];
        for pair in pairs {
            for ((m, y), (w, _)) in m
                .iter_mut()
                .zip(&y[pair.source])
                .zip(filter.evaluate(pair.distance))
            {
                *m += y * w;
            }
        }
        let weight = message_weight(network, pairs);
        m.iter_mut().for_each(|m| *m *= weight);

        let zi = affine(&weights.f2out, &m);
        let activated: Vec<f64> = zi.iter().map(|&z| activation.value(z)).collect();
        for (x, update) in x[i].iter_mut().zip(affine(&weights.dense, &activated)) {
            *x += update;
        }
        z.push(zi);
        message_weights.push(weight);
    })?;
    Ok(BlockTrace {
        y,
        z,
        weights: message_weights,
    })
}

/// 1, or 1 / |N(i)| where messages are averaged.
fn message_weight(network: &Network, pairs: &[Pair]) -> f64 {
    match network.description.aggregation {
        Aggregation::Sum => 1.0,
        Aggregation::Mean => 1.0 / pairs.len().max(1) as f64,
    }
}

/// Energies of atoms and structures from final features; returns dE/dx of each owned atom.
fn energies(
    network: &Network,
    graph: &Graph,
    x: &[Vec<f64>],
    results: &mut Results,
) -> Vec<Vec<f64>> {
    let description = &network.description;
    let mut gradients = Vec::with_capacity(x.len());
    for (structure, bounds) in graph.structures.windows(2).enumerate() {
        let weight = match description.energy_aggregation {
            Aggregation::Sum => 1.0,
            Aggregation::Mean => 1.0 / (bounds[1] - bounds[0]).max(1) as f64,
        };
        for (i, x) in x.iter().enumerate().take(bounds[1]).skip(bounds[0]) {
            let (output, mut gradient) =
                readout(&network.readout, description.readout_activation(), x);
            let reference = network.reference_energies[graph.types[i] as usize];
            let energy = weight * (description.scale * output + description.shift + reference);
            results.atom_energies[i] = energy;
            results.energies[structure] += energy;
            gradient
                .iter_mut()
                .for_each(|g| *g *= weight * description.scale);
            gradients.push(gradient);
        }
    }
    gradients
}

/// Takes dE/dx after a block to dE/dx before it, and adds the block's share of forces and virials.
fn backward(
    network: &Network,
    block: usize,
    trace: &BlockTrace,
    graph: &Graph,
    gradient: &mut [Vec<f64>],
    exchange: &mut Option<&mut dyn Exchange>,
    results: &mut Results,
) -> Result<()> {
    let (weights, activation) = (network.block(block), network.description.activation);
    let filters = network.description.filters;

    // dE/dmᵢ through dense, activation and f2out; zero for other domains' atoms unless these tell.
    let mut m_gradient = vec![vec![0.0; filters]; graph.feature_rows()];
    for (i, m_gradient) in m_gradient.iter_mut().enumerate().take(graph.owned) {
        let mut g = transposed(&weights.dense, &gradient[i]);
        for (g, &z) in g.iter_mut().zip(&trace.z[i]) {
            *g *= activation.derivative(z);
        }
        *m_gradient = transposed(&weights.f2out, &g);
        m_gradient.iter_mut().for_each(|g| *g *= trace.weights[i]);
    }
    if let Some(exchange) = exchange.as_mut() {
        let mut rows = m_gradient.concat();
        exchange.forward(Rows::F64(&mut rows), filters)?;
        m_gradient = rows.chunks(filters).map(<[f64]>::to_vec).collect();
    }

    let exchanged = exchange.is_some();
    let mut filter = ExactFilter::new(network, block);
    let mut y_gradient = vec![vec![0.0; filters]; graph.feature_rows()];
    for_each_receiver(graph, network.description.cutoff, |structure, i, pairs| {
        for pair in pairs {
            let j = pair.source;
            let mut slope = 0.0; // dE/drᵢⱼ of both directions, or of what i hears
            for (channel, (w, dw)) in filter.evaluate(pair.distance).iter().enumerate() {
                let g = m_gradient[i][channel];
                slope += g * trace.y[j][channel] * dw;
                if exchanged {
                    // Whoever j is of has this pair, too, and adds up what is j's.
                    let g = m_gradient[j][channel];
                    y_gradient[i][channel] += g * w;
                    slope += g * trace.y[i][channel] * dw;
                } else {
                    y_gradient[j][channel] += g * w;
                }
            }
            add_pair_forces(pair, (structure, !exchanged), slope, results);
        }
    })?;

    // x⁰ does not depend on positions: below block 0 nothing needs a gradient.
    if block == 0 {
        return Ok(());
    }
    for (gradient, y_gradient) in gradient.iter_mut().zip(&y_gradient) {
        for (gradient, g) in gradient
            .iter_mut()
            .zip(transposed(&weights.in2f, y_gradient))
        {
            *gradient += g;
        }
    }
    Ok(())
}

/// Forces and virials of one pair with dE/dr = `slope`: those of the receiver, and of the sender if these are for this graph
/// to tell.
fn add_pair_forces(
    pair: &Pair,
    (structure, both): (usize, bool),
    slope: f64,
    results: &mut Results,
) {
    let scale = slope / pair.distance;
    let gradient = pair.vector.map(|component| scale * component); // dE/d(vector)
    let ends = [(pair.i, 1.0), (pair.source, -1.0)];
    for (atom, sign) in ends.into_iter().take(if both { 2 } else { 1 }) {
        if !results.forces.is_empty() {
            for (axis, g) in gradient.iter().enumerate() {
                results.forces[atom][axis] += sign * g;
            }
        }
        for (a, g) in gradient.iter().enumerate() {
            for (b, r) in pair.vector.iter().enumerate() {
                let half = -0.5 * g * r;
                if !results.virials.is_empty() {
                    results.virials[structure][3 * a + b] += half;
                }
                if !results.atom_virials.is_empty() {
                    results.atom_virials[atom][3 * a + b] += half;
                }
            }
        }
    }
}
