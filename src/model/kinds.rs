//! Parts of a description whose fields depend on their `kind`.
//!
//! serde would read these through a buffer of untyped values, dozens of bytes for each byte of a hostile file; here
//! all fields of all kinds are read at once and sorted out afterwards.

use serde::Deserialize;

use super::description::{BasisDescription, Envelope};

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BasisKind {
    Gaussian,
    ExponentialNormal,
    Bessel,
}

/// Every field a basis can have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BasisFields {
    kind: BasisKind,
    size: usize,
    alpha: Option<f64>,
    start: Option<f64>,
}

impl TryFrom<BasisFields> for BasisDescription {
    type Error = String;

    fn try_from(given: BasisFields) -> Result<Self, String> {
        let size = given.size;
        if given.kind != BasisKind::ExponentialNormal {
            absent(given.alpha, "alpha")?;
            absent(given.start, "start")?;
        }
        Ok(match given.kind {
            BasisKind::Gaussian => Self::Gaussian { size },
            BasisKind::Bessel => Self::Bessel { size },
            BasisKind::ExponentialNormal => Self::ExponentialNormal {
                size,
                alpha: given.alpha.ok_or("missing field `alpha`")?,
                start: given.start.unwrap_or(0.0),
            },
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EnvelopeKind {
    None,
    Cosine,
    ShiftedCosine,
    Mollifier,
}

/// Every field an envelope can have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnvelopeFields {
    kind: EnvelopeKind,
    cutoff: Option<f64>,
    lower: Option<f64>,
    width: Option<f64>,
}

impl TryFrom<EnvelopeFields> for Envelope {
    type Error = String;

    fn try_from(given: EnvelopeFields) -> Result<Self, String> {
        let EnvelopeFields {
            kind,
            cutoff,
            lower,
            width,
        } = given;
        if kind == EnvelopeKind::None {
            absent(cutoff, "cutoff")?;
        }
        if kind != EnvelopeKind::Cosine {
            absent(lower, "lower")?;
        }
        if kind != EnvelopeKind::ShiftedCosine {
            absent(width, "width")?;
        }
        Ok(match kind {
            EnvelopeKind::None => Self::None {},
            EnvelopeKind::Cosine => Self::Cosine {
                cutoff,
                lower: lower.unwrap_or(0.0),
            },
            EnvelopeKind::ShiftedCosine => Self::ShiftedCosine {
                cutoff,
                width: width.ok_or("missing field `width`")?,
            },
            EnvelopeKind::Mollifier => Self::Mollifier { cutoff },
        })
    }
}

fn absent(value: Option<f64>, field: &str) -> Result<(), String> {
    match value {
        None => Ok(()),
        Some(_) => Err(format!("field `{field}` is not of this kind")),
    }
}
