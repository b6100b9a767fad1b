//! Files that are no models: every one is refused with an error that names it, and none makes the reader panic or
//! take much more memory than the file has bytes.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeSet;

use common::model_file::{ModelFile, container, crc32};
use common::random_model::{add_priors, random_file};
use common::small_model::{small_model, small_network};
use fastrand::Rng;
use flashschnet::model::Model;
use serde_json::{Value, json};

/// Counts the live bytes of each thread by itself, since tests run side by side.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    LIVE.set(LIVE.get() + bytes);
    PEAK.set(PEAK.get().max(LIVE.get()));
}

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    // The default `realloc` allocates anew before it frees, which is the worst that can happen.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most memory a reader may take beside the file itself. Weights of 2 bytes become 8, digits of an array
/// become numbers of 8 in a buffer that doubles.
fn allowed(file: &[u8]) -> isize {
    (64 << 10) + 16 * file.len() as isize
}

/// Loads a file within the memory that is allowed; an error names the file.
fn load(bytes: &[u8]) -> Result<Model, String> {
    const NAME: &str = "mutant.safetensors";
    let before = LIVE.get();
    PEAK.set(before);
    let result = Model::from_bytes(NAME, bytes);
    let taken = PEAK.get() - before;
    assert!(
        taken <= allowed(bytes),
        "{taken} bytes for a file of {}: {:?}",
        bytes.len(),
        result.err()
    );
    result.map_err(|error| {
        let text = error.to_string();
        let rest = text
            .strip_prefix(NAME)
            .and_then(|rest| rest.strip_prefix(": "));
        rest.unwrap_or_else(|| panic!("{text:?} does not name the file"))
            .to_owned()
    })
}

#[test]
fn every_bit_counts() {
    let mut bytes = small_model().bytes();
    assert!(load(&bytes).is_ok());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            assert!(
                load(&bytes).is_err(),
                "bit {bit} of byte {at} can be flipped"
            );
            bytes[at] ^= 1 << bit;
        }
    }
}

#[test]
fn every_length_counts() {
    let mut bytes = small_model().bytes();
    for length in 0..bytes.len() {
        assert!(load(&bytes[..length]).is_err(), "{length} bytes are enough");
    }
    bytes.push(0);
    assert!(load(&bytes).is_err(), "a byte more is accepted");
}

/// Files that are made to be larger in memory than on disk.
#[test]
fn memory_stays_within_the_file() {
    const LENGTH: usize = 300_000;
    let file = small_network();
    let list = |item: &str| vec![item; LENGTH].join(",");
    let entries = |item: fn(usize) -> String| -> String {
        (0..LENGTH / 10).map(item).collect::<Vec<_>>().join(",")
    };
    let valid = file.description.to_string();
    let description = |from: &str, to: &str| {
        let text = valid.replacen(from, to, 1);
        assert_ne!(text, valid);
        let text = text.replacen('{', "{\"checksums\":{},", 1);
        file.bytes_with(&text)
    };
    let numbers = format!("[{}]", list("1"));
    let nested = "[".repeat(LENGTH);
    let files = [
        container(
            &format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":{numbers}}}}}"),
            &[],
        ),
        container(&format!("{{\"a\":{numbers}}}"), &[]),
        container(&format!("{{\"a\":{nested}"), &[]),
        container(&format!("{{\"__metadata__\":{{\"a\":{nested}"), &[]),
        container(
            &format!(
                "{{{}}}",
                entries(|n| format!(
                    "\"{n}\":{{\"dtype\":\"\",\"shape\":[],\"data_offsets\":[0,0]}}"
                ))
            ),
            &[],
        ),
        container(
            &format!(
                "{{\"__metadata__\":{{{}}}}}",
                entries(|n| format!("\"{n}\":\"\""))
            ),
            &[],
        ),
        description("\"size\":4", &format!("\"size\":{numbers}")),
        description(
            "\"kind\":\"none\"",
            &format!("\"kind\":\"none\",\"cutoff\":{numbers}"),
        ),
        description("\"kind\":\"none\"", &format!("\"kind\":{nested}")),
        description("\"hidden\":[3]", &format!("\"hidden\":{numbers}")),
        description(
            "\"bias\":[true,false]",
            &format!("\"bias\":[{}]", list("true")),
        ),
        description(
            "\"types\":[",
            &format!(
                "\"types\":[{},",
                entries(|n| format!(
                    "{{\"index\":{n},\"name\":\"{n}\",\"atomic_number\":null,\"mass\":null}}"
                ))
            ),
        ),
        description(
            "{",
            &format!(
                "{{\"provenance\":{{{}}},",
                entries(|n| format!("\"{n}\":\"\""))
            ),
        ),
        description(
            "{",
            &format!(
                "{{\"structures\":[{}],",
                entries(|_| "{\"name\":\"\",\"atoms\":1}".into())
            ),
        ),
        description("{", &format!("{{\"{}\":1,", "x".repeat(LENGTH))),
    ];
    for bytes in &files {
        assert!(load(bytes).is_err());
    }
}

/// Lengths that a reader must not believe.
#[test]
fn sizes_are_held_against_the_file() {
    let file = small_network();
    for length in [
        0,
        1,
        7,
        100_000_000,
        100_000_001,
        1 << 32,
        u64::MAX - 8,
        u64::MAX,
    ] {
        let mut bytes = file.bytes();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        assert!(load(&bytes).is_err());
    }
    for huge in [1 << 31, 1 << 53, u64::MAX / 8, u64::MAX] {
        let mut edited = file.clone();
        edited.description["structures"] =
            json!([{"name": "a", "atoms": huge}, {"name": "b", "atoms": huge}]);
        assert!(load(&edited.bytes()).is_err());
        let header =
            json!({"a": {"dtype": "F32", "shape": [huge, huge], "data_offsets": [0, huge]}});
        assert!(load(&container(&header.to_string(), &[0; 4])).is_err());
    }
}

const MUTANTS: usize = 20_400;

#[test]
fn mutants_are_refused_or_sound() {
    let mut rng = Rng::with_seed(2);
    let seeds: Vec<ModelFile> = (0..12)
        .map(|seed| {
            let mut file = random_file(&mut Rng::with_seed(seed));
            if seed % 2 == 0 {
                add_priors(&mut file, &mut rng);
            }
            file
        })
        .collect();
    let (mut accepted, mut fields) = (0, BTreeSet::new());
    for number in 0..MUTANTS {
        let bytes = mutant(&mut rng, &seeds, number % 6);
        match load(&bytes) {
            Ok(model) => {
                accepted += 1;
                compute(model);
            }
            Err(text) => {
                fields.insert(text.split(": ").next().unwrap_or_default().to_owned());
            }
        }
    }
    // A mutation that nothing notices shows nothing, and so does one that the first check notices.
    assert!(accepted < MUTANTS / 4, "{accepted} accepted");
    assert!(accepted > MUTANTS / 200, "{accepted} accepted");
    assert!(
        fields.len() > 200,
        "errors in {} fields: {fields:?}",
        fields.len()
    );
}

/// What was accepted must be of use, or say that it is not.
fn compute(model: Model) {
    use flashschnet::engine::Wanted;
    use flashschnet::potential::{Options, Potential, Precision, Structures};
    let kind = model.description().types[0].index;
    // A molecule of the file, for its priors, if it has one.
    let types = match model.structures().offsets[..] {
        [_, end, ..] if end <= 64 => model.structures().types[..end].to_vec(),
        _ => vec![kind; 2],
    };
    let positions: Vec<_> = (0..types.len())
        .map(|atom| atom as f64)
        .map(|x| [x, 0.3 * x.sin(), 0.2 * (2.0 * x).cos()])
        .collect();
    let excluded = (model.description().excluded_bonds > 0).then_some(&[][..]);
    let options = Options {
        precision: Precision::Double,
        ..Options::default()
    };
    let Ok(mut potential) = Potential::new(model.into(), options) else {
        return;
    };
    let structures = Structures {
        offsets: &[0, types.len()],
        positions: &positions,
        types: &types,
        cells: &[],
        periodic: &[],
        excluded,
        topologies: None,
    };
    let wanted = Wanted {
        forces: true,
        ..Wanted::default()
    };
    if let Ok(results) = potential.compute(&structures, wanted) {
        assert!(results.energies[0].is_finite());
    }
}

fn mutant(rng: &mut Rng, seeds: &[ModelFile], kind: usize) -> Vec<u8> {
    let mut file = seeds[rng.usize(..seeds.len())].clone();
    match kind {
        0 => flipped(rng, file.bytes()),
        1 => {
            let other = seeds[rng.usize(..seeds.len())].bytes();
            spliced(rng, file.bytes(), &other)
        }
        2 => {
            for _ in 0..rng.usize(1..3) {
                edit(rng, &mut file.description);
            }
            file.bytes()
        }
        3 => {
            // A right CRC-32 over a text that may not even be JSON.
            let other = seeds[rng.usize(..seeds.len())].description.to_string();
            let text = file.description.to_string().into_bytes();
            let text = if rng.bool() {
                flipped(rng, text)
            } else {
                spliced(rng, text, other.as_bytes())
            };
            file.bytes_with(&String::from_utf8_lossy(&text))
        }
        4 => {
            let mut description = file.description.clone();
            description["checksums"] = json!({});
            let mut header = Value::Object(file.header(&description.to_string()));
            edit(rng, &mut header);
            container(&header.to_string(), &file.data())
        }
        _ => {
            edit_tensor(rng, &mut file);
            file.bytes()
        }
    }
}

fn flipped(rng: &mut Rng, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..rng.usize(1..5) {
        let at = rng.usize(..bytes.len());
        bytes[at] = rng.u8(..);
    }
    bytes
}

/// A piece of another file in place of a piece of this one.
fn spliced(rng: &mut Rng, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    let (from, to) = piece(rng, bytes.len());
    let (start, end) = piece(rng, other.len());
    bytes.splice(from..to, other[start..end].iter().copied());
    bytes
}

fn piece(rng: &mut Rng, length: usize) -> (usize, usize) {
    let from = rng.usize(..length);
    (from, rng.usize(from..=length.min(from + 64)))
}

/// Replaces, removes or adds one value anywhere inside another.
fn edit(rng: &mut Rng, value: &mut Value) {
    let descend = rng.u8(0..8) > 0;
    match value {
        Value::Object(fields) if descend && !fields.is_empty() => {
            let names: Vec<String> = fields.keys().cloned().collect();
            let name = &names[rng.usize(..names.len())];
            match rng.u8(0..12) {
                0 => drop(fields.remove(name)),
                1 => drop(fields.insert(format!("{name}x"), strange(rng))),
                2 => {
                    let moved = fields.remove(name).unwrap_or_default();
                    fields.insert(names[rng.usize(..names.len())].clone(), moved);
                }
                _ => edit(rng, &mut fields[name]),
            }
        }
        Value::Array(items) if descend && !items.is_empty() => {
            let at = rng.usize(..items.len());
            match rng.u8(0..6) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                2 => items.push(strange(rng)),
                _ => edit(rng, &mut items[at]),
            }
        }
        _ => *value = strange(rng),
    }
}

fn strange(rng: &mut Rng) -> Value {
    match rng.u8(0..16) {
        0 => Value::Null,
        1 => true.into(),
        2 => false.into(),
        3 => 0.into(),
        4 => (-1).into(),
        5 => 1.into(),
        6 => rng.u64(2..70_000).into(),
        7 => u64::MAX.into(),
        8 => i64::MIN.into(),
        9 => 1e308.into(),
        10 => (1e-308).into(),
        11 => (rng.f64() * 4.0).into(),
        12 => "".into(),
        13 => [
            "none", "cosine", "bessel", "silu", "mean", "per_type", "F16", "I64",
        ][rng.usize(..8)]
        .into(),
        14 => json!([[[1]]]),
        _ => {
            let depth = rng.usize(1..300);
            (0..depth).fold(Value::Null, |inner, _| json!([inner]))
        }
    }
}

fn edit_tensor(rng: &mut Rng, file: &mut ModelFile) {
    let names: Vec<String> = file.tensors.keys().cloned().collect();
    let name = &names[rng.usize(..names.len())];
    let other = file.tensors[&names[rng.usize(..names.len())]].clone();
    let Some(tensor) = file.tensors.get_mut(name) else {
        return;
    };
    let at = rng.usize(..tensor.data.len());
    match rng.u8(0..9) {
        0 => drop(file.tensors.remove(name)),
        1 => drop(file.tensors.insert(format!("{name}.more"), other)),
        2 => *tensor = other,
        3 => tensor.shape.reverse(),
        4 => tensor.shape.push(1),
        5 => {
            tensor.dtype =
                ["F64", "F32", "F16", "BF16", "I64", "I32", "U8", "?"][rng.usize(..8)].into()
        }
        6 => tensor.data.truncate(at),
        // All bits set is not a number in any floating type, and −1 in any integer one.
        7 => tensor.data.fill(0xff),
        _ => tensor.data[at] = rng.u8(..),
    }
}

/// What the mutants start from is sound, and the sums over it are those of zlib.
#[test]
fn seeds_are_sound() {
    assert_eq!(crc32(b"123456789"), "cbf43926");
    for seed in 0..12 {
        let rng = &mut Rng::with_seed(seed);
        let mut file = random_file(rng);
        add_priors(&mut file, rng);
        let model = load(&file.bytes()).expect("a valid model");
        assert_eq!(model.priors().len(), 9);
    }
}
