//! The container: a safetensors file in memory, its header taken apart without ever holding more than a few times
//! its size.
//!
//! The format is that of <https://github.com/huggingface/safetensors>. Its own reader goes through a buffer of JSON
//! values, dozens of bytes for each byte of a hostile header, and lets the last of two tensors of one name win.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What the safetensors format allows.
const MAX_HEADER: u64 = 100_000_000;
const MAX_DIMENSIONS: usize = 8;

/// A file taken apart; every tensor lies within the file and no byte belongs to two or to none.
pub(super) struct Container<'a> {
    /// Text of the metadata keys a model file has.
    pub description: Option<Cow<'a, str>>,
    pub description_crc32: Option<Cow<'a, str>>,
    tensors: Vec<(Cow<'a, str>, View<'a>)>,
}

/// One tensor of a file.
#[derive(Debug, Clone)]
pub(super) struct View<'a> {
    pub dtype: Cow<'a, str>,
    pub shape: Vec<usize>,
    pub data: &'a [u8],
}

impl<'a> Container<'a> {
    /// Takes `file` apart, or says why it is no safetensors file.
    pub fn new(file: &'a [u8]) -> Result<Self, String> {
        let (length, rest) = file
            .split_first_chunk::<8>()
            .ok_or_else(|| format!("it has {} bytes", file.len()))?;
        let length = u64::from_le_bytes(*length);
        if length > MAX_HEADER || length > rest.len() as u64 {
            return Err(format!(
                "its header should have {length} bytes, the file has {} after the length",
                rest.len()
            ));
        }
        let (header, data) = rest.split_at(length as usize);
        let header = std::str::from_utf8(header).map_err(|error| format!("header: {error}"))?;
        let header: Header =
            serde_json::from_str(header).map_err(|error| format!("header: {error}"))?;
        let mut tensors = Vec::with_capacity(header.tensors.len());
        let mut end = 0;
        let mut entries = header.tensors;
        entries.sort_unstable_by_key(|(_, entry)| (entry.data_offsets.0, entry.data_offsets.1));
        for (name, entry) in entries {
            let (from, to) = entry.data_offsets;
            if from != end || to < from || to > data.len() {
                return Err(format!(
                    "tensor {name:?} is bytes {from} to {to} of {}, after one that ends at {end}",
                    data.len()
                ));
            }
            end = to;
            tensors.push((
                name,
                View {
                    dtype: entry.dtype,
                    shape: entry.shape.0,
                    data: &data[from..to],
                },
            ));
        }
        if end != data.len() {
            return Err(format!(
                "its tensors end at byte {end} of {} after the header",
                data.len()
            ));
        }
        tensors.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        if let Some(twice) = tensors.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(format!("tensor {:?} occurs twice", twice[0].0));
        }
        Ok(Self {
            description: header.metadata.flashschnet,
            description_crc32: header.metadata.flashschnet_crc32,
            tensors,
        })
    }

    /// The tensor `name`, if there is one.
    pub fn tensor(&self, name: &str) -> Option<&View<'a>> {
        let at = self
            .tensors
            .binary_search_by(|(other, _)| other.as_ref().cmp(name));
        at.ok().map(|at| &self.tensors[at].1)
    }

    /// Names of all tensors, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().map(|(name, _)| name.as_ref())
    }
}

/// The header as it stands in the file.
struct Header<'a> {
    metadata: Metadata<'a>,
    tensors: Vec<(Cow<'a, str>, Entry<'a>)>,
}

/// The metadata of a model file; keys of others are not looked at.
#[derive(Default, Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    flashschnet: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    flashschnet_crc32: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<'a> {
    #[serde(borrow)]
    dtype: Cow<'a, str>,
    shape: Shape,
    data_offsets: (usize, usize),
}

/// Lengths of a tensor's dimensions, not many.
struct Shape(Vec<usize>);

/// A name, without a copy where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Header<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;

        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Header<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut metadata = None;
                let mut tensors = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    if name != "__metadata__" {
                        tensors.push((name, map.next_value()?));
                    } else if metadata.replace(map.next_value()?).is_some() {
                        return Err(A::Error::duplicate_field("__metadata__"));
                    }
                }
                Ok(Header {
                    metadata: metadata.unwrap_or_default(),
                    tensors,
                })
            }
        }

        deserializer.deserialize_map(HeaderVisitor)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShapeVisitor;

        impl<'de> Visitor<'de> for ShapeVisitor {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "an array of at most {MAX_DIMENSIONS} lengths")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut lengths: A) -> Result<Shape, A::Error> {
                let mut shape = Vec::new();
                while shape.len() < MAX_DIMENSIONS {
                    match lengths.next_element()? {
                        Some(length) => shape.push(length),
                        None => return Ok(Shape(shape)),
                    }
                }
                match lengths.next_element::<IgnoredAny>()? {
                    Some(_) => Err(A::Error::invalid_length(MAX_DIMENSIONS + 1, &self)),
                    None => Ok(Shape(shape)),
                }
            }
        }

        deserializer.deserialize_seq(ShapeVisitor)
    }
}
