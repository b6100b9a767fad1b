//! The description of a network: the JSON of `docs/model-format.md`, field by field.
//!
//! What serde can check (names, types, defaults) is checked here; what needs arithmetic is in
//! `rules.rs`. A field that may be null must be there all the same: serde asks for it when it is told how to read it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::kinds::{BasisFields, EnvelopeFields};
use super::units::Units;

/// The one version of the format this library reads.
pub const FORMAT_VERSION: u32 = 1;

/// The whole description.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Version of the format.
    pub format_version: u32,
    /// Units of every dimensioned number in the file.
    pub units: Units,
    /// Atom or bead types in the order of the embedding's rows.
    pub types: Vec<AtomType>,
    /// The SchNet; `None` in a file of priors only.
    #[serde(deserialize_with = "Option::deserialize")]
    pub network: Option<NetworkDescription>,
    /// Pairs joined by up to this many bonds are not in the graph.
    #[serde(default)]
    pub excluded_bonds: u32,
    /// Analytic terms of a coarse-grained force field.
    #[serde(default)]
    pub priors: Vec<PriorDescription>,
    /// Molecules whose term lists the file carries.
    #[serde(default)]
    pub structures: Vec<StructureDescription>,
    /// Where the model came from, for people.
    #[serde(default)]
    pub provenance: BTreeMap<String, String>,
    /// CRC-32 of every tensor's bytes.
    pub checksums: BTreeMap<String, String>,
}

/// One atom or bead type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtomType {
    /// The integer callers use.
    pub index: i32,
    /// Element symbol or bead name.
    pub name: String,
    /// Atomic number, if it is an element.
    #[serde(deserialize_with = "Option::deserialize")]
    pub atomic_number: Option<u32>,
    /// Mass in unified atomic mass units.
    #[serde(deserialize_with = "Option::deserialize")]
    pub mass: Option<f64>,
}

/// The architecture of a SchNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkDescription {
    /// Pairs closer than this are in the graph.
    pub cutoff: f64,
    /// Width of the atoms' features.
    pub features: usize,
    /// Width of the filters.
    pub filters: usize,
    /// Number of interaction blocks.
    pub blocks: usize,
    /// All blocks use the weights of block 0.
    #[serde(default)]
    pub shared_blocks: bool,
    /// Activation of blocks and filter networks, and of the readout unless that names its own.
    pub activation: Activation,
    /// Radial basis.
    pub basis: BasisDescription,
    /// Envelope on the basis functions.
    pub basis_envelope: Envelope,
    /// Envelope on the filters.
    pub filter_envelope: Envelope,
    /// Layers of the filter networks.
    pub filter_network: MlpDescription,
    /// Layers of the readout.
    pub readout: ReadoutDescription,
    /// How messages are reduced.
    #[serde(default)]
    pub aggregation: Aggregation,
    /// How atoms' energies are reduced.
    #[serde(default)]
    pub energy_aggregation: Aggregation,
    /// Factor on the readout.
    #[serde(default = "one")]
    pub scale: f64,
    /// Energy added to each atom.
    #[serde(default)]
    pub shift: f64,
    /// Whether the file has energies per type.
    #[serde(default)]
    pub reference_energies: bool,
}

fn one() -> f64 {
    1.0
}

/// Activation functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// ln(½eᶻ + ½)
    ShiftedSoftplus,
    /// tanh z
    Tanh,
    /// z / (1 + e⁻ᶻ)
    Silu,
}

/// Reductions over neighbours or atoms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Σ
    #[default]
    Sum,
    /// Σ divided by the count
    Mean,
}

/// Radial basis, without its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", try_from = "BasisFields")]
pub enum BasisDescription {
    /// exp(−(r − c)² / (2 w²))
    Gaussian {
        /// Number of functions.
        size: usize,
    },
    /// exp(−β (exp(−α (r − r₀)) − μ)²)
    ExponentialNormal {
        /// Number of functions.
        size: usize,
        /// Inverse length α.
        alpha: f64,
        /// Distance r₀ at which the inner exponential is 1.
        start: f64,
    },
    /// sin(f r) / r
    Bessel {
        /// Number of functions.
        size: usize,
    },
}

impl NetworkDescription {
    /// Activation between the layers of the readout.
    pub fn readout_activation(&self) -> Activation {
        self.readout.activation.unwrap_or(self.activation)
    }
}

impl BasisDescription {
    /// Number of basis functions.
    pub fn size(&self) -> usize {
        match *self {
            Self::Gaussian { size }
            | Self::ExponentialNormal { size, .. }
            | Self::Bessel { size } => size,
        }
    }
}

/// Cutoff envelopes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", try_from = "EnvelopeFields")]
pub enum Envelope {
    /// 1 up to the network's cutoff.
    None {},
    /// Half a cosine from 1 to 0, or a whole one between `lower` and the cutoff.
    Cosine {
        /// Where it ends; the network's cutoff if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        cutoff: Option<f64>,
        /// Where it begins; 0 for the half cosine.
        lower: f64,
    },
    /// 1, then half a cosine over the last `width`.
    ShiftedCosine {
        /// Where it ends; the network's cutoff if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        cutoff: Option<f64>,
        /// Length over which it falls.
        width: f64,
    },
    /// exp(1 − 1 / (1 − (r / rc)²))
    Mollifier {
        /// Where it ends; the network's cutoff if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        cutoff: Option<f64>,
    },
}

/// Layers of a multilayer perceptron.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MlpDescription {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Whether each layer has a bias.
    pub bias: Vec<bool>,
}

/// Layers of the readout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadoutDescription {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Whether each layer has a bias.
    pub bias: Vec<bool>,
    /// Activation between the layers; the network's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
}

/// One analytic prior, without its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorDescription {
    /// Its name, which is also in its tensors' names.
    pub name: String,
    /// Functional form.
    pub kind: PriorKind,
    /// How a term finds its parameters.
    pub lookup: Lookup,
    /// Whether the file has term lists.
    pub terms: bool,
    /// Rows of the parameter tensors.
    pub count: usize,
    /// Number of Fourier terms.
    #[serde(default)]
    pub degrees: usize,
    /// Distance beyond which a pair term is zero.
    #[serde(default)]
    pub cutoff: Option<f64>,
}

/// Functional forms of priors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriorKind {
    /// k (r − x0)² + v0
    HarmonicBond,
    /// k (cos θ − x0)² + v0
    HarmonicAngleCos,
    /// k (θ − x0)² + v0
    HarmonicAngle,
    /// a θ⁴ + b θ³ + c θ² + d θ + v0
    QuarticAngle,
    /// k (cos θ − x0)² / sin² θ + v0
    RestrictedBending,
    /// v0 + Σₙ (sin_n sin nφ + cos_n cos nφ)
    FourierDihedral,
    /// k (φ − x0)² + v0
    HarmonicImproper,
    /// (σ / r)⁶
    Repulsion,
    /// a exp(−b r)
    ExponentialRepulsion,
}

impl PriorKind {
    /// Number of atoms a term joins.
    pub fn atoms(self) -> usize {
        match self {
            Self::HarmonicBond | Self::Repulsion | Self::ExponentialRepulsion => 2,
            Self::HarmonicAngleCos
            | Self::HarmonicAngle
            | Self::QuarticAngle
            | Self::RestrictedBending => 3,
            Self::FourierDihedral | Self::HarmonicImproper => 4,
        }
    }

    /// Names of the parameters with one number a row; Fourier coefficients are apart.
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::HarmonicBond
            | Self::HarmonicAngleCos
            | Self::HarmonicAngle
            | Self::RestrictedBending
            | Self::HarmonicImproper => &["k", "x0", "v0"],
            Self::QuarticAngle => &["a", "b", "c", "d", "v0"],
            Self::FourierDihedral => &["v0"],
            Self::Repulsion => &["sigma"],
            Self::ExponentialRepulsion => &["a", "b"],
        }
    }

    /// Names of the parameters with one number a row and Fourier degree.
    pub fn series(self) -> &'static [&'static str] {
        match self {
            Self::FourierDihedral => &["sin", "cos"],
            _ => &[],
        }
    }
}

/// How a prior's term finds its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lookup {
    /// By the types of its atoms.
    PerType,
    /// Its own row.
    PerTerm,
}

/// A molecule whose term lists the file carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StructureDescription {
    /// Its name.
    pub name: String,
    /// Number of atoms.
    pub atoms: usize,
}
