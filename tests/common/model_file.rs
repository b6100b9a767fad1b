//! A model file in memory, written after `docs/model-format.md` and not with the library's own types, so that
//! a test can also write what the format forbids.

use std::collections::BTreeMap;

use half::{bf16, f16};
use serde_json::{Map, Value, json};

/// One tensor as it stands in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub dtype: String,
    pub shape: Vec<usize>,
    pub data: Vec<u8>,
}

impl Tensor {
    /// Floating numbers, rounded to `dtype`.
    pub fn floats(dtype: &str, shape: &[usize], values: &[f64]) -> Self {
        let data = match dtype {
            "F64" => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            "F32" => values
                .iter()
                .flat_map(|&v| (v as f32).to_le_bytes())
                .collect(),
            "F16" => values
                .iter()
                .flat_map(|&v| f16::from_f64(v).to_le_bytes())
                .collect(),
            "BF16" => values
                .iter()
                .flat_map(|&v| bf16::from_f64(v).to_le_bytes())
                .collect(),
            other => panic!("{other} is not a floating type"),
        };
        Self {
            dtype: dtype.into(),
            shape: shape.into(),
            data,
        }
    }

    /// Integers as `I64`.
    pub fn integers(shape: &[usize], values: &[i64]) -> Self {
        Self {
            dtype: "I64".into(),
            shape: shape.into(),
            data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }
}

/// A description and its tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFile {
    /// The description without `checksums`.
    pub description: Value,
    pub tensors: BTreeMap<String, Tensor>,
}

impl ModelFile {
    /// The file, every checksum right.
    pub fn bytes(&self) -> Vec<u8> {
        let mut description = self.description.clone();
        if let Value::Object(fields) = &mut description {
            let sums = self
                .tensors
                .iter()
                .map(|(name, tensor)| (name.clone(), crc32(&tensor.data).into()));
            fields.insert("checksums".into(), Value::Object(sums.collect()));
        }
        self.bytes_with(&description.to_string())
    }

    /// The file with this text for its description, `checksums` and all, under a right CRC-32.
    pub fn bytes_with(&self, description: &str) -> Vec<u8> {
        let mut header = self.header(description);
        let data = self.data();
        let text = Value::Object(std::mem::take(&mut header)).to_string();
        container(&text, &data)
    }

    /// The header of the container.
    pub fn header(&self, description: &str) -> Map<String, Value> {
        let mut header = Map::new();
        header.insert(
            "__metadata__".into(),
            json!({"flashschnet": description, "flashschnet_crc32": crc32(description.as_bytes())}),
        );
        let mut start = 0;
        for (name, tensor) in &self.tensors {
            let end = start + tensor.data.len();
            header.insert(
                name.clone(),
                json!({"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [start, end]}),
            );
            start = end;
        }
        header
    }

    /// The tensors' bytes, in the order of the header.
    pub fn data(&self) -> Vec<u8> {
        self.tensors
            .values()
            .flat_map(|tensor| tensor.data.clone())
            .collect()
    }
}

/// A safetensors file of a header and data.
pub fn container(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// CRC-32 as the format writes it.
pub fn crc32(bytes: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(bytes))
}
