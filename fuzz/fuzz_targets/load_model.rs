//! Loading a model of any bytes must end in a model or an error.
//!
//! `cargo run --bin seeds corpus/load_model`, then `cargo +nightly fuzz run load_model`.

#![no_main]

use flashschnet::model::Model;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use serde_json::{Value, json};

fuzz_target!(|data: &[u8]| {
    if let Err(error) = Model::from_bytes("fuzzed", data) {
        assert!(error.to_string().starts_with("fuzzed: "));
    }
});

// Checksums stop random changes at the first check. After half of them they are made right again, where the file is
// still one.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let changed = fuzzer_mutate(data, size, max_size);
    if seed.is_multiple_of(2) {
        return changed;
    }
    match repaired(&data[..changed]) {
        Some(file) if file.len() <= max_size => {
            data[..file.len()].copy_from_slice(&file);
            file.len()
        }
        _ => changed,
    }
});

/// The file with lengths and checksums that fit what is in it.
fn repaired(file: &[u8]) -> Option<Vec<u8>> {
    let (_, rest) = file.split_first_chunk::<8>()?;
    // The header's length may be what was changed; the header itself ends where JSON does.
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Value>();
    let mut header = values.next()?.ok()?;
    let data = &rest[values.byte_offset()..];
    let text = header["__metadata__"]
        .get("flashschnet")?
        .as_str()?
        .to_owned();
    let text = match serde_json::from_str::<Value>(&text) {
        Ok(mut description) => {
            let sums = description.get_mut("checksums")?.as_object_mut()?;
            for (name, tensor) in header.as_object()? {
                let offset = |at: usize| {
                    let offset = tensor.get("data_offsets")?.get(at)?.as_u64()?;
                    usize::try_from(offset).ok()
                };
                if let (Some(from), Some(to)) = (offset(0), offset(1))
                    && let Some(bytes) = data.get(from..to)
                {
                    sums.insert(name.clone(), crc32(bytes).into());
                }
            }
            description.to_string()
        }
        Err(_) => text,
    };
    let sum = crc32(text.as_bytes());
    header["__metadata__"] = json!({"flashschnet": text, "flashschnet_crc32": sum});
    let header = header.to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    Some(file)
}

fn crc32(bytes: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(bytes))
}
