//! Tensors of a container, taken one by one, each checked before it is converted.

use std::collections::{BTreeMap, HashSet};

use half::{bf16, f16};

use super::container::{Container, View};
use crate::{Error, Result};

/// Hands out the tensors of one file and remembers which were taken.
pub(super) struct Tensors<'a> {
    file: &'a str,
    container: &'a Container<'a>,
    checksums: &'a BTreeMap<String, String>,
    taken: HashSet<String>,
}

impl<'a> Tensors<'a> {
    pub fn new(
        file: &'a str,
        container: &'a Container<'a>,
        checksums: &'a BTreeMap<String, String>,
    ) -> Self {
        Self {
            file,
            container,
            checksums,
            taken: HashSet::new(),
        }
    }

    /// The floating tensor `name` of exactly `shape`, as float64; every number is finite.
    pub fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f64>> {
        const TYPES: &[(&str, usize)] = &[("F64", 8), ("F32", 4), ("F16", 2), ("BF16", 2)];
        let (dtype, data) = self.take(name, shape, TYPES)?;
        let values: Vec<f64> = match dtype {
            "F64" => words(data).map(f64::from_le_bytes).collect(),
            "F32" => words(data)
                .map(|b| f64::from(f32::from_le_bytes(b)))
                .collect(),
            "F16" => words(data)
                .map(|b| f16::from_le_bytes(b).to_f64())
                .collect(),
            _ => words(data)
                .map(|b| bf16::from_le_bytes(b).to_f64())
                .collect(),
        };
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(at) => Err(self.error(
                name,
                format!("element {at} is {}, must be finite", values[at]),
            )),
        }
    }

    /// The integer tensor `name` of exactly `shape`.
    pub fn integers(&mut self, name: &str, shape: &[usize]) -> Result<Vec<i64>> {
        let (dtype, data) = self.take(name, shape, &[("I32", 4), ("I64", 8)])?;
        Ok(match dtype {
            "I64" => words(data).map(i64::from_le_bytes).collect(),
            _ => words(data)
                .map(|b| i64::from(i32::from_le_bytes(b)))
                .collect(),
        })
    }

    /// First dimension of `name`, for tensors whose length the description does not say.
    pub fn rows(&self, name: &str) -> Result<usize> {
        let view = self.view(name)?;
        view.shape
            .first()
            .copied()
            .ok_or_else(|| self.error(name, "is a scalar"))
    }

    /// Errs if the file has a tensor nobody asked for.
    pub fn finish(self) -> Result<()> {
        for name in self.container.names() {
            if !self.taken.contains(name) {
                return Err(self.error(name, "is not part of the described model"));
            }
        }
        match self
            .checksums
            .keys()
            .find(|name| !self.taken.contains(*name))
        {
            None => Ok(()),
            Some(name) => Err(self.error(
                "checksums",
                format!("names {name:?}, which is not in the file"),
            )),
        }
    }

    /// An error about `field` of this file.
    pub fn error(&self, field: &str, reason: impl Into<String>) -> Error {
        Error::model(self.file, field, reason)
    }

    fn view(&self, name: &str) -> Result<&'a View<'a>> {
        self.container
            .tensor(name)
            .ok_or_else(|| self.error(name, "is missing"))
    }

    /// Type and bytes of the tensor `name` of exactly `shape`, of one of `types` with their sizes.
    fn take(
        &mut self,
        name: &str,
        shape: &[usize],
        types: &[(&'static str, usize)],
    ) -> Result<(&'static str, &'a [u8])> {
        let view = self.view(name)?;
        if view.shape != shape {
            return Err(self.error(
                name,
                format!(
                    "has shape {:?}, the description asks for {shape:?}",
                    view.shape
                ),
            ));
        }
        let Some(&(dtype, size)) = types.iter().find(|(dtype, _)| *dtype == view.dtype) else {
            let names: Vec<_> = types.iter().map(|(dtype, _)| *dtype).collect();
            return Err(self.error(
                name,
                format!(
                    "has type {}, must be one of {}",
                    view.dtype,
                    names.join(", ")
                ),
            ));
        };
        let bytes = shape
            .iter()
            .try_fold(size, |n, &length| n.checked_mul(length));
        if bytes != Some(view.data.len()) {
            return Err(self.error(
                name,
                format!(
                    "has {} bytes, which is not what {dtype} of shape {shape:?} take",
                    view.data.len()
                ),
            ));
        }
        let Some(expected) = self.checksums.get(name) else {
            return Err(self.error("checksums", format!("does not name {name:?}")));
        };
        let found = checksum(view.data);
        if *expected != found {
            return Err(self.error(
                name,
                format!("is damaged: CRC-32 is {found}, the description says {expected:?}"),
            ));
        }
        self.taken.insert(name.to_owned());
        Ok((dtype, view.data))
    }
}

/// CRC-32 of `bytes` as model files write it.
pub(super) fn checksum(bytes: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(bytes))
}

fn words<const N: usize>(data: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    data.as_chunks::<N>().0.iter().copied()
}
