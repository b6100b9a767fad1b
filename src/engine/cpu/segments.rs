//! The two ways to go through pairs, and which rows go which way.
//!
//! Where most atoms of a structure hear each other, as in coarse-grained proteins and molecules, a pair's filter is
//! evaluated once and used for both directions. Rows then get contributions from all over their structure: it is divided
//! into patches, each adds up for the whole structure on its own, and rows sum over patches. Elsewhere that would be
//! mostly sums of nothing, and every row goes through its own pairs.

use std::ops::Range;

use super::parts::Part;
use super::rows::Rows;
use crate::engine::Graph;

/// Rows of a patch, about: enough for neighbouring distances to be found among their pairs.
const PATCH_ROWS: usize = 40;
/// Structures are mutual if their list has at least this share of all pairs there could be: the sums over patches are then
/// a small part of the work.
const SHARE: usize = 4;

/// Rows of a part, one after the other, that are worked on in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub rows: Range<usize>,
    /// One structure, whose pairs stand in one of their rows, for both directions. Otherwise rows have all their pairs.
    pub mutual: bool,
}

impl Segment {
    /// Number of patches of a mutual segment. A power of two, so that threads get equal shares.
    pub fn patches(&self) -> usize {
        self.rows.len().div_ceil(PATCH_ROWS).next_power_of_two()
    }

    /// Rows of a patch.
    pub fn patch(&self, patch: usize) -> Range<usize> {
        let (rows, patches) = (self.rows.len(), self.patches());
        let bound = |patch: usize| self.rows.start + patch * rows / patches;
        bound(patch)..bound(patch + 1)
    }
}

/// Whether the pair of rows i and j of `rows` stands in row i: if j is in the half of the rows that follow i in a circle, so that
/// every row has about half of its pairs. Those of an atom with its own images have no other row, and stand there in both directions.
pub(super) fn stands_in(i: usize, j: usize, rows: usize) -> bool {
    let after = if j >= i { j - i } else { j + rows - i };
    2 * after < rows || 2 * after == rows && i < j
}

/// The segments of a part's rows, which count from its first; those of ghosts, if they have pairs, come last.
pub(super) fn segments(graph: &Graph, part: &Part, segments: &mut Vec<Segment>) {
    segments.clear();
    let rows = part.rows.len();
    let mut add = |rows: Range<usize>, mutual: bool| match segments.last_mut() {
        _ if rows.is_empty() => {}
        Some(last) if !(mutual || last.mutual) => last.rows.end = rows.end,
        _ => segments.push(Segment { rows, mutual }),
    };
    let offsets = &graph.offsets[part.rows.start..];
    for own in part.structures(graph) {
        let pairs = offsets[own.end] - offsets[own.start];
        let mutual = rows == part.owned && own.len().saturating_mul(own.len()) <= SHARE * pairs;
        add(own, mutual);
    }
    if part.listed > part.owned {
        segments.push(Segment {
            rows: part.owned..part.listed,
            mutual: false,
        });
    }
}

/// Calls `work(segment, arrays from its first row on)` for all segments.
pub(super) fn for_each_segment<R: Rows>(
    segments: &[Segment],
    mut rows: R,
    mut work: impl FnMut(&Segment, R),
) {
    for segment in segments {
        let (mine, rest) = rows.split(segment.rows.len());
        rows = rest;
        work(segment, mine);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_stands_in_one_row_and_rows_have_about_half() {
        for rows in [1, 2, 30, 31] {
            for i in 0..rows {
                for j in 0..i {
                    assert_ne!(stands_in(i, j, rows), stands_in(j, i, rows));
                }
                assert!(stands_in(i, i, rows));
                let count = (0..rows).filter(|&j| stands_in(i, j, rows)).count();
                assert!(count.abs_diff(rows / 2 + 1) <= 1);
            }
        }
    }

    #[test]
    fn patches_cover_their_segment() {
        for rows in [1, 39, 40, 41, 269, 1000] {
            let segment = Segment {
                rows: 7..7 + rows,
                mutual: true,
            };
            let covered: Vec<usize> = (0..segment.patches())
                .flat_map(|patch| segment.patch(patch))
                .collect();
            assert!(covered.into_iter().eq(7..7 + rows));
        }
    }

    #[test]
    fn structures_whose_atoms_hear_each_other_are_mutual() {
        let structures = [0, 3, 103, 203, 206];
        let mut offsets = vec![0];
        for row in 0..206 {
            let pairs = if (3..203).contains(&row) { 20 } else { 2 };
            offsets.push(offsets[row] + pairs);
        }
        let positions = vec![[0.0; 3]; 206];
        let graph = Graph {
            positions: &positions,
            types: &[],
            owned: 206,
            structures: &structures,
            offsets: &offsets,
            neighbors: &[],
            images: None,
            owners: None,
            version: None,
        };
        let part = Part {
            structures: 0..4,
            rows: 0..206,
            owned: 206,
            listed: 206,
        };
        let mut found = Vec::new();
        segments(&graph, &part, &mut found);
        let bounds: Vec<_> = found
            .iter()
            .map(|one| (one.rows.start, one.rows.end, one.mutual))
            .collect();
        assert_eq!(bounds, [(0, 3, true), (3, 203, false), (203, 206, true)]);
    }
}
