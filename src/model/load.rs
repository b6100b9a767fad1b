//! Reading a model file: container, metadata, description, tensors, in that order, each checked
//! before the next is trusted.

use std::borrow::Cow;
use std::path::Path;

use super::container::Container;
use super::description::Description;
use super::network::Network;
use super::priors::{Prior, Structures};
use super::tensors::{Tensors, checksum};
use super::{Model, rules};
use crate::{Error, Result};

const MAX_DESCRIPTION: usize = 8 << 20;

impl Model {
    /// Loads a model file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Model`] naming the field if it is not a sound model.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let io = |error: std::io::Error| Error::io(path, &error);
        // A directory does not read and a device never ends; neither error would say what it is.
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(io(std::io::Error::other("it is not a regular file")));
        }
        let bytes = std::fs::read(path).map_err(io)?;
        Self::from_bytes(&path.display().to_string(), &bytes)
    }

    /// Loads a model from memory; `name` stands for the path in errors.
    ///
    /// # Errors
    /// [`Error::Model`] naming the field if it is not a sound model.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        let container = Container::new(bytes).map_err(|reason| {
            Error::model(
                name,
                "container",
                format!("is not a whole safetensors file: {reason}"),
            )
        })?;
        let required = |value: &Option<Cow<str>>, key: &str| {
            value.as_deref().map(str::to_owned).ok_or_else(|| {
                Error::model(
                    name,
                    format!("metadata key {key:?}"),
                    "is missing: not a FlashSchNet model; flashschnet convert makes one",
                )
            })
        };
        let description_json = required(&container.description, "flashschnet")?;
        if description_json.len() > MAX_DESCRIPTION {
            return Err(Error::model(
                name,
                "description",
                format!(
                    "has {} bytes, at most {MAX_DESCRIPTION} are read",
                    description_json.len()
                ),
            ));
        }
        let (found, expected) = (
            checksum(description_json.as_bytes()),
            required(&container.description_crc32, "flashschnet_crc32")?,
        );
        if found != expected {
            return Err(Error::model(
                name,
                "description",
                format!("is damaged: CRC-32 is {found}, the file says {expected:?}"),
            ));
        }
        let description: Description = serde_json::from_str(&description_json)
            .map_err(|error| Error::model(name, "description", error.to_string()))?;
        rules::check(&description).map_err(|(field, reason)| Error::model(name, field, reason))?;

        let mut tensors = Tensors::new(name, &container, &description.checksums);
        let types = description.types.len();
        let network = description
            .network
            .as_ref()
            .map(|network| Network::read(network, types, &mut tensors))
            .transpose()?;
        let structures = Structures::read(&description, &mut tensors)?;
        let priors = description
            .priors
            .iter()
            .map(|prior| Prior::read(prior, &description, &mut tensors))
            .collect::<Result<Vec<_>>>()?;
        tensors.finish()?;

        Ok(Self {
            name: name.to_owned(),
            parameters: count_parameters(network.as_ref(), &priors),
            rows: description
                .types
                .iter()
                .enumerate()
                .map(|(row, kind)| (kind.index, row as u32))
                .collect(),
            description_json,
            description,
            network,
            priors,
            structures,
        })
    }
}

fn count_parameters(network: Option<&Network>, priors: &[Prior]) -> usize {
    let dense = |layers: &[super::Dense]| -> usize {
        layers
            .iter()
            .map(|layer| layer.weight.len() + layer.bias.as_ref().map_or(0, Vec::len))
            .sum()
    };
    let network = network.map_or(0, |network| {
        let blocks: usize = network
            .blocks
            .iter()
            .map(|block| {
                dense(std::slice::from_ref(&block.in2f))
                    + dense(&block.filter)
                    + dense(std::slice::from_ref(&block.f2out))
                    + dense(std::slice::from_ref(&block.dense))
            })
            .sum();
        network.embedding.len() + blocks + dense(&network.readout)
    });
    let priors: usize = priors
        .iter()
        .flat_map(|prior| prior.parameters.iter().chain(&prior.series))
        .map(Vec::len)
        .sum();
    network + priors
}
