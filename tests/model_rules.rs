//! Every rule of the model file's container, checksums and tensors: what breaks it is refused with a text that says where and why.

mod common;

use std::collections::HashMap;

use common::model_file::{ModelFile, Tensor, container, crc32};
use common::small_model::{refused, small_model};
use flashschnet::model::Model;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Map, Value, json};

/// Refusals of a model after one change of a tensor, with right checksums.
#[test]
fn rules_of_the_tensors() {
    type Change = fn(&mut ModelFile);
    fn tensor<'a>(file: &'a mut ModelFile, name: &str) -> &'a mut Tensor {
        file.tensors.get_mut(name).expect("a tensor")
    }
    fn set(file: &mut ModelFile, name: &str, changed: Tensor) {
        *tensor(file, name) = changed;
    }
    let cases: &[(Change, &str)] = &[
        (
            |f| drop(f.tensors.remove("embedding")),
            "embedding: is missing",
        ),
        (
            |f| drop(f.tensors.remove("priors.turns.offsets")),
            "priors.turns.offsets: is missing",
        ),
        (
            |f| {
                drop(
                    f.tensors
                        .insert("more".into(), Tensor::integers(&[1], &[1])),
                )
            },
            "more: is not part of the described model",
        ),
        (
            |f| tensor(f, "embedding").shape = vec![4],
            "embedding: has shape [4], the description asks for [2, 2]",
        ),
        (
            |f| set(f, "embedding", Tensor::integers(&[2, 2], &[1; 4])),
            "embedding: has type I64, must be one of F64, F32, F16, BF16",
        ),
        (
            |f| tensor(f, "structures.types").dtype = "U64".into(),
            "structures.types: has type U64, must be one of I32, I64",
        ),
        (
            |f| tensor(f, "structures.types").dtype = "I32".into(),
            "structures.types: has 24 bytes, which is not what I32 of shape [3] take",
        ),
        (
            |f| {
                set(
                    f,
                    "embedding",
                    Tensor::floats("F64", &[2, 2], &[0.0, 0.0, f64::NAN, 0.0]),
                )
            },
            "embedding: element 2 is NaN, must be finite",
        ),
        (
            |f| {
                set(
                    f,
                    "embedding",
                    Tensor::floats("F16", &[2, 2], &[0.0, 1e9, 0.0, 0.0]),
                )
            },
            "embedding: element 1 is inf, must be finite",
        ),
        (
            |f| {
                set(
                    f,
                    "basis.widths",
                    Tensor::floats("F64", &[4], &[1.0, 1.0, 0.0, 1.0]),
                )
            },
            "basis.widths: element 2 is 0, must be positive",
        ),
        (
            |f| set(f, "structures.types", Tensor::integers(&[3], &[8, 2, 1])),
            "structures.types: element 1 is 2, which is not one of the model's types",
        ),
        (
            |f| {
                set(
                    f,
                    "structures.types",
                    Tensor::integers(&[3], &[8, 1, (1 << 32) + 1]),
                )
            },
            "structures.types: element 2 is 4294967297, which is not one of the model's types",
        ),
        (
            |f| {
                set(
                    f,
                    "priors.bonds.types",
                    Tensor::integers(&[2, 2], &[8, 1, 8, 1]),
                )
            },
            "priors.bonds.types: row 1: [8, 1] occurs twice",
        ),
        (
            |f| {
                set(
                    f,
                    "priors.bonds.types",
                    Tensor::integers(&[2, 2], &[8, 1, 1, 9]),
                )
            },
            "priors.bonds.types: element 3 is 9, which is not one of the model's types",
        ),
        (
            |f| {
                set(
                    f,
                    "priors.bonds.atoms",
                    Tensor::integers(&[2, 2], &[0, 1, 0, 3]),
                )
            },
            "priors.bonds.atoms: row 1 names atom 3 of structure 0, which has 3",
        ),
        (
            |f| {
                set(
                    f,
                    "priors.bonds.atoms",
                    Tensor::integers(&[2, 2], &[0, 1, -1, 2]),
                )
            },
            "priors.bonds.atoms: row 1 names atom -1 of structure 0, which has 3",
        ),
        (
            |f| {
                set(
                    f,
                    "priors.bonds.atoms",
                    Tensor::integers(&[2, 2], &[1, 1, 0, 2]),
                )
            },
            "priors.bonds.atoms: row 0 names atom 1 twice",
        ),
        (
            |f| set(f, "priors.bonds.atoms", Tensor::integers(&[], &[1])),
            "priors.bonds.atoms: is a scalar",
        ),
        (
            |f| set(f, "priors.bonds.offsets", Tensor::integers(&[2], &[1, 2])),
            "priors.bonds.offsets: must rise from 0 to the number of terms, 2",
        ),
        (
            |f| set(f, "priors.bonds.offsets", Tensor::integers(&[2], &[0, 3])),
            "priors.bonds.offsets: must rise from 0 to the number of terms, 2",
        ),
    ];
    for (change, expected) in cases {
        let mut file = small_model();
        change(&mut file);
        assert_eq!(refused(&file.bytes()), *expected);
    }

    // Rules of a basis that the small model has not.
    let mut file = small_model();
    file.description["network"]["basis"] =
        json!({"kind": "exponential_normal", "size": 4, "alpha": 1});
    for (old, new, numbers) in [
        ("basis.centers", "basis.means", [0.5; 4]),
        ("basis.widths", "basis.betas", [1.0, -1.0, 1.0, 1.0]),
    ] {
        file.tensors.remove(old);
        file.tensors
            .insert(new.into(), Tensor::floats("F64", &[4], &numbers));
    }
    assert_eq!(
        refused(&file.bytes()),
        "basis.betas: element 1 is -1, must not be negative"
    );
}

#[test]
fn rules_of_the_checksums() {
    let file = small_model();
    let with = |change: &dyn Fn(&mut Map<String, Value>)| {
        let mut description = file.description.clone();
        let mut sums = Map::new();
        for (name, tensor) in &file.tensors {
            sums.insert(name.clone(), crc32(&tensor.data).into());
        }
        change(&mut sums);
        description["checksums"] = sums.into();
        refused(&file.bytes_with(&description.to_string()))
    };
    let right = crc32(&file.tensors["embedding"].data);
    assert_eq!(
        with(&|sums| sums["embedding"] = "00000000".into()),
        format!("embedding: is damaged: CRC-32 is {right}, the description says \"00000000\"")
    );
    assert_eq!(
        with(&|sums| sums["embedding"] = right.to_uppercase().into()),
        format!(
            "embedding: is damaged: CRC-32 is {right}, the description says {:?}",
            right.to_uppercase()
        )
    );
    assert_eq!(
        with(&|sums| drop(sums.remove("embedding"))),
        "checksums: does not name \"embedding\""
    );
    assert_eq!(
        with(&|sums| drop(sums.insert("more".into(), right.clone().into()))),
        "checksums: names \"more\", which is not in the file"
    );
}

#[test]
fn rules_of_the_container() {
    let file = small_model();
    let bytes = file.bytes();
    let whole = |text: &str| format!("container: is not a whole safetensors file: {text}");
    let tensor = |name: &str, from: usize, to: usize| {
        format!("\"{name}\":{{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[{from},{to}]}}")
    };
    for (bytes, expected) in [
        (Vec::new(), whole("it has 0 bytes")),
        (b"PK\x03\x04\0\0\0\0".to_vec(), whole("its header should have 67324752 bytes, the file has 0 after the length")),
        (
            bytes[..bytes.len() - 1].to_vec(),
            whole(&format!(
                "tensor \"structures.types\" is bytes {} to {} of {}, after one that ends at {0}",
                file.data().len() - 24,
                file.data().len(),
                file.data().len() - 1
            )),
        ),
        (
            container("{}", &[0; 3]),
            whole("its tensors end at byte 0 of 3 after the header"),
        ),
        (
            container(&format!("{{{},{}}}", tensor("a", 0, 1), tensor("b", 0, 1)), &[0; 2]),
            whole("tensor \"b\" is bytes 0 to 1 of 2, after one that ends at 1"),
        ),
        (
            container(&format!("{{{},{}}}", tensor("a", 0, 1), tensor("a", 1, 2)), &[0; 2]),
            whole("tensor \"a\" occurs twice"),
        ),
        (
            container(&format!("{{{}}}", tensor("a", 2, 1)), &[0; 2]),
            whole("tensor \"a\" is bytes 2 to 1 of 2, after one that ends at 0"),
        ),
        (
            container("{\"__metadata__\":{},\"__metadata__\":{}}", &[]),
            whole("header: duplicate field `__metadata__` at line 1 column 37"),
        ),
        (
            container("{}", &[]),
            "metadata key \"flashschnet\": is missing: not a FlashSchNet model; flashschnet convert makes one".into(),
        ),
        (
            container("{\"__metadata__\":{\"flashschnet\":\"{}\"}}", &[]),
            "metadata key \"flashschnet_crc32\": is missing: not a FlashSchNet model; flashschnet convert makes one".into(),
        ),
        (
            container("{\"__metadata__\":{\"flashschnet\":\"{}\",\"flashschnet_crc32\":\"1\"}}", &[]),
            "description: is damaged: CRC-32 is a3a6bf43, the file says \"1\"".into(),
        ),
        (
            file.bytes_with(&" ".repeat((8 << 20) + 1)),
            "description: has 8388609 bytes, at most 8388608 are read".into(),
        ),
        (
            file.bytes_with("{\"format_version\":1,\"format_version\":1}"),
            "description: duplicate field `format_version` at line 1 column 36".into(),
        ),
    ] {
        assert_eq!(refused(&bytes), expected);
    }
}

/// The tests' own writer is not all that is read.
#[test]
fn files_of_the_safetensors_crate_are_read() {
    let file = small_model();
    let mut description = file.description.clone();
    for (name, tensor) in &file.tensors {
        description["checksums"][name] = crc32(&tensor.data).into();
    }
    let text = description.to_string();
    let sum = crc32(text.as_bytes());
    let metadata = HashMap::from([
        ("flashschnet".into(), text),
        ("flashschnet_crc32".into(), sum),
        ("format".into(), "pt".into()),
    ]);
    let views = file.tensors.iter().map(|(name, tensor)| {
        let dtype = match tensor.dtype.as_str() {
            "F64" => Dtype::F64,
            "F32" => Dtype::F32,
            "F16" => Dtype::F16,
            "BF16" => Dtype::BF16,
            _ => Dtype::I64,
        };
        let view = TensorView::new(dtype, tensor.shape.clone(), &tensor.data);
        (name, view.expect("a tensor"))
    });
    let bytes = serialize(views, Some(metadata)).expect("a file");
    let expected = Model::from_bytes("water", &file.bytes()).expect("a model");
    let found = Model::from_bytes("water", &bytes).expect("a model");
    assert_eq!(found.network(), expected.network());
    assert_eq!(found.priors(), expected.priors());
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let text = |path: &str| Model::load(path).unwrap_err().to_string();
    assert_eq!(
        text("/nowhere/model.safetensors"),
        "cannot read /nowhere/model.safetensors: No such file or directory (os error 2)"
    );
    assert_eq!(text("/"), "cannot read /: it is not a regular file");
    assert_eq!(
        text("/dev/zero"),
        "cannot read /dev/zero: it is not a regular file"
    );
}
