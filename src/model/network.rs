//! The weights of a SchNet in memory, in float64, shapes checked.

use super::description::{BasisDescription, NetworkDescription};
use super::tensors::Tensors;
use crate::Result;

/// An affine map `y = weight · x + bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Width of y.
    pub outputs: usize,
    /// Width of x.
    pub inputs: usize,
    /// Row-major, `outputs × inputs`.
    pub weight: Vec<f64>,
    /// `outputs` numbers, or none.
    pub bias: Option<Vec<f64>>,
}

/// One interaction block.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Features to filters, without bias.
    pub in2f: Dense,
    /// Layers of the filter network; the activation stands between them.
    pub filter: Vec<Dense>,
    /// Filters to features, before the activation.
    pub f2out: Dense,
    /// Features to features, after the activation.
    pub dense: Dense,
}

/// Radial basis with its numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Basis {
    /// exp(−(r − c)² / (2 w²))
    Gaussian {
        /// Centres c.
        centers: Vec<f64>,
        /// Widths w.
        widths: Vec<f64>,
    },
    /// exp(−β (exp(−α (r − r₀)) − μ)²)
    ExponentialNormal {
        /// α
        alpha: f64,
        /// r₀
        start: f64,
        /// μ
        means: Vec<f64>,
        /// β
        betas: Vec<f64>,
    },
    /// sin(f r) / r
    Bessel {
        /// f
        frequencies: Vec<f64>,
    },
}

/// A SchNet: description and weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// The architecture.
    pub description: NetworkDescription,
    /// Initial features, row-major, `types × features`.
    pub embedding: Vec<f64>,
    /// Radial basis.
    pub basis: Basis,
    /// Distinct blocks: one if they are shared.
    pub blocks: Vec<Block>,
    /// Layers of the readout; the activation stands between them.
    pub readout: Vec<Dense>,
    /// One energy a type: zeros if the file has none.
    pub reference_energies: Vec<f64>,
}

impl Network {
    /// Weights of interaction block `index`.
    pub fn block(&self, index: usize) -> &Block {
        &self.blocks[self.distinct(index)]
    }

    /// Which of the distinct blocks interaction block `index` is.
    pub fn distinct(&self, index: usize) -> usize {
        if self.description.shared_blocks {
            0
        } else {
            index
        }
    }

    pub(super) fn read(
        description: &NetworkDescription,
        types: usize,
        tensors: &mut Tensors,
    ) -> Result<Self> {
        let features = description.features;
        let distinct = if description.shared_blocks {
            1
        } else {
            description.blocks
        };
        Ok(Self {
            embedding: tensors.floats("embedding", &[types, features])?,
            basis: read_basis(&description.basis, tensors)?,
            blocks: (0..distinct)
                .map(|block| read_block(description, block, tensors))
                .collect::<Result<_>>()?,
            readout: read_mlp(
                (&description.readout.hidden, &description.readout.bias),
                features,
                1,
                "readout",
                tensors,
            )?,
            reference_energies: if description.reference_energies {
                tensors.floats("reference_energies", &[types])?
            } else {
                vec![0.0; types]
            },
            description: description.clone(),
        })
    }
}

fn read_basis(basis: &BasisDescription, tensors: &mut Tensors) -> Result<Basis> {
    let size = [basis.size()];
    match *basis {
        BasisDescription::Gaussian { .. } => {
            let centers = tensors.floats("basis.centers", &size)?;
            let widths = tensors.floats("basis.widths", &size)?;
            if let Some(k) = widths.iter().position(|&width| width <= 0.0) {
                return Err(tensors.error(
                    "basis.widths",
                    format!("element {k} is {}, must be positive", widths[k]),
                ));
            }
            Ok(Basis::Gaussian { centers, widths })
        }
        BasisDescription::ExponentialNormal { alpha, start, .. } => {
            let means = tensors.floats("basis.means", &size)?;
            let betas = tensors.floats("basis.betas", &size)?;
            if let Some(k) = betas.iter().position(|&beta| beta < 0.0) {
                return Err(tensors.error(
                    "basis.betas",
                    format!("element {k} is {}, must not be negative", betas[k]),
                ));
            }
            Ok(Basis::ExponentialNormal {
                alpha,
                start,
                means,
                betas,
            })
        }
        BasisDescription::Bessel { .. } => Ok(Basis::Bessel {
            frequencies: tensors.floats("basis.frequencies", &size)?,
        }),
    }
}

fn read_block(network: &NetworkDescription, block: usize, tensors: &mut Tensors) -> Result<Block> {
    let (features, filters) = (network.features, network.filters);
    let at = |part: &str| format!("blocks.{block}.{part}");
    Ok(Block {
        in2f: read_dense(&at("in2f"), filters, features, false, tensors)?,
        filter: read_mlp(
            (&network.filter_network.hidden, &network.filter_network.bias),
            network.basis.size(),
            filters,
            &at("filter"),
            tensors,
        )?,
        f2out: read_dense(&at("f2out"), features, filters, true, tensors)?,
        dense: read_dense(&at("dense"), features, features, true, tensors)?,
    })
}

fn read_mlp(
    (hidden, bias): (&[usize], &[bool]),
    inputs: usize,
    outputs: usize,
    name: &str,
    tensors: &mut Tensors,
) -> Result<Vec<Dense>> {
    let mut inputs = inputs;
    let widths = hidden.iter().copied().chain([outputs]);
    widths
        .zip(bias)
        .enumerate()
        .map(|(layer, (width, &bias))| {
            let dense = read_dense(&format!("{name}.{layer}"), width, inputs, bias, tensors)?;
            inputs = width;
            Ok(dense)
        })
        .collect()
}

fn read_dense(
    name: &str,
    outputs: usize,
    inputs: usize,
    bias: bool,
    tensors: &mut Tensors,
) -> Result<Dense> {
    Ok(Dense {
        outputs,
        inputs,
        weight: tensors.floats(&format!("{name}.weight"), &[outputs, inputs])?,
        bias: bias
            .then(|| tensors.floats(&format!("{name}.bias"), &[outputs]))
            .transpose()?,
    })
}
