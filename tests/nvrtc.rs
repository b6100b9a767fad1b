//! The kernels of the engine's usual model compile for every architecture, without warnings and without spilling registers.
//!
//! Needs NVRTC, but no GPU; `tests/check.py` runs it where NVRTC is, and counts it as skipped elsewhere.

mod common;

use std::sync::Arc;
use std::thread;

use common::cuda_model::usual_model;
use flashschnet::engine::cuda::{
    Filters, Limits, compile, motion_program, neighbor_program, programs, term_program,
};
use flashschnet::engine::network;
use flashschnet::filter::Tables;

const ARCHITECTURES: [(u32, u32); 7] = [(7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)];
/// The oldest, and one with everything that the kernels use.
const SOME: [(u32, u32); 2] = [(7, 5), (9, 0)];
/// All but Turing, whose blocks have too little shared memory for filters for both directions.
const NEWER: [(u32, u32); 6] = [(8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)];
/// Turing's, the least of them.
const LIMITS: Limits = Limits {
    shared: 64 * 1024,
    multiprocessors: 40,
};
/// A larger one's, which has kernels that need much shared memory.
const LARGE: Limits = Limits {
    shared: 227 * 1024,
    multiprocessors: 132,
};
/// The programs that are the same for all networks.
const COMMON: [&str; 3] = ["neighbours", "priors", "motion"];
/// That with filters for both directions of a pair.
const MUTUAL: &str = "mutual exact";
/// Bytes that a thread of the kernels on tensor cores may put aside: they do so once for a tile of pairs or of rows, outside all inner
/// loops, on some architectures and not on others.
const ASIDE: u32 = 128;
/// Those that are on tensor cores whatever the filters.
const TENSOR: [&str; 6] = [
    "update",
    "descend",
    "readout",
    "receive_spans",
    "send_spans",
    "slope_spans",
];
/// What tables are made to, coarse since only their size is compiled in.
const TOLERANCE: f64 = 1e-4;

/// A source to compile.
struct Program {
    /// What it is.
    name: &'static str,
    /// Where to: assembling takes seconds, so that what differs from another in sizes alone, or lacks some of another's kernels, goes
    /// to some architectures only.
    architectures: &'static [(u32, u32)],
    source: String,
}

/// Sources to compile.
fn all_programs() -> Vec<Program> {
    let model = usual_model(128, 5);
    let network = network(&model).expect("a network");
    let (single, double) = (
        Tables::<f32>::build(network, TOLERANCE),
        Tables::<f64>::build(network, TOLERANCE),
    );
    let mut all = Vec::new();
    let mut add = |name: &'static str, sources: flashschnet::Result<Vec<String>>| {
        let sources = sources.expect("programs");
        let last = sources.len() - 1;
        all.extend(sources.into_iter().enumerate().map(|(regime, source)| {
            // The regime with the most kernels.
            let whole = regime == last && !name.starts_with("double");
            Program {
                name,
                architectures: if whole { &ARCHITECTURES } else { &SOME },
                source,
            }
        }));
    };
    add(
        "single table",
        programs(network, Filters::Table(&single), LIMITS),
    );
    add(
        "single exact",
        programs(network, Filters::<f32>::Exact, LIMITS),
    );
    // Too wide for tensor cores, dense layers and filter networks alike.
    let wide = usual_model(272, 2);
    let wide = flashschnet::engine::network(&wide).expect("a network");
    add("wide exact", programs(wide, Filters::<f32>::Exact, LIMITS));
    add(
        "double table",
        programs(network, Filters::Table(&double), LIMITS),
    );
    let large = programs(network, Filters::<f32>::Exact, LARGE).expect("programs");
    let large = large.into_iter().find(|text| text.contains("mutual.cu"));
    all.push(Program {
        name: MUTUAL,
        architectures: &NEWER,
        source: large.expect("filters for both directions"),
    });
    let common = [neighbor_program(), term_program(), motion_program()];
    all.extend(
        COMMON
            .into_iter()
            .zip(common)
            .map(|(name, source)| Program {
                name,
                architectures: &ARCHITECTURES,
                source,
            }),
    );
    all
}

#[test]
fn every_kernel_compiles_for_every_architecture() {
    let programs = Arc::new(all_programs());
    let work: Vec<_> = (0..programs.len())
        .flat_map(|at| {
            let to = programs[at].architectures;
            to.iter().map(move |&architecture| (architecture, at))
        })
        .collect();
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers: Vec<_> = (0..threads)
        .map(|worker| {
            let (programs, work) = (programs.clone(), work.clone());
            thread::spawn(move || {
                for &(architecture, at) in work.iter().skip(worker).step_by(threads) {
                    let Program { name, source, .. } = &programs[at];
                    let log = compile(source, architecture)
                        .unwrap_or_else(|e| panic!("{name}: {e}"))
                        .log;
                    check(name, architecture, &log);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("no panic");
    }
}

/// The number before " bytes spill" and `what`.
fn spilled(line: &str, what: &str) -> u32 {
    let before = line.split(&format!(" bytes spill {what}")).next();
    let number = before.and_then(|text| text.rsplit(' ').next());
    number
        .and_then(|text| text.parse().ok())
        .expect("what ptxas says")
}

/// Reads what ptxas says: "24 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads".
fn check(name: &str, architecture: (u32, u32), log: &str) {
    let mut kernels = 0;
    let mut kernel = "";
    for line in log.lines() {
        if let Some(rest) = line.split("Function properties for ").nth(1) {
            kernel = rest.trim();
        }
        assert!(
            !line.contains("warning"),
            "{name}, {architecture:?}: {line}\n{log}"
        );
        if line.contains("bytes spill stores") {
            kernels += 1;
            let tensor =
                name.ends_with("exact") || name.starts_with("single") && TENSOR.contains(&kernel);
            let most = if tensor { ASIDE } else { 0 };
            assert!(
                spilled(line, "stores") <= most && spilled(line, "loads") <= most,
                "{name}, {architecture:?}: {line}\n{log}"
            );
        }
    }
    let least = if COMMON.contains(&name) { 2 } else { 10 };
    assert!(kernels >= least, "{name}, {architecture:?}:\n{log}");
    if std::env::var_os("FSN_SHOW_RESOURCES").is_some() {
        println!("{name} {architecture:?}\n{log}");
    }
}
