//! Neighbour lists from a thousand to a million atoms.
//!
//! `cargo bench --bench neighbors` measures with criterion. With `--serve`, the program answers
//! `neighbors_peers.py`, which times other libraries beside this one.

use criterion::{BenchmarkId, Criterion, Throughput};
use flashschnet::neighbors::{Batch, Cell, NeighborList, Structure, VerletList, Workspace};
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

const CUTOFF: f64 = 5.0;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == "--serve") {
        return serve(&arguments[at + 1..]);
    }
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .sample_size(10)
        .configure_from_args();
    lists(&mut criterion);
    criterion.final_summary();
}

fn lists(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("neighbors");
    for side in [10, 22, 46, 100] {
        let (positions, cell) = liquid(side);
        let structure = Structure {
            positions: &positions,
            cell: &cell,
        };
        let atoms = positions.len();
        group.throughput(Throughput::Elements(atoms as u64));
        group.bench_function(BenchmarkId::new("build", atoms), |b| {
            b.iter(|| NeighborList::build(black_box(&structure), CUTOFF).unwrap());
        });
        let mut list = NeighborList::new();
        let mut workspace = Workspace::default();
        group.bench_function(BenchmarkId::new("rebuild", atoms), |b| {
            b.iter(|| {
                list.rebuild(black_box(&structure), CUTOFF, &mut workspace)
                    .unwrap();
            });
        });
        let mut verlet = VerletList::new();
        group.bench_function(BenchmarkId::new("verlet_unchanged", atoms), |b| {
            b.iter(|| {
                verlet
                    .update(black_box([structure]).into_iter(), CUTOFF, 0.5)
                    .unwrap()
            });
        });
    }
    // 64 replicas of a coarse-grained protein: no cell, nearly all pairs within the cutoff.
    let (protein, _) = liquid(7);
    let open = Cell::open();
    let protein: Vec<[f64; 3]> = protein[..269].iter().map(|p| p.map(|x| 2.3 * x)).collect();
    let structures = [Structure {
        positions: &protein,
        cell: &open,
    }; 64];
    let mut list = NeighborList::new();
    let mut workspace = Workspace::default();
    group.throughput(Throughput::Elements(64 * 269));
    group.bench_function("batch_64x269", |b| {
        b.iter(|| {
            Batch::new(black_box(&structures))
                .rebuild(&mut list, 20.0, &mut workspace)
                .unwrap();
        });
    });
    eprintln!("{} pairs in the batch", list.n_pairs());
    group.finish();
}

/// A displaced simple cubic crystal of `side`³ atoms at 0.1 atoms per cubic ångström.
fn liquid(side: usize) -> (Vec<[f64; 3]>, Cell) {
    const SPACING: f64 = 2.1544;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut uniform = move || {
        // xorshift64*: reproducible without a dependency.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut positions = Vec::with_capacity(side.pow(3));
    for x in 0..side {
        for y in 0..side {
            for z in 0..side {
                positions.push([x, y, z].map(|k| (k as f64 + 0.6 * (uniform() - 0.5)) * SPACING));
            }
        }
    }
    let l = side as f64 * SPACING;
    let cell = Cell::new([[l, 0.0, 0.0], [0.0, l, 0.0], [0.0, 0.0, l]], [true; 3]).unwrap();
    (positions, cell)
}

/// Time one call for each line of standard input: `build` or `rebuild`.
///
/// `arguments`: a file of positions (raw float64), nine numbers of the cell, the cutoff. Answers with seconds and the
/// number of pairs. The first atom of each pair is written out too, as the other libraries do.
fn serve(arguments: &[String]) {
    let bytes = std::fs::read(&arguments[0]).unwrap();
    let numbers: Vec<f64> = bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|b| f64::from_le_bytes(*b))
        .collect();
    let (positions, _) = numbers.as_chunks::<3>();
    let cell: Vec<f64> = arguments[1..11]
        .iter()
        .map(|a| a.parse().unwrap())
        .collect();
    let cutoff = cell[9];
    let rows = [
        [cell[0], cell[1], cell[2]],
        [cell[3], cell[4], cell[5]],
        [cell[6], cell[7], cell[8]],
    ];
    let cell = Cell::new(rows, [true; 3]).unwrap();
    let structure = Structure {
        positions,
        cell: &cell,
    };
    let mut list = NeighborList::new();
    let mut workspace = Workspace::default();
    let mut centers: Vec<u32> = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let start = Instant::now();
        if line == "build" {
            list = NeighborList::build(&structure, cutoff).unwrap();
            centers = list.centers();
        } else {
            list.rebuild(&structure, cutoff, &mut workspace).unwrap();
            centers.clear();
            for i in 0..list.n_atoms() {
                centers.resize(list.offsets[i + 1], i as u32);
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("{seconds} {}", list.n_pairs());
        if line == "build" {
            list = NeighborList::new();
            centers = Vec::new();
        }
        black_box(&centers);
        std::io::stdout().flush().unwrap();
    }
}
