//! The program of a potential: the kernels with the model in front of them as constants.

use std::fmt::Write;

use super::Way;
use super::mutual::Mutual;
use super::tuning::Tuning;
use crate::filter::{ORDER, Spacing, Spans};
use crate::model::{Activation, Aggregation, Basis, Dense, Envelope, Network};

/// Distance of rows in bytes: whole lines of memory.
const ROW_BYTES: usize = 64;

/// Rows of `width` numbers begin this far apart.
pub(super) fn padded(width: usize, pad: usize) -> usize {
    width.next_multiple_of(pad)
}

/// The widths that the engine and the kernels have to agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Widths {
    /// Rows are padded to a multiple of this.
    pub pad: usize,
    pub features: usize,
    pub filters: usize,
    /// Widest row of the dense kernels.
    pub block: usize,
    /// Widest row of the readout.
    pub readout: usize,
    /// All hidden layers of the readout.
    pub hidden: usize,
    /// Widest row of the filter network.
    pub filter: usize,
}

impl Widths {
    pub fn new(network: &Network, bytes: usize) -> Self {
        let pad = ROW_BYTES / bytes;
        let padded = |width| padded(width, pad);
        let widest = |layers: &[Dense], first: usize| {
            let outputs = layers.iter().map(|layer| padded(layer.outputs));
            outputs.chain([padded(first)]).max().unwrap_or(pad)
        };
        let features = padded(network.description.features);
        let filters = padded(network.description.filters);
        let hidden = &network.readout[..network.readout.len() - 1];
        Self {
            pad,
            features,
            filters,
            block: features.max(filters),
            readout: widest(&network.readout, features),
            hidden: hidden.iter().map(|layer| padded(layer.outputs)).sum(),
            filter: widest(&network.blocks[0].filter, network.basis.size()),
        }
    }
}

/// The text that is compiled.
pub(super) fn source(
    network: &Network,
    real: &str,
    way: Way,
    tuning: &Tuning,
    spans: Option<&Spans>,
    declarations: &str,
) -> String {
    let widths = tuning.widths;
    let description = &network.description;
    let spacing = match &way {
        Way::Table(spacing) => Some(spacing),
        Way::Exact | Way::Tensor => None,
    };
    let mut text = String::from("// Written by src/engine/cuda/source.rs.\n");
    let _ = writeln!(text, "using Real = {real};");
    // No program uses all of them.
    text.push_str("#ifdef __CUDACC__\n#pragma nv_diag_suppress 177\n#endif\n");
    let mut constants = |kind: &str, pairs: &[(&str, String)]| {
        for (name, value) in pairs {
            let _ = writeln!(text, "constexpr {kind} {name} = {value};");
        }
    };
    let integer = |value: usize| value.to_string();
    let number = |value: f64| format!("{value:e}");
    let (basis_end, basis_lower, basis_width) = envelope(&description.basis_envelope, network);
    let (filter_end, filter_lower, filter_width) = envelope(&description.filter_envelope, network);
    let (alpha, start) = match network.basis {
        Basis::ExponentialNormal { alpha, start, .. } => (alpha, start),
        Basis::Gaussian { .. } | Basis::Bessel { .. } => (0.0, 0.0),
    };
    constants(
        "bool",
        &[
            ("TABLE", spacing.is_some().to_string()),
            ("SHARED_BLOCKS", description.shared_blocks.to_string()),
            (
                "MEAN_MESSAGES",
                (description.aggregation == Aggregation::Mean).to_string(),
            ),
            (
                "MEAN_ENERGY",
                (description.energy_aggregation == Aggregation::Mean).to_string(),
            ),
        ],
    );
    constants(
        "int",
        &[
            ("SHIFTED_SOFTPLUS", activation(Activation::ShiftedSoftplus)),
            ("TANH", activation(Activation::Tanh)),
            ("SILU", activation(Activation::Silu)),
            ("ACTIVATION", activation(description.activation)),
            (
                "READOUT_ACTIVATION",
                activation(description.readout_activation()),
            ),
            ("GAUSSIAN", integer(0)),
            ("EXPONENTIAL_NORMAL", integer(1)),
            ("BESSEL", integer(2)),
            ("BASIS", basis(&network.basis)),
            ("BASIS_SIZE", integer(network.basis.size())),
            ("NO_ENVELOPE", integer(0)),
            ("COSINE", integer(1)),
            ("SHIFTED_COSINE", integer(2)),
            ("MOLLIFIER", integer(3)),
            ("BASIS_ENVELOPE", kind(&description.basis_envelope)),
            ("FILTER_ENVELOPE", kind(&description.filter_envelope)),
            ("BLOCKS", integer(description.blocks)),
            ("ROW_PAD", integer(widths.pad)),
            ("FEATURE_STRIDE", integer(widths.features)),
            ("FILTER_STRIDE", integer(widths.filters)),
            ("BLOCK_WIDTH", integer(widths.block)),
            ("READOUT_WIDTH", integer(widths.readout)),
            ("READOUT_HIDDEN", integer(widths.hidden)),
            ("READOUT_LAYERS", integer(network.readout.len())),
            ("FILTER_WIDTH", integer(widths.filter)),
            ("FILTER_LAYERS", integer(network.blocks[0].filter.len())),
            ("ORDER", integer(ORDER)),
            ("INTERVALS", integer(spacing.map_or(1, Spacing::intervals))),
            ("BINS", integer(tuning.bins)),
            ("SPANS", integer(tuning.spans)),
            ("SPAN_THREADS", integer(tuning.span_threads)),
            ("SPAN_WIDTH", integer(tuning.span_width)),
            ("SPAN_DEAL_THREADS", integer(Tuning::SPAN_DEAL_THREADS)),
            ("NEAR_THREADS", integer(Tuning::NEAR_THREADS)),
            ("BIN_SHIFT", integer(tuning.bin_shift)),
            ("GROUP", integer(tuning.group)),
            ("LANE_CHANNELS", integer(tuning.lane_channels)),
            ("SLICES", integer(tuning.slices())),
            ("PARTS", integer(tuning.parts)),
            ("SUM_PARTS", integer(tuning.sum_parts())),
            ("FORCE_SLICES", integer(tuning.force_slices())),
            ("DENSE_TEAM", integer(tuning.dense.team)),
            ("DENSE_COLUMNS", integer(tuning.dense.columns)),
            ("DENSE_DEPTH", integer(tuning.dense.depth)),
            ("AHEAD", integer(tuning.ahead)),
            ("AHEAD_BACK", integer(tuning.ahead_back)),
            ("ROW_THREADS", integer(tuning.row_threads)),
            ("ROW_BLOCKS", integer(tuning.row_blocks)),
            ("DENSE_ROWS", integer(tuning.dense.blocks.rows)),
            ("DENSE_THREADS", integer(tuning.dense.threads)),
            ("DENSE_BLOCKS", integer(tuning.dense.resident)),
            ("READOUT_ROWS", integer(tuning.dense.readout.rows)),
            ("EXACT_ROWS", integer(tuning.exact_rows)),
            ("EXACT_MEMORY", integer(tuning.exact_numbers())),
            ("BAND_ROWS", integer(tuning.band_rows)),
            ("MUTUAL_THREADS", integer(Mutual::THREADS)),
            ("GEOMETRY_THREADS", integer(tuning.geometry_threads)),
            ("RANK_THREADS", integer(Tuning::RANK_THREADS)),
            ("START_THREADS", integer(Tuning::START_THREADS)),
            ("START_COLUMNS", integer(tuning.start_columns())),
            ("TOTAL_THREADS", integer(Tuning::TOTAL_THREADS)),
        ],
    );
    let (linear, decaying, rate) = spacing.map_or((0.0, 0.0, 0.0), Spacing::terms);
    constants(
        "double",
        &[
            ("CUTOFF", number(description.cutoff)),
            ("SPACING_LINEAR", number(linear)),
            ("SPACING_DECAYING", number(decaying)),
            ("SPACING_RATE", number(rate)),
            ("SCALE", number(description.scale)),
            ("SHIFT", number(description.shift)),
            ("BASIS_ALPHA", number(alpha)),
            ("BASIS_START", number(start)),
            ("BASIS_ENVELOPE_END", number(basis_end)),
            ("BASIS_ENVELOPE_LOWER", number(basis_lower)),
            ("BASIS_ENVELOPE_WIDTH", number(basis_width)),
            ("FILTER_ENVELOPE_END", number(filter_end)),
            ("FILTER_ENVELOPE_LOWER", number(filter_lower)),
            ("FILTER_ENVELOPE_WIDTH", number(filter_width)),
        ],
    );
    let bounds = spans.filter(|_| tuning.spans > 0).map(Spans::bounds);
    text.push_str(&span_bound(bounds.unwrap_or(&[usize::MAX])));
    text.push_str("#ifdef __CUDACC__\n#pragma nv_diag_default 177\n#endif\n");
    let mut file = |name: &str, content: &str| {
        let _ = write!(text, "#line 1 \"kernels/{name}\"\n{content}");
    };
    macro_rules! files {
        ($($name:literal),*) => {
            $(file($name, include_str!(concat!("../../../kernels/", $name)));)*
        };
    }
    files!("launch.cuh", "base.cuh");
    file(
        "model",
        &format!(
            "template <int> struct FilterLayer;\ntemplate <int> struct ReadoutLayer;\n{declarations}"
        ),
    );
    files!("mma.cuh", "dense.cuh");
    if tuning.dense.tensor {
        files!("tensor_chain.cuh");
    } else {
        files!("chain.cuh");
    }
    files!("start.cu", "geometry.cu", "ranks.cu", "rows.cuh");
    match way {
        Way::Table(_) => {
            files!("table.cu");
            if tuning.spans > 0 {
                files!("spans.cuh", "spans.cu", "slopes.cu", "near.cu");
            }
        }
        Way::Exact => {
            files!("basis.cuh", "exact.cu");
        }
        Way::Tensor => {
            files!("basis.cuh", "tensor.cu");
            if tuning.band_rows > 0 {
                files!("bands.cuh", "meet.cu", "desk.cuh", "mutual.cu", "merge.cu");
            }
        }
    }
    files!("blocks.cu", "readout.cu");
    text
}

/// A function that has the intervals where spans begin and end.
fn span_bound(bounds: &[usize]) -> String {
    let mut text =
        String::from("__device__ constexpr int span_bound([[maybe_unused]] int k)\n{\n    return ");
    for (at, bound) in bounds[..bounds.len() - 1].iter().enumerate() {
        let _ = write!(text, "k == {at} ? {bound} : ");
    }
    let last = bounds[bounds.len() - 1].min(i32::MAX as usize);
    let _ = writeln!(text, "{last};\n}}");
    text
}

/// The two numbers of every basis function, as `kernels/exact.cu` takes them.
pub(super) fn basis_numbers(basis: &Basis) -> Vec<f64> {
    match basis {
        Basis::Gaussian { centers, widths } => {
            let inverse = widths.iter().map(|width| 1.0 / width);
            centers.iter().copied().chain(inverse).collect()
        }
        Basis::ExponentialNormal { means, betas, .. } => {
            means.iter().chain(betas).copied().collect()
        }
        Basis::Bessel { frequencies } => frequencies.clone(),
    }
}

fn activation(activation: Activation) -> String {
    match activation {
        Activation::ShiftedSoftplus => "0",
        Activation::Tanh => "1",
        Activation::Silu => "2",
    }
    .into()
}

fn basis(basis: &Basis) -> String {
    match basis {
        Basis::Gaussian { .. } => "GAUSSIAN",
        Basis::ExponentialNormal { .. } => "EXPONENTIAL_NORMAL",
        Basis::Bessel { .. } => "BESSEL",
    }
    .into()
}

fn kind(envelope: &Envelope) -> String {
    match envelope {
        Envelope::None {} => "NO_ENVELOPE",
        Envelope::Cosine { .. } => "COSINE",
        Envelope::ShiftedCosine { .. } => "SHIFTED_COSINE",
        Envelope::Mollifier { .. } => "MOLLIFIER",
    }
    .into()
}

/// Where an envelope ends, where it begins, and the length over which it falls.
fn envelope(envelope: &Envelope, network: &Network) -> (f64, f64, f64) {
    let all = network.description.cutoff;
    match *envelope {
        Envelope::None {} => (all, 0.0, 0.0),
        Envelope::Cosine { cutoff, lower } => (cutoff.unwrap_or(all), lower, 0.0),
        Envelope::ShiftedCosine { cutoff, width } => (cutoff.unwrap_or(all), 0.0, width),
        Envelope::Mollifier { cutoff } => (cutoff.unwrap_or(all), 0.0, 0.0),
    }
}
