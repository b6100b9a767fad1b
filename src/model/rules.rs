//! What a description must satisfy by itself, before any tensor is looked at.

use std::collections::HashSet;

use super::description::{
    BasisDescription, Description, Envelope, FORMAT_VERSION, Lookup, NetworkDescription,
    PriorDescription,
};

/// A field and what is wrong with it.
pub(super) type Fault = (String, String);
type Check = std::result::Result<(), Fault>;

const MAX_WIDTH: usize = 65_536;
const MAX_BLOCKS: usize = 256;
const MAX_LAYERS: usize = 64;
const MAX_ATOMIC_NUMBER: u32 = 118;

fn fault<T>(field: impl Into<String>, reason: impl Into<String>) -> std::result::Result<T, Fault> {
    Err((field.into(), reason.into()))
}

/// Holds `description` against every rule that needs no tensor.
pub(super) fn check(description: &Description) -> Check {
    if description.format_version != FORMAT_VERSION {
        return fault(
            "format_version",
            format!(
                "is {}, this library reads {FORMAT_VERSION}",
                description.format_version
            ),
        );
    }
    check_types(description)?;
    if let Some(network) = &description.network {
        check_network(network)?;
    } else if description.priors.is_empty() {
        return fault(
            "network",
            "is null and there are no priors: nothing to compute",
        );
    }
    check_structures(description)?;
    check_priors(description)
}

fn check_types(description: &Description) -> Check {
    if description.types.is_empty() {
        return fault("types", "is empty");
    }
    let (mut indices, mut names) = (HashSet::new(), HashSet::new());
    for (row, kind) in description.types.iter().enumerate() {
        if kind.index < 0 {
            return fault(
                format!("types[{row}].index"),
                format!("is {}, must not be negative", kind.index),
            );
        }
        if !indices.insert(kind.index) {
            return fault(
                format!("types[{row}].index"),
                format!("{} occurs twice", kind.index),
            );
        }
        if kind.name.is_empty()
            || kind
                .name
                .contains(|c: char| c.is_whitespace() || c.is_control())
        {
            return fault(
                format!("types[{row}].name"),
                format!("{:?} is empty or has white space", kind.name),
            );
        }
        if !names.insert(kind.name.as_str()) {
            return fault(
                format!("types[{row}].name"),
                format!("{:?} occurs twice", kind.name),
            );
        }
        if let Some(number) = kind.atomic_number
            && !(1..=MAX_ATOMIC_NUMBER).contains(&number)
        {
            return fault(
                format!("types[{row}].atomic_number"),
                format!("is {number}, must be 1 to {MAX_ATOMIC_NUMBER} or null"),
            );
        }
        if let Some(mass) = kind.mass {
            positive(&format!("types[{row}].mass"), mass)?;
        }
    }
    Ok(())
}

fn check_network(network: &NetworkDescription) -> Check {
    positive("network.cutoff", network.cutoff)?;
    width("network.features", network.features)?;
    width("network.filters", network.filters)?;
    if network.blocks == 0 || network.blocks > MAX_BLOCKS {
        return fault(
            "network.blocks",
            format!("is {}, must be 1 to {MAX_BLOCKS}", network.blocks),
        );
    }
    width("network.basis.size", network.basis.size())?;
    if let BasisDescription::ExponentialNormal { alpha, start, .. } = network.basis {
        positive("network.basis.alpha", alpha)?;
        finite("network.basis.start", start)?;
    }
    check_envelope(
        "network.basis_envelope",
        &network.basis_envelope,
        network.cutoff,
    )?;
    check_envelope(
        "network.filter_envelope",
        &network.filter_envelope,
        network.cutoff,
    )?;
    if network.filter_network.hidden.is_empty() {
        return fault(
            "network.filter_network.hidden",
            "is empty, a filter network has at least two layers",
        );
    }
    let (filter, readout) = (&network.filter_network, &network.readout);
    check_mlp("network.filter_network", &filter.hidden, &filter.bias)?;
    check_mlp("network.readout", &readout.hidden, &readout.bias)?;
    finite("network.scale", network.scale)?;
    finite("network.shift", network.shift)
}

fn check_envelope(field: &str, envelope: &Envelope, network_cutoff: f64) -> Check {
    let end = |cutoff: Option<f64>| -> std::result::Result<f64, Fault> {
        let end = cutoff.unwrap_or(network_cutoff);
        positive(&format!("{field}.cutoff"), end)?;
        if end > network_cutoff {
            return fault(
                format!("{field}.cutoff"),
                format!("is {end}, beyond the network's cutoff {network_cutoff}"),
            );
        }
        Ok(end)
    };
    match *envelope {
        Envelope::None {} => Ok(()),
        Envelope::Cosine { cutoff, lower } => {
            let end = end(cutoff)?;
            if !(0.0..end).contains(&lower) {
                return fault(
                    format!("{field}.lower"),
                    format!("is {lower}, must be at least 0 and below the cutoff {end}"),
                );
            }
            Ok(())
        }
        Envelope::ShiftedCosine { cutoff, width } => {
            let end = end(cutoff)?;
            if !(width > 0.0 && width <= end) {
                return fault(
                    format!("{field}.width"),
                    format!("is {width}, must be above 0 and at most the cutoff {end}"),
                );
            }
            Ok(())
        }
        Envelope::Mollifier { cutoff } => end(cutoff).map(drop),
    }
}

fn check_mlp(field: &str, hidden: &[usize], bias: &[bool]) -> Check {
    if hidden.len() >= MAX_LAYERS {
        return fault(
            format!("{field}.hidden"),
            format!(
                "has {} layers, at most {} are supported",
                hidden.len(),
                MAX_LAYERS - 1
            ),
        );
    }
    for (layer, &size) in hidden.iter().enumerate() {
        width(&format!("{field}.hidden[{layer}]"), size)?;
    }
    if bias.len() != hidden.len() + 1 {
        return fault(
            format!("{field}.bias"),
            format!("has {} entries for {} layers", bias.len(), hidden.len() + 1),
        );
    }
    Ok(())
}

fn check_structures(description: &Description) -> Check {
    for (index, structure) in description.structures.iter().enumerate() {
        if structure.atoms == 0 {
            return fault(format!("structures[{index}].atoms"), "is 0");
        }
    }
    Ok(())
}

fn check_priors(description: &Description) -> Check {
    let mut names = HashSet::new();
    for (index, prior) in description.priors.iter().enumerate() {
        let field = format!("priors[{index}]");
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if prior.name.is_empty() || !prior.name.chars().all(plain) {
            return fault(
                format!("{field}.name"),
                format!("{:?} must be letters, digits, '_' and '-'", prior.name),
            );
        }
        if !names.insert(prior.name.as_str()) {
            return fault(
                format!("{field}.name"),
                format!("{:?} occurs twice", prior.name),
            );
        }
        check_prior(&field, prior, !description.structures.is_empty())?;
    }
    Ok(())
}

fn check_prior(field: &str, prior: &PriorDescription, structures: bool) -> Check {
    if prior.lookup == Lookup::PerTerm && !prior.terms {
        return fault(
            format!("{field}.terms"),
            "is false, but lookup per_term needs term lists",
        );
    }
    if prior.terms && !structures {
        return fault(
            format!("{field}.terms"),
            "is true, but the file has no structures",
        );
    }
    if (prior.degrees > 0) == prior.kind.series().is_empty() || prior.degrees > MAX_WIDTH {
        return fault(
            format!("{field}.degrees"),
            format!("is {}, which does not fit this kind", prior.degrees),
        );
    }
    if let Some(cutoff) = prior.cutoff {
        positive(&format!("{field}.cutoff"), cutoff)?;
        if prior.kind.atoms() != 2 {
            return fault(format!("{field}.cutoff"), "is for pair kinds only");
        }
    }
    Ok(())
}

fn positive(field: &str, value: f64) -> Check {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        fault(field, format!("is {value}, must be positive and finite"))
    }
}

fn finite(field: &str, value: f64) -> Check {
    if value.is_finite() {
        Ok(())
    } else {
        fault(field, format!("is {value}, must be finite"))
    }
}

fn width(field: &str, value: usize) -> Check {
    if (1..=MAX_WIDTH).contains(&value) {
        Ok(())
    } else {
        fault(field, format!("is {value}, must be 1 to {MAX_WIDTH}"))
    }
}
