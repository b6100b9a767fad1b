//! C and C++ programs against the shared library, as their authors would build them, by themselves and under valgrind.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::programs::{libraries, succeeded};
use common::random_priors::{By, KINDS, one_prior};
use common::small_model::small_network;
use common::system::{System, potential};
use fastrand::Rng;
use flashschnet::dynamics::{Integrator, Settings, Simulation};
use flashschnet::model::Model;
use flashschnet::potential::{Options, Potential, Precision, Structures};
use flashschnet::prior::TermList;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A folder of this test's own with the model the programs read.
fn workplace(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("water.safetensors"), small_network().bytes()).expect("a file");
    folder
}

/// Compiles a program the strict way.
fn build(folder: &Path, source: &str) -> PathBuf {
    let program = folder.join("program");
    let libraries = libraries();
    let (variable, fallback, standard) = if source.ends_with(".cpp") {
        ("CXX", "c++", "-std=c++17")
    } else {
        ("CC", "cc", "-std=c99")
    };
    let compiler = std::env::var(variable).unwrap_or_else(|_| fallback.into());
    let mut command = Command::new(compiler);
    command
        .args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"])
        .arg(format!("-I{ROOT}/include"))
        .arg(format!("{ROOT}/tests/{source}"))
        .arg("-o")
        .arg(&program)
        .arg(format!("-L{}", libraries.display()))
        .arg(format!("-Wl,-rpath,{}", libraries.display()))
        .args(["-lflashschnet", "-lm"]);
    succeeded(&mut command);
    program
}

/// Runs a program by itself and under valgrind, where that is installed.
fn run(folder: &Path, source: &str) -> String {
    let program = build(folder, source);
    let model = folder.join("water.safetensors");
    let text = succeeded(Command::new(&program).arg(&model));
    if Command::new("valgrind").arg("--version").output().is_ok() {
        let checked = succeeded(
            Command::new("valgrind")
                .args(["--quiet", "--error-exitcode=99", "--leak-check=full"])
                .arg("--errors-for-leak-kinds=definite,indirect,possible")
                .arg(format!("--suppressions={ROOT}/tests/c/valgrind.supp"))
                .arg(&program)
                .arg(&model),
        );
        assert_eq!(checked, text, "valgrind changes what {source} prints");
    } else {
        println!("skipped: {source} under valgrind, which is not installed");
    }
    text
}

/// The numbers a program prints, against those of the library called from Rust.
fn assert_water(text: &str) {
    let model = Model::from_bytes("water", &small_network().bytes()).expect("a model");
    let water = System {
        positions: vec![[0.0; 3], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]],
        types: vec![8, 1, 1],
        cell: None,
        periodic: [false; 3],
    };
    let results = water.compute(&mut potential(&model.into(), 1.0));
    let mut expected = results.energies;
    expected.extend(results.forces.as_flattened());
    let found: Vec<f64> = text
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        // valgrind computes logarithms and the like with other instructions.
        assert!(
            (found - expected).abs() < 1e-13,
            "{found} is not {expected}"
        );
    }
}

#[test]
fn a_c_program_computes() {
    assert_water(&run(&workplace("c_compute"), "c/compute.c"));
}

#[test]
fn a_cxx_program_computes() {
    assert_water(&run(&workplace("cxx_compute"), "cxx/compute.cpp"));
}

#[test]
fn a_program_with_the_cxx_header_computes() {
    assert_water(&run(&workplace("cxx_handles"), "cxx/handles.cpp"));
}

/// With a GPU it computes there, by itself and in a graph; without one it says what is missing.
#[test]
fn a_host_may_have_its_arrays_on_a_gpu() {
    let folder = workplace("c_gpu");
    let program = build(&folder, "c/gpu.c");
    // Not under valgrind, which has no drivers.
    let text = succeeded(Command::new(program).arg(folder.join("water.safetensors")));
    println!("{text}");
    assert!(
        text == "computed on the GPU\n" || text.starts_with("skipped: "),
        "{text}"
    );
}

#[test]
fn a_program_with_the_cxx_header_moves_replicas() {
    let folder = workplace("cxx_dynamics");
    let file = one_prior(
        &mut Rng::with_seed(3),
        &KINDS[0],
        By::Type,
        &[(vec![1, 1], vec![0, 1])],
    );
    std::fs::write(folder.join("water.safetensors"), file.bytes()).expect("a file");
    let text = run(&folder, "cxx/dynamics.cpp");
    let found: Vec<f64> = text
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();

    // The same by the crate.
    let model = Model::from_bytes("chains", &file.bytes()).expect("a model");
    let options = Options {
        precision: Precision::Double,
        threads: Some(1),
        ..Options::default()
    };
    let mut potential = Potential::new(model.into(), options).expect("a potential");
    let bonds = [TermList {
        prior: "p",
        atoms: &[0, 1, 1, 2],
    }];
    let number = potential.add_topology("chain", &[1, 2, 3], &bonds).unwrap() as i32;
    let types = [1, 2, 3].repeat(3);
    let positions: Vec<_> = (0..9)
        .map(|i| [1.1 * f64::from(i % 3), 0.1 * f64::from(i), 0.0])
        .collect();
    let structures = Structures {
        offsets: &[0, 3, 6, 9],
        positions: &positions,
        types: &types,
        cells: &[],
        periodic: &[],
        excluded: None,
        topologies: Some(&[number; 3]),
    };
    let settings = Settings {
        integrator: Integrator::Langevin { friction: 3.0 },
        timestep: 0.002,
        seed: 11,
        thermal: &[0.5, 0.6, 0.7],
        masses: None,
        velocities: None,
        streams: Some(&[4, 2, 7]),
        exchange_interval: 5,
        ladders: Some(&[0, 0, -1]),
        largest_step: None,
    };
    let mut simulation = Simulation::new(&mut potential, &structures, &settings).unwrap();
    simulation.run(&mut potential, 40).unwrap();
    let expected = simulation.state().positions.as_flattened();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        // valgrind computes logarithms and the like with other instructions, which noise is made of.
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }
}

#[test]
fn malformed_calls_get_their_texts() {
    let table = run(&workplace("c_malformed"), "c/malformed_calls.c");
    println!("{table}");
    assert!(table.lines().count() > 100, "{table}");
}
