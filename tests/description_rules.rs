//! Every rule of the description: what breaks it is refused with a text that says where and why.

mod common;

use common::model_file::ModelFile;
use common::small_model::{refused, small_model};
use serde_json::{Map, Value, json};

/// Refusals of a model after one change of its description.
#[test]
fn rules_of_the_description() {
    let long = vec![json!(1); 64];
    let cases: Vec<(&str, Value, &str)> = vec![
        (
            "/format_version",
            json!(2),
            "format_version: is 2, this library reads 1",
        ),
        (
            "/units/length",
            json!("mile"),
            "description: unknown variant `mile`, expected one of `Angstrom`, `Bohr`, `nm`",
        ),
        ("/types", json!([]), "types: is empty"),
        (
            "/types/0/index",
            json!(-1),
            "types[0].index: is -1, must not be negative",
        ),
        ("/types/1/index", json!(1), "types[1].index: 1 occurs twice"),
        (
            "/types/0/name",
            json!(""),
            "types[0].name: \"\" is empty or has white space",
        ),
        (
            "/types/0/name",
            json!("H 1"),
            "types[0].name: \"H 1\" is empty or has white space",
        ),
        (
            "/types/0/name",
            json!("H\u{0}"),
            "types[0].name: \"H\\0\" is empty or has white space",
        ),
        (
            "/types/1/name",
            json!("H"),
            "types[1].name: \"H\" occurs twice",
        ),
        (
            "/types/0/mass",
            json!(0.0),
            "types[0].mass: is 0, must be positive and finite",
        ),
        (
            "/types/0/mass",
            json!(-1.0),
            "types[0].mass: is -1, must be positive and finite",
        ),
        (
            "/types/1/atomic_number",
            json!(0),
            "types[1].atomic_number: is 0, must be 1 to 118 or null",
        ),
        (
            "/types/1/atomic_number",
            json!(4_294_967_295_u32),
            "types[1].atomic_number: is 4294967295, must be 1 to 118 or null",
        ),
        (
            "/network/cutoff",
            json!(0),
            "network.cutoff: is 0, must be positive and finite",
        ),
        (
            "/network/cutoff",
            json!(-3.0),
            "network.cutoff: is -3, must be positive and finite",
        ),
        (
            "/network/cutoff",
            json!(null),
            "description: invalid type: null, expected f64",
        ),
        (
            "/network/features",
            json!(0),
            "network.features: is 0, must be 1 to 65536",
        ),
        (
            "/network/filters",
            json!(65_537),
            "network.filters: is 65537, must be 1 to 65536",
        ),
        (
            "/network/blocks",
            json!(0),
            "network.blocks: is 0, must be 1 to 256",
        ),
        (
            "/network/blocks",
            json!(257),
            "network.blocks: is 257, must be 1 to 256",
        ),
        (
            "/network/activation",
            json!("relu"),
            "description: unknown variant `relu`, expected one of `shifted_softplus`, `tanh`, `silu`",
        ),
        (
            "/network/aggregation",
            json!("max"),
            "description: unknown variant `max`, expected `sum` or `mean`",
        ),
        (
            "/network/basis/size",
            json!(0),
            "network.basis.size: is 0, must be 1 to 65536",
        ),
        (
            "/network/basis/kind",
            json!("chebyshev"),
            "description: unknown variant `chebyshev`, expected one of `gaussian`, `exponential_normal`, `bessel`",
        ),
        (
            "/network/basis",
            json!({"kind": "gaussian", "size": 4, "alpha": 1}),
            "description: field `alpha` is not of this kind",
        ),
        (
            "/network/basis",
            json!({"kind": "bessel", "size": 4, "start": 1}),
            "description: field `start` is not of this kind",
        ),
        (
            "/network/basis",
            json!({"kind": "exponential_normal", "size": 4}),
            "description: missing field `alpha`",
        ),
        (
            "/network/basis",
            json!({"kind": "exponential_normal", "size": 4, "alpha": 0}),
            "network.basis.alpha: is 0, must be positive and finite",
        ),
        (
            "/network/basis_envelope",
            json!({"kind": "none", "cutoff": 1}),
            "description: field `cutoff` is not of this kind",
        ),
        (
            "/network/basis_envelope",
            json!({"kind": "mollifier", "lower": 1}),
            "description: field `lower` is not of this kind",
        ),
        (
            "/network/basis_envelope",
            json!({"kind": "cosine", "width": 1}),
            "description: field `width` is not of this kind",
        ),
        (
            "/network/basis_envelope",
            json!({"kind": "cosine", "colour": 1}),
            "description: unknown field `colour`, expected one of `kind`, `cutoff`, `lower`, `width`",
        ),
        (
            "/network/basis_envelope",
            json!({"kind": "cosine", "cutoff": 3.5}),
            "network.basis_envelope.cutoff: is 3.5, beyond the network's cutoff 3",
        ),
        (
            "/network/filter_envelope",
            json!({"kind": "mollifier", "cutoff": 0}),
            "network.filter_envelope.cutoff: is 0, must be positive and finite",
        ),
        (
            "/network/filter_envelope",
            json!({"kind": "cosine", "lower": 3}),
            "network.filter_envelope.lower: is 3, must be at least 0 and below the cutoff 3",
        ),
        (
            "/network/filter_envelope",
            json!({"kind": "cosine", "lower": -1}),
            "network.filter_envelope.lower: is -1, must be at least 0 and below the cutoff 3",
        ),
        (
            "/network/filter_envelope",
            json!({"kind": "shifted_cosine"}),
            "description: missing field `width`",
        ),
        (
            "/network/filter_envelope",
            json!({"kind": "shifted_cosine", "width": 0}),
            "network.filter_envelope.width: is 0, must be above 0 and at most the cutoff 3",
        ),
        (
            "/network/filter_envelope",
            json!({"kind": "shifted_cosine", "width": 4}),
            "network.filter_envelope.width: is 4, must be above 0 and at most the cutoff 3",
        ),
        (
            "/network/filter_network/hidden",
            json!([]),
            "network.filter_network.hidden: is empty, a filter network has at least two layers",
        ),
        (
            "/network/filter_network/hidden",
            json!([0]),
            "network.filter_network.hidden[0]: is 0, must be 1 to 65536",
        ),
        (
            "/network/filter_network/hidden",
            json!(long),
            "network.filter_network.hidden: has 64 layers, at most 63 are supported",
        ),
        (
            "/network/filter_network/bias",
            json!([true]),
            "network.filter_network.bias: has 1 entries for 2 layers",
        ),
        (
            "/network/readout/hidden",
            json!([65_537]),
            "network.readout.hidden[0]: is 65537, must be 1 to 65536",
        ),
        (
            "/network/readout/bias",
            json!([true, true, true]),
            "network.readout.bias: has 3 entries for 2 layers",
        ),
        ("/structures/0/atoms", json!(0), "structures[0].atoms: is 0"),
        (
            "/structures",
            json!([]),
            "priors[0].terms: is true, but the file has no structures",
        ),
        (
            "/priors/0/name",
            json!(""),
            "priors[0].name: \"\" must be letters, digits, '_' and '-'",
        ),
        (
            "/priors/0/name",
            json!("a.b"),
            "priors[0].name: \"a.b\" must be letters, digits, '_' and '-'",
        ),
        (
            "/priors/1/name",
            json!("bonds"),
            "priors[1].name: \"bonds\" occurs twice",
        ),
        (
            "/priors/1/terms",
            json!(false),
            "priors[1].terms: is false, but lookup per_term needs term lists",
        ),
        (
            "/priors/0/degrees",
            json!(1),
            "priors[0].degrees: is 1, which does not fit this kind",
        ),
        (
            "/priors/0/kind",
            json!("fourier_dihedral"),
            "priors[0].degrees: is 0, which does not fit this kind",
        ),
        (
            "/priors/0/kind",
            json!("coulomb"),
            "description: unknown variant `coulomb`, expected one of `harmonic_bond`, `harmonic_angle_cos`, `harmonic_angle`, `quartic_angle`, `restricted_bending`, `fourier_dihedral`, `harmonic_improper`, `repulsion`, `exponential_repulsion`",
        ),
        (
            "/priors/0/cutoff",
            json!(0),
            "priors[0].cutoff: is 0, must be positive and finite",
        ),
        (
            "/priors/1/cutoff",
            json!(1),
            "priors[1].cutoff: is for pair kinds only",
        ),
        (
            "/priors/0/count",
            json!(-1),
            "description: invalid value: integer `-1`, expected usize",
        ),
    ];
    let file = small_model();
    for (field, value, expected) in cases {
        let mut edited = file.clone();
        // Fields with a default are not in the file.
        let (parent, name) = field.rsplit_once('/').expect("a path");
        let place = edited.description.pointer_mut(parent).expect("a field");
        match place {
            Value::Array(items) => items[name.parse::<usize>().expect("a number")] = value.clone(),
            object => object[name] = value.clone(),
        }
        let text = refused(&edited.bytes());
        // serde says line and column after what is wrong.
        let text = text.split(" at line ").next().unwrap_or_default();
        assert_eq!(text, expected, "{field} = {value}");
    }
}

#[test]
fn a_file_of_nothing_computes_nothing() {
    let mut file = small_model();
    file.description["network"] = Value::Null;
    file.description["priors"] = json!([]);
    assert_eq!(
        refused(&file.bytes()),
        "network: is null and there are no priors: nothing to compute"
    );
}

#[test]
fn required_fields_are_required_and_others_unknown() {
    let file = small_model();
    for (parent, fields) in [
        (
            "",
            ["format_version", "units", "types", "network"].as_slice(),
        ),
        ("/units", &["length", "energy"]),
        ("/types/0", &["index", "name", "atomic_number", "mass"]),
        (
            "/network",
            &[
                "cutoff",
                "features",
                "filters",
                "blocks",
                "activation",
                "basis",
                "basis_envelope",
                "filter_envelope",
                "filter_network",
                "readout",
            ],
        ),
        ("/network/basis", &["kind", "size"]),
        ("/network/basis_envelope", &["kind"]),
        ("/network/filter_network", &["hidden", "bias"]),
        ("/network/readout", &["hidden", "bias"]),
        ("/structures/0", &["name", "atoms"]),
        ("/priors/0", &["name", "kind", "lookup", "terms", "count"]),
    ] {
        let object = |file: &mut ModelFile, change: &dyn Fn(&mut Map<String, Value>)| {
            let place = file
                .description
                .pointer_mut(parent)
                .and_then(Value::as_object_mut);
            change(place.expect("an object"));
            refused(&file.bytes())
        };
        for field in fields {
            let text = object(&mut file.clone(), &|object| drop(object.remove(*field)));
            let expected = format!("description: missing field `{field}`");
            assert!(text.starts_with(&expected), "{parent}: {text:?}");
        }
        let text = object(&mut file.clone(), &|object| {
            object.insert("colour".into(), json!(1));
        });
        assert!(
            text.starts_with("description: unknown field `colour`, expected"),
            "{parent}: {text:?}"
        );
    }
}
