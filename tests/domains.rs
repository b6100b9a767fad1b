//! A host's own neighbour list with ghosts gives what the library's own periodic search gives.

mod common;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use common::random_model::RandomModel;
use common::random_system::random_system;
use common::system::{ALL, System, Vector, add, largest, norm, potential, sub};
use fastrand::Rng;
use flashschnet::engine::{Exchange, Results, Rows};
use flashschnet::potential::{Domain, HostNeighbors, Potential};
use flashschnet::{Error, Result};

const NETWORKS: u64 = 60;

/// A part of a system as a host would hold it: owned atoms, then ghosts.
#[derive(Debug, Clone)]
struct Part {
    positions: Vec<Vector>,
    types: Vec<i32>,
    /// The atom of the whole system that each one is or is a copy of.
    origins: Vec<usize>,
    offsets: Vec<usize>,
    neighbors: Vec<i32>,
}

impl Part {
    /// The atoms of `system` that are `owned`, with every image in reach of them.
    fn new(system: &System, cutoff: f64, owned: &[usize]) -> Self {
        // Hosts' lists reach farther than the cutoff.
        let reach = cutoff + 0.3;
        let mut part = Self {
            positions: owned.iter().map(|&i| system.positions[i]).collect(),
            types: Vec::new(),
            origins: owned.to_vec(),
            offsets: vec![0],
            neighbors: Vec::new(),
        };
        for (j, &q) in system.positions.iter().enumerate() {
            for steps in system.translations(reach) {
                let image = add(q, system.shift(steps));
                let own = owned.contains(&j) && steps == [0; 3];
                let near = owned
                    .iter()
                    .any(|&i| norm(sub(image, system.positions[i])) < reach);
                if near && !own {
                    part.positions.push(image);
                    part.origins.push(j);
                }
            }
        }
        part.types = part.origins.iter().map(|&j| system.types[j]).collect();
        for i in 0..owned.len() {
            for (j, &q) in part.positions.iter().enumerate() {
                if i != j && norm(sub(q, part.positions[i])) < reach {
                    part.neighbors.push(j as i32);
                }
            }
            part.offsets.push(part.neighbors.len());
        }
        part
    }

    fn whole(system: &System, cutoff: f64) -> Self {
        let all: Vec<usize> = (0..system.positions.len()).collect();
        Self::new(system, cutoff, &all)
    }

    fn owned(&self) -> usize {
        self.offsets.len() - 1
    }

    fn set(&self, potential: &mut Potential, base: i32, owners: Option<&[i32]>) -> Result<()> {
        let shifted: Vec<i32> = self.neighbors.iter().map(|j| j + base).collect();
        potential.set_neighbors(&HostNeighbors {
            atoms: self.positions.len(),
            offsets: &self.offsets,
            neighbors: &shifted,
            base,
            owners,
        })
    }

    fn compute(
        &self,
        potential: &mut Potential,
        exchange: Option<&mut dyn Exchange>,
    ) -> Result<Results> {
        let domain = Domain {
            positions: &self.positions,
            types: &self.types,
        };
        potential.compute_domain(&domain, exchange, ALL).cloned()
    }

    /// Adds what this part says of its atoms to the results of the whole.
    fn add_to(&self, whole: &mut Results, results: &Results) {
        whole.energies[0] += results.energies[0];
        for (atom, energy) in results.atom_energies.iter().enumerate() {
            whole.atom_energies[self.origins[atom]] += energy;
        }
        for (component, value) in results.virials[0].iter().enumerate() {
            whole.virials[0][component] += value;
        }
        for (atom, &origin) in self.origins.iter().enumerate() {
            for (sum, value) in whole.forces[origin].iter_mut().zip(results.forces[atom]) {
                *sum += value;
            }
            let shares = whole.atom_virials[origin].iter_mut();
            for (sum, value) in shares.zip(results.atom_virials[atom]) {
                *sum += value;
            }
        }
    }
}

fn zeros(atoms: usize) -> Results {
    Results {
        energies: vec![0.0],
        atom_energies: vec![0.0; atoms],
        forces: vec![[0.0; 3]; atoms],
        virials: vec![[0.0; 9]],
        atom_virials: vec![[0.0; 9]; atoms],
    }
}

fn assert_same(found: &Results, expected: &Results) {
    let parts = |results: &Results| {
        [
            results.energies.clone(),
            results.atom_energies.clone(),
            results.forces.as_flattened().to_vec(),
            results.virials.as_flattened().to_vec(),
            results.atom_virials.as_flattened().to_vec(),
        ]
    };
    for (found, expected) in parts(found).iter().zip(&parts(expected)) {
        let size = 10.0 + largest(expected);
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() <= 1e-12 * size,
                "{found} is not {expected}"
            );
        }
    }
}

/// Adds the numbers of a row to those of another.
fn add_row(rows: &mut [f64], width: usize, from: usize, to: usize) {
    for channel in 0..width {
        rows[to * width + channel] += rows[from * width + channel];
    }
}

/// The test's engines compute in float64.
fn doubles<'a>(rows: Rows<'a>) -> &'a mut [f64] {
    match rows {
        Rows::F64(rows) => rows,
        Rows::F32(_) => panic!("a float64 potential exchanges float64"),
    }
}

/// One process that owns every atom: ghosts copy from it and give back to it.
struct Periodic<'a> {
    part: &'a Part,
    calls: Vec<&'static str>,
}

impl Exchange for Periodic<'_> {
    fn forward(&mut self, rows: Rows, width: usize) -> Result<()> {
        self.calls.push("forward");
        let rows = doubles(rows);
        assert_eq!(rows.len(), self.part.positions.len() * width);
        for ghost in self.part.owned()..self.part.positions.len() {
            let owner = self.part.origins[ghost];
            rows.copy_within(owner * width..(owner + 1) * width, ghost * width);
        }
        Ok(())
    }

    fn reverse(&mut self, rows: Rows, width: usize) -> Result<()> {
        self.calls.push("reverse");
        let rows = doubles(rows);
        for ghost in self.part.owned()..self.part.positions.len() {
            add_row(rows, width, ghost, self.part.origins[ghost]);
        }
        Ok(())
    }
}

/// One of two processes: what is sent are all rows, each with the atom it stands for.
struct Half<'a> {
    part: &'a Part,
    to: Sender<Vec<f64>>,
    from: Receiver<Vec<f64>>,
    other: &'a Part,
}

impl Half<'_> {
    fn swap(&self, rows: &[f64]) -> Result<Vec<f64>> {
        let lost = |_: RecvTimeoutError| Error::Callback("the other half is gone".into());
        self.to
            .send(rows.to_vec())
            .map_err(|_| Error::Callback("the other half is gone".into()))?;
        self.from
            .recv_timeout(Duration::from_secs(60))
            .map_err(lost)
    }

    fn owned_row(part: &Part, origin: usize) -> Option<usize> {
        part.origins[..part.owned()]
            .iter()
            .position(|&o| o == origin)
    }
}

impl Exchange for Half<'_> {
    fn forward(&mut self, rows: Rows, width: usize) -> Result<()> {
        let rows = doubles(rows);
        let others = self.swap(rows)?;
        for ghost in self.part.owned()..self.part.positions.len() {
            let origin = self.part.origins[ghost];
            let row = match Self::owned_row(self.part, origin) {
                Some(own) => rows[own * width..][..width].to_vec(),
                None => {
                    let theirs = Self::owned_row(self.other, origin).expect("an owner");
                    others[theirs * width..][..width].to_vec()
                }
            };
            rows[ghost * width..][..width].copy_from_slice(&row);
        }
        Ok(())
    }

    fn reverse(&mut self, rows: Rows, width: usize) -> Result<()> {
        let rows = doubles(rows);
        let others = self.swap(rows)?;
        for ghost in self.part.owned()..self.part.positions.len() {
            if let Some(own) = Self::owned_row(self.part, self.part.origins[ghost]) {
                add_row(rows, width, ghost, own);
            }
        }
        for ghost in self.other.owned()..self.other.positions.len() {
            if let Some(own) = Self::owned_row(self.part, self.other.origins[ghost]) {
                for channel in 0..width {
                    rows[own * width + channel] += others[ghost * width + channel];
                }
            }
        }
        Ok(())
    }
}

/// Networks whose energies a domain can know: averages over atoms need all of them.
fn for_each_network(mut check: impl FnMut(&RandomModel, &System, &Results)) {
    for seed in 0..NETWORKS {
        let model = RandomModel::with(seed, |network| network["energy_aggregation"] = "sum".into());
        let system = random_system(&mut Rng::with_seed(seed), &model);
        let expected = system.compute(&mut potential(&model.model, 0.0));
        check(&model, &system, &expected);
    }
}

#[test]
fn ghosts_with_owners_are_the_periodic_images() {
    for seed in 0..NETWORKS {
        // Averages over atoms work too: the host has said that it has the whole structure.
        let model = RandomModel::new(seed);
        let system = random_system(&mut Rng::with_seed(seed), &model);
        let mut potential = potential(&model.model, 0.0);
        let expected = system.compute(&mut potential);
        let part = Part::whole(&system, model.cutoff());
        for base in [0, 1] {
            let owners: Vec<i32> = part.origins.iter().map(|&o| o as i32 + base).collect();
            part.set(&mut potential, base, Some(&owners))
                .expect("a valid list");
            let results = part.compute(&mut potential, None).expect("a valid domain");
            let ghosts = results.forces[part.owned()..].as_flattened();
            assert_eq!(largest(ghosts), 0.0, "forces are on the owners");
            let mut whole = zeros(system.positions.len());
            part.add_to(&mut whole, &results);
            assert_same(&whole, &expected);
        }
    }
}

#[test]
fn ghosts_with_an_exchange_are_the_periodic_images() {
    for_each_network(|model, system, expected| {
        let mut potential = potential(&model.model, 0.0);
        let part = Part::whole(system, model.cutoff());
        part.set(&mut potential, 0, None).expect("a valid list");
        let mut exchange = Periodic {
            part: &part,
            calls: Vec::new(),
        };
        let results = part
            .compute(&mut potential, Some(&mut exchange))
            .expect("a valid domain");
        let hops = model.network("blocks").as_u64().expect("blocks") as usize - 1;
        let expected_calls = [vec!["forward"; hops], vec!["reverse"; hops]].concat();
        assert_eq!(exchange.calls, expected_calls);
        let mut whole = zeros(system.positions.len());
        part.add_to(&mut whole, &results);
        assert_same(&whole, expected);
    });
}

#[test]
fn two_domains_are_one_system() {
    for_each_network(|model, system, expected| {
        // Every second atom: nothing is as tangled as that.
        let atoms = system.positions.len();
        let owned = [0, 1].map(|first| (first..atoms).step_by(2).collect::<Vec<_>>());
        let parts = owned.map(|owned| Part::new(system, model.cutoff(), &owned));
        let ((to_second, from_first), (to_first, from_second)) = (channel(), channel());
        let halves = [
            Half {
                part: &parts[0],
                other: &parts[1],
                to: to_second,
                from: from_second,
            },
            Half {
                part: &parts[1],
                other: &parts[0],
                to: to_first,
                from: from_first,
            },
        ];
        let mut whole = zeros(atoms);
        std::thread::scope(|scope| {
            let running = halves.map(|mut half| {
                scope.spawn(move || {
                    let mut potential = potential(&model.model, 0.0);
                    half.part.set(&mut potential, 1, None)?;
                    let part = half.part;
                    part.compute(&mut potential, Some(&mut half))
                })
            });
            for (part, thread) in parts.iter().zip(running) {
                let results = thread.join().expect("no panic").expect("a valid domain");
                part.add_to(&mut whole, &results);
            }
        });
        assert_same(&whole, expected);
    });
}

/// A model with this many blocks whose atoms' energies are added, and a crystal for it.
fn with_blocks(wanted: u64, aggregation: &str) -> (RandomModel, System) {
    let seed = (0..)
        .find(|&seed| RandomModel::new(seed).network("blocks").as_u64() == Some(wanted))
        .expect("a seed");
    let model = RandomModel::with(seed, |network| {
        network["energy_aggregation"] = aggregation.into();
    });
    let system = common::random_system::random_crystal(&mut Rng::with_seed(1), &model);
    (model, system)
}

#[test]
fn one_block_needs_no_exchange() {
    let (model, system) = with_blocks(1, "sum");
    let mut potential = potential(&model.model, 0.0);
    let expected = system.compute(&mut potential);
    let part = Part::whole(&system, model.cutoff());
    part.set(&mut potential, 0, None).expect("a valid list");
    let results = part.compute(&mut potential, None).expect("a valid domain");
    let mut whole = zeros(system.positions.len());
    part.add_to(&mut whole, &results);
    assert_same(&whole, &expected);
}

#[test]
fn a_domain_without_atoms_exchanges_all_the_same() {
    let (model, _) = with_blocks(3, "sum");
    let mut potential = potential(&model.model, 0.0);
    let part = Part {
        positions: Vec::new(),
        types: Vec::new(),
        origins: Vec::new(),
        offsets: vec![0],
        neighbors: Vec::new(),
    };
    part.set(&mut potential, 0, None).expect("a valid list");
    let mut exchange = Periodic {
        part: &part,
        calls: Vec::new(),
    };
    let results = part.compute(&mut potential, Some(&mut exchange));
    assert_eq!(results.expect("nothing to compute").energies, [0.0]);
    assert_eq!(exchange.calls, ["forward", "forward", "reverse", "reverse"]);
}

/// An exchange that fails in the call with this number.
struct Failing(usize);

impl Exchange for Failing {
    fn forward(&mut self, _: Rows, _: usize) -> Result<()> {
        self.0 = self.0.wrapping_sub(1);
        if self.0 == usize::MAX {
            return Err(Error::Callback("the line is cut".into()));
        }
        Ok(())
    }

    fn reverse(&mut self, rows: Rows, width: usize) -> Result<()> {
        self.forward(rows, width)
    }
}

#[test]
fn failing_exchanges_end_the_call() {
    let (model, system) = with_blocks(3, "sum");
    let mut potential = potential(&model.model, 0.0);
    let part = Part::whole(&system, model.cutoff());
    part.set(&mut potential, 0, None).expect("a valid list");
    for call in 0..4 {
        let error = part.compute(&mut potential, Some(&mut Failing(call)));
        assert_eq!(
            error.unwrap_err().to_string(),
            "callback failed: the line is cut"
        );
    }
    // The potential is as good as before.
    let mut exchange = Periodic {
        part: &part,
        calls: Vec::new(),
    };
    assert!(part.compute(&mut potential, Some(&mut exchange)).is_ok());
}

#[test]
fn incomplete_domains_are_refused() {
    let (model, system) = with_blocks(2, "sum");
    let mut two = potential(&model.model, 0.0);
    let part = Part::whole(&system, model.cutoff());
    let refused = |result: Result<Results>| result.unwrap_err().to_string();
    assert_eq!(
        refused(part.compute(&mut two, None)),
        "invalid argument: no neighbour list has been set"
    );
    part.set(&mut two, 0, None).expect("a valid list");
    assert_eq!(
        refused(part.compute(&mut two, None)),
        format!(
            "invalid argument: {} ghost atoms, but neither their owners nor an exchange are given",
            part.positions.len() - part.owned()
        )
    );
    let owners: Vec<i32> = part.origins.iter().map(|&o| o as i32).collect();
    part.set(&mut two, 0, Some(&owners)).expect("a valid list");
    assert_eq!(
        refused(part.compute(&mut two, Some(&mut Failing(0)))),
        "invalid argument: both owners of ghosts and an exchange are given"
    );
    let mut short = part.clone();
    short.positions.pop();
    assert_eq!(
        refused(short.compute(&mut two, None)),
        format!(
            "invalid argument: {} positions for a neighbour list of {} atoms",
            short.positions.len(),
            part.positions.len()
        )
    );

    let (model, system) = with_blocks(1, "mean");
    let part = Part::whole(&system, model.cutoff());
    let mut mean = potential(&model.model, 0.0);
    part.set(&mut mean, 0, None).expect("a valid list");
    assert_eq!(
        refused(part.compute(&mut mean, None)),
        "not supported: a model that averages atomic energies needs the whole structure, not one domain of it"
    );
}

#[test]
fn unsound_lists_are_refused_and_the_old_one_kept() {
    let (model, system) = with_blocks(2, "sum");
    let mut potential = potential(&model.model, 0.0);
    let part = Part::whole(&system, model.cutoff());
    let owners: Vec<i32> = part.origins.iter().map(|&o| o as i32).collect();
    part.set(&mut potential, 0, Some(&owners))
        .expect("a valid list");
    let before = part.compute(&mut potential, None).expect("a valid domain");

    let atoms = part.positions.len() as i32;
    let owned = part.owned();
    let entries = part.neighbors.len();
    let refused =
        |potential: &mut Potential, base, owners: Option<&[i32]>, change: &dyn Fn(&mut Part)| {
            let mut part = part.clone();
            change(&mut part);
            let host = HostNeighbors {
                atoms: atoms as usize,
                offsets: &part.offsets,
                neighbors: &part.neighbors,
                base,
                owners,
            };
            potential.set_neighbors(&host).unwrap_err().to_string()
        };
    let neighbor = |value: i32| move |part: &mut Part| part.neighbors[0] = value;
    for (found, expected) in [
        (
            refused(&mut potential, 0, None, &neighbor(atoms)),
            format!("neighbour {atoms} of atom 0 is not one of {atoms} atoms"),
        ),
        (
            refused(&mut potential, 0, None, &neighbor(-1)),
            format!("neighbour -1 of atom 0 is not one of {atoms} atoms"),
        ),
        (
            refused(&mut potential, 1, None, &neighbor(0)),
            format!("neighbour 0 of atom 0 is not one of {atoms} atoms"),
        ),
        (
            refused(&mut potential, 0, None, &neighbor(i32::MIN)),
            format!(
                "neighbour {} of atom 0 is not one of {atoms} atoms",
                i32::MIN
            ),
        ),
        (
            refused(&mut potential, 0, None, &|part| {
                part.offsets[1] = entries + 1
            }),
            "neighbour offsets falls after element 1".into(),
        ),
        (
            refused(&mut potential, 0, None, &|part| part.offsets[0] = 1),
            format!("neighbour offsets must run from 0 to the number of neighbours, {entries}"),
        ),
        (
            refused(&mut potential, 0, None, &|part| part.offsets.clear()),
            "neighbour offsets are empty".into(),
        ),
        (
            refused(&mut potential, 0, None, &|part| {
                part.offsets = vec![0; atoms as usize + 2];
            }),
            format!("{} owned atoms of {atoms} in all", atoms + 1),
        ),
        (
            refused(&mut potential, 0, Some(&owners[1..]), &|_| ()),
            format!("{} owners for {atoms} atoms", atoms - 1),
        ),
        (
            refused(&mut potential, 0, Some(&vec![0; atoms as usize]), &|_| ()),
            format!(
                "owner 0 of atom 1 is not one of {owned} owned atoms, or an owned atom has another owner"
            ),
        ),
        (
            refused(
                &mut potential,
                0,
                Some(
                    &[
                        &owners[..owned],
                        &vec![owned as i32; atoms as usize - owned],
                    ]
                    .concat(),
                ),
                &|_| (),
            ),
            format!(
                "owner {owned} of atom {owned} is not one of {owned} owned atoms, or an owned atom has another owner"
            ),
        ),
    ] {
        assert_eq!(found, format!("invalid argument: {expected}"));
    }
    assert_eq!(
        part.compute(&mut potential, None).expect("the old list"),
        before
    );
}
