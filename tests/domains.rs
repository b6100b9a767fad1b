//! A host's own neighbour list with ghosts gives what the library's own periodic search gives.

mod common;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use common::random_model::RandomModel;
use common::random_system::random_system;
use common::system::{ALL, System, Vector, add, largest, norm, potential, sub};
use fastrand::Rng;
use flashschnet::engine::reference::ReferenceEngine;
use flashschnet::engine::{Exchange, Results, Rows};
use flashschnet::potential::{Domain, HostNeighbors, Options, Potential};
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

    /// Which atom each one is a copy of: an owned one, or the first ghost of the same.
    fn owners(&self) -> Vec<i32> {
        let first = |origin| self.origins.iter().position(|other| other == origin);
        let found = self
            .origins
            .iter()
            .map(|origin| first(origin).expect("it") as i32);
        found.collect()
    }

    /// The atoms of the whole system that rows stand for: all atoms here, or each of them once.
    fn rows(&self, once: bool) -> Vec<usize> {
        let mut rows = self.origins.clone();
        if once {
            let mut seen = Vec::new();
            rows.retain(|origin| {
                let new = !seen.contains(origin);
                seen.push(*origin);
                new
            });
        }
        rows
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
        terms: Vec::new(),
    }
}

fn assert_same(found: &Results, expected: &Results) {
    assert_close(found, expected, 1e-12);
}

fn assert_close(found: &Results, expected: &Results, tolerance: f64) {
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
                (found - expected).abs() <= tolerance * size,
                "{found} is not {expected}"
            );
        }
    }
}

/// Hands rows to `change` as float64.
fn in_doubles(rows: Rows, change: impl FnOnce(&mut [f64]) -> Result<()>) -> Result<()> {
    match rows {
        Rows::F64(rows) => change(rows),
        Rows::OnDevice(_) => unreachable!("rows of a processor"),
        Rows::F32(rows) => {
            let mut doubles: Vec<f64> = rows.iter().map(|&x| f64::from(x)).collect();
            change(&mut doubles)?;
            for (row, double) in rows.iter_mut().zip(doubles) {
                *row = double as f32;
            }
            Ok(())
        }
    }
}

/// One process that owns every atom: ghosts copy from it.
struct Periodic<'a> {
    part: &'a Part,
    calls: usize,
}

impl Exchange for Periodic<'_> {
    fn forward(&mut self, rows: Rows, width: usize) -> Result<()> {
        self.calls += 1;
        in_doubles(rows, |rows| {
            assert_eq!(rows.len(), self.part.positions.len() * width);
            for ghost in self.part.owned()..self.part.positions.len() {
                let owner = self.part.origins[ghost];
                rows.copy_within(owner * width..(owner + 1) * width, ghost * width);
            }
            Ok(())
        })
    }
}

/// Rows, each with the atom of the whole system that it stands for.
type Message = Vec<(usize, Vec<f64>)>;

/// One of several processes: each sends the rows of its atoms to all.
struct Process {
    owned: usize,
    /// The atoms of the whole system that its rows stand for.
    rows: Vec<usize>,
    to: Vec<Sender<Message>>,
    from: Vec<Receiver<Message>>,
    /// Rows brought from others.
    brought: usize,
}

impl Process {
    /// Processes with these parts, connected with each other.
    fn of(parts: &[Part], once: bool) -> Vec<Self> {
        let process = |part: &Part| Self {
            owned: part.owned(),
            rows: part.rows(once),
            to: Vec::new(),
            from: Vec::new(),
            brought: 0,
        };
        let mut all: Vec<Self> = parts.iter().map(process).collect();
        for one in 0..all.len() {
            for other in 0..all.len() {
                let (to, from) = channel();
                all[one].to.push(to);
                all[other].from.push(from);
            }
        }
        all
    }
}

impl Exchange for Process {
    fn forward(&mut self, rows: Rows, width: usize) -> Result<()> {
        let lost = || Error::Callback("a process is gone".into());
        in_doubles(rows, |rows| {
            assert_eq!(rows.len(), self.rows.len() * width);
            let mine: Message = (0..self.owned)
                .map(|row| (self.rows[row], rows[row * width..][..width].to_vec()))
                .collect();
            for to in &self.to {
                to.send(mine.clone()).map_err(|_| lost())?;
            }
            let mut known = Vec::new();
            for from in &self.from {
                let theirs = from.recv_timeout(Duration::from_secs(60));
                known.extend(theirs.map_err(|_| lost())?);
            }
            for (row, origin) in self.rows.iter().enumerate().skip(self.owned) {
                let found = known.iter().find(|(atom, _)| atom == origin);
                let (_, found) = found.expect("somebody's");
                rows[row * width..][..width].copy_from_slice(found);
                self.brought += 1;
            }
            Ok(())
        })
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
            calls: 0,
        };
        let results = part
            .compute(&mut potential, Some(&mut exchange))
            .expect("a valid domain");
        let blocks = model.network("blocks").as_u64().expect("blocks") as usize;
        assert_eq!(exchange.calls, 2 * blocks - 1);
        let ghosts = results.forces[part.owned()..].as_flattened();
        assert_eq!(largest(ghosts), 0.0, "forces are on the owners");
        let mut whole = zeros(system.positions.len());
        part.add_to(&mut whole, &results);
        assert_same(&whole, expected);
    });
}

fn reference(model: &RandomModel) -> Potential {
    let engine = ReferenceEngine::new(model.model.clone()).expect("an engine");
    Potential::with_engine(model.model.clone(), Box::new(engine), Options::default())
        .expect("a potential")
}

fn double(model: &RandomModel) -> Potential {
    potential(&model.model, 0.0)
}

fn single(model: &RandomModel) -> Potential {
    let options = Options {
        threads: Some(2),
        ..Options::default()
    };
    Potential::new(model.model.clone(), options).expect("a potential")
}

/// What `domains` processes find together, every so-manieth atom on each: nothing is as tangled as that.
///
/// `once`: other domains' atoms have one row each, however many images of them are here.
fn divided(
    (model, system): (&RandomModel, &System),
    (domains, once): (usize, bool),
    engine: fn(&RandomModel) -> Potential,
) -> Results {
    let atoms = system.positions.len();
    let owned = |first| (first..atoms).step_by(domains).collect::<Vec<_>>();
    let parts: Vec<Part> = (0..domains)
        .map(|first| Part::new(system, model.cutoff(), &owned(first)))
        .collect();
    let processes = Process::of(&parts, once);
    let mut whole = zeros(atoms);
    std::thread::scope(|scope| {
        let running: Vec<_> = parts
            .iter()
            .zip(processes)
            .map(|(part, mut process)| {
                scope.spawn(move || {
                    let mut potential = engine(model);
                    let owners: Vec<i32> = part.owners().iter().map(|owner| owner + 1).collect();
                    part.set(&mut potential, 1, once.then_some(&owners))?;
                    let results = part.compute(&mut potential, Some(&mut process))?;
                    let calls = 2 * model.network("blocks").as_u64().expect("blocks") as usize - 1;
                    let other = process.rows.len() - process.owned;
                    assert_eq!(process.brought, calls * other);
                    Ok::<_, Error>(results)
                })
            })
            .collect();
        for (part, thread) in parts.iter().zip(running) {
            let results = thread.join().expect("no panic").expect("a valid domain");
            let ghosts = results.forces[part.owned()..].as_flattened();
            assert_eq!(largest(ghosts), 0.0, "forces are on the owners");
            part.add_to(&mut whole, &results);
        }
    });
    whole
}

#[test]
fn domains_are_one_system() {
    for_each_network(|model, system, expected| {
        for how in [(2, false), (2, true), (3, true)] {
            assert_same(&divided((model, system), how, double), expected);
        }
    });
}

/// Rounding of float32, in the sums of the largest of these networks.
#[test]
fn domains_are_one_system_for_other_engines() {
    let mut images = 0;
    for seed in 0..NETWORKS / 4 {
        let model = RandomModel::with(seed, |network| network["energy_aggregation"] = "sum".into());
        // Cells are thinner than the cutoff: an atom is there many times.
        let system = common::random_system::random_crystal(&mut Rng::with_seed(seed), &model);
        let part = Part::new(&system, model.cutoff(), &[0]);
        images += part.rows(false).len() - part.rows(true).len();
        let expected = system.compute(&mut reference(&model));
        for how in [(2, false), (2, true), (3, true)] {
            assert_same(&divided((&model, &system), how, reference), &expected);
            let whole = system.compute(&mut single(&model));
            assert_close(&divided((&model, &system), how, single), &whole, 1e-5);
        }
    }
    assert!(images > 100, "{images}");
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
        calls: 0,
    };
    let results = part.compute(&mut potential, Some(&mut exchange));
    assert_eq!(results.expect("nothing to compute").energies, [0.0]);
    assert_eq!(exchange.calls, 5);
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
}

#[test]
fn failing_exchanges_end_the_call() {
    let (model, system) = with_blocks(3, "sum");
    let mut potential = potential(&model.model, 0.0);
    let part = Part::whole(&system, model.cutoff());
    part.set(&mut potential, 0, None).expect("a valid list");
    for call in 0..5 {
        let error = part.compute(&mut potential, Some(&mut Failing(call)));
        assert_eq!(
            error.unwrap_err().to_string(),
            "callback failed: the line is cut"
        );
    }
    // The potential is as good as before.
    let mut exchange = Periodic {
        part: &part,
        calls: 0,
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
    // Ghosts that stand for atoms elsewhere: one for all.
    let mut owners: Vec<i32> = (0..part.positions.len() as i32).collect();
    owners[part.owned() + 1..].fill(part.owned() as i32);
    part.set(&mut two, 0, Some(&owners)).expect("a valid list");
    let elsewhere =
        "invalid argument: 1 ghost atoms, but neither their owners nor an exchange are given";
    assert_eq!(refused(part.compute(&mut two, None)), elsewhere);
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
    let mut owners: Vec<i32> = (0..part.positions.len() as i32).collect();
    owners[part.owned() + 1..].fill(part.owned() as i32);
    part.set(&mut mean, 0, Some(&owners)).expect("a valid list");
    assert_eq!(refused(part.compute(&mut mean, None)), elsewhere);
    let averages = "not supported: a model that averages atomic energies needs the whole structure, not one domain of it";
    for owners in [None, Some(part.owners())] {
        part.set(&mut mean, 0, owners.as_deref())
            .expect("a valid list");
        let mut exchange = Failing(0);
        let exchange: Option<&mut dyn Exchange> = match owners {
            None => None,
            Some(_) => Some(&mut exchange),
        };
        assert_eq!(refused(part.compute(&mut mean, exchange)), averages);
    }
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
    // The first ghost's owner is another.
    let with_owner = |owner: i32| {
        let mut owners = owners.clone();
        owners[owned] = owner;
        owners
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
            "owner 0 of atom 1 is another atom, but this one is owned".into(),
        ),
        (
            refused(&mut potential, 0, Some(&with_owner(atoms)), &|_| ()),
            format!("owner {atoms} of atom {owned} is not one of {atoms} atoms"),
        ),
        (
            refused(&mut potential, 0, Some(&with_owner(-1)), &|_| ()),
            format!("owner -1 of atom {owned} is not one of {atoms} atoms"),
        ),
        (
            refused(
                &mut potential,
                0,
                Some(&with_owner(owned as i32 + 1)),
                &|_| (),
            ),
            format!(
                "owner {} of atom {owned} is a ghost that has another owner itself",
                owned + 1
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
