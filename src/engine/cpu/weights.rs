//! The weights of a network, rounded once to the engine's precision.

use crate::filter::Layer;
use crate::model::Network;
use crate::simd::{Aligned, Real, padded};

/// One interaction block without its filter.
#[derive(Debug, Clone)]
pub(super) struct Block<T> {
    pub in2f: Layer<T>,
    pub f2out: Layer<T>,
    pub dense: Layer<T>,
}

/// All of a network but the filters.
#[derive(Debug, Clone)]
pub(super) struct Weights<T> {
    /// Rows padded.
    pub embedding: Aligned<T>,
    /// in2f of block 0 applied to the embedding: y⁰ of every type, rows padded.
    pub first_y: Aligned<T>,
    pub blocks: Vec<Block<T>>,
}

impl<T: Real> Weights<T> {
    pub fn new(network: &Network) -> Self {
        let features = network.description.features;
        let (width, stride) = (
            padded::<T>(features),
            padded::<T>(network.description.filters),
        );
        let types = network.embedding.len() / features;
        let mut embedding = Aligned::zeros(types * width);
        for (to, from) in embedding
            .chunks_exact_mut(width)
            .zip(network.embedding.chunks_exact(features))
        {
            to.iter_mut()
                .zip(from)
                .for_each(|(to, &from)| *to = T::from_f64(from));
        }
        let blocks: Vec<Block<T>> = network
            .blocks
            .iter()
            .map(|block| Block {
                in2f: Layer::new(&block.in2f),
                f2out: Layer::new(&block.f2out),
                dense: Layer::new(&block.dense),
            })
            .collect();
        let mut first_y = Aligned::zeros(types * stride);
        blocks[0]
            .in2f
            .apply(types, &embedding, width, &mut first_y, stride, false);
        Self {
            embedding,
            first_y,
            blocks,
        }
    }
}
