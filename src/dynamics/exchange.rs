//! Parallel tempering: neighbours on a ladder of temperatures exchange their configurations.
//!
//! Y. Sugita, Y. Okamoto, Chem. Phys. Lett. 314, 141 (1999). A pair of replicas a, b with potential energies U and
//! inverse thermal energies β exchanges with the probability min(1, exp((βa − βb)(Ua − Ub))), and velocities are scaled
//! by the square root of the ratio of temperatures. Even pairs and odd pairs take turns.

use super::philox::{Philox, Purpose};
use super::settings::Kind;
use crate::{Error, Result};

/// Two replicas at neighbouring temperatures, the colder first, and how they got on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The two replicas.
    pub replicas: [usize; 2],
    /// Exchanges attempted.
    pub attempts: u64,
    /// Exchanges made.
    pub accepted: u64,
}

/// All pairs of all ladders.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Ladders {
    pub pairs: Vec<Pair>,
    /// For each pair, its place on its ladder, and whether it is the only one there.
    places: Vec<(u64, bool)>,
}

impl Ladders {
    /// The ladders that `given` numbers tell of, negative for none; replicas of one must be of one kind.
    pub fn new(given: &[i32], kinds: &[Kind], thermal: &[f64]) -> Result<Self> {
        let mut order: Vec<usize> = (0..given.len()).filter(|&r| given[r] >= 0).collect();
        // A stable sort: replicas at one temperature stay in the caller's order.
        order.sort_by(|&a, &b| {
            let warmth = thermal[a].total_cmp(&thermal[b]);
            given[a].cmp(&given[b]).then(warmth)
        });
        let mut ladders = Self::default();
        for rungs in order.chunk_by(|&a, &b| given[a] == given[b]) {
            if rungs.len() < 2 {
                return Err(Error::invalid(format!(
                    "ladder {} has only replica {}: exchange needs two",
                    given[rungs[0]], rungs[0]
                )));
            }
            for (place, pair) in (0..).zip(rungs.windows(2)) {
                let [a, b] = [pair[0], pair[1]];
                if let Some(what) = kinds[a].difference(&kinds[b]) {
                    return Err(Error::invalid(format!(
                        "replicas {a} and {b} cannot exchange: they have different {what}"
                    )));
                }
                ladders.pairs.push(Pair {
                    replicas: [a, b],
                    attempts: 0,
                    accepted: 0,
                });
                ladders.places.push((place, rungs.len() == 2));
            }
        }
        if ladders.pairs.is_empty() {
            return Err(Error::invalid("no replica is on a ladder to exchange on"));
        }
        Ok(ladders)
    }

    /// Decides on the pairs whose turn it is in attempt `round`, at `step`; `exchanged` gets those that exchange.
    ///
    /// `energy` is a replica's potential energy, or none if it takes no part.
    pub fn attempt(
        &mut self,
        round: u64,
        step: u64,
        random: Philox,
        thermal: &[f64],
        energy: impl Fn(usize) -> Option<f64>,
        exchanged: &mut Vec<[usize; 2]>,
    ) {
        exchanged.clear();
        let places = self.pairs.iter_mut().zip(&self.places);
        for (number, (pair, &(place, alone))) in (0..).zip(places) {
            if !alone && place % 2 != round % 2 {
                continue;
            }
            let [a, b] = pair.replicas;
            let (Some(ua), Some(ub)) = (energy(a), energy(b)) else {
                continue;
            };
            pair.attempts += 1;
            let exponent = (ua - ub) * (1.0 / thermal[a] - 1.0 / thermal[b]);
            if random.uniform(Purpose::Exchange, 0, step, number).ln() < exponent {
                pair.accepted += 1;
                exchanged.push([a, b]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair_of_two() -> Ladders {
        let pair = Pair {
            replicas: [0, 1],
            attempts: 0,
            accepted: 0,
        };
        Ladders {
            pairs: vec![pair],
            places: vec![(0, true)],
        }
    }

    /// Two states of energies 0 and 1, two temperatures: what is drawn from the product of both distributions must
    /// stay so distributed after an exchange, and as many pairs must go from one order to the other as back.
    #[test]
    fn keeps_the_distribution_of_two_states() {
        const DRAWS: u64 = 200_000;
        let (thermal, energies, random) = ([0.5, 1.5], [0.0, 1.0], Philox::new(11));
        let upper = thermal.map(|thermal: f64| 1.0 / (1.0 + (1.0 / thermal).exp()));
        let (mut ladders, mut exchanged) = (pair_of_two(), Vec::new());
        let (mut counts, mut flux) = ([[0.0; 2]; 2], [[0.0; 2]; 2]);
        for step in 0..DRAWS {
            let draw = |replica: u32| random.uniform(Purpose::Velocities, replica, step, 0);
            let mut states = [0, 1].map(|r| usize::from(draw(r as u32) < upper[r]));
            let energy = |replica: usize| Some(energies[states[replica]]);
            ladders.attempt(step, step, random, &thermal, energy, &mut exchanged);
            if !exchanged.is_empty() {
                flux[states[0]][states[1]] += 1.0;
                states.swap(0, 1);
            }
            counts[states[0]][states[1]] += 1.0;
        }
        let draws = DRAWS as f64;
        for (a, row) in counts.iter().enumerate() {
            for (b, &count) in row.iter().enumerate() {
                let state = |p: f64, s: usize| if s == 1 { p } else { 1.0 - p };
                let p = state(upper[0], a) * state(upper[1], b);
                let error = (p * (1.0 - p) / draws).sqrt();
                assert!(
                    (count / draws - p).abs() < 4.0 * error,
                    "{a} {b}: {count} of {draws}, {p}"
                );
            }
        }
        // Each flux is a Poisson number.
        let difference: f64 = flux[0][1] - flux[1][0];
        assert!(
            difference.abs() < 4.0 * (flux[0][1] + flux[1][0]).sqrt(),
            "{flux:?}"
        );
        assert_eq!(ladders.pairs[0].attempts, DRAWS);
        let equal = flux[0][0] + flux[1][1] + flux[0][1] + flux[1][0];
        assert_eq!(ladders.pairs[0].accepted as f64, equal);
        // The colder one in the upper state always falls, the other way it depends.
        assert!(flux[1][0] > 0.0 && flux[0][1] > 0.0);
    }

    #[test]
    fn a_replica_that_takes_no_part_is_not_counted() {
        let (mut ladders, mut exchanged) = (pair_of_two(), vec![[5, 5]]);
        let energy = |replica: usize| (replica == 0).then_some(0.0);
        ladders.attempt(0, 1, Philox::new(1), &[1.0, 2.0], energy, &mut exchanged);
        assert_eq!((ladders.pairs[0].attempts, exchanged.len()), (0, 0));
    }
}
