//! Arrays whose rows have different lengths, divided like those of [`super::rows`].

use super::rows::Rows;
use super::segments::Segment;

/// Arrays that are divided between the patches of a segment.
pub(super) struct Patches<'a, R> {
    segment: &'a Segment,
    /// The first patch here.
    first: usize,
    pub rows: R,
}

impl<'a, R> Patches<'a, R> {
    /// The arrays of all patches.
    pub fn new(segment: &'a Segment, rows: R) -> Self {
        Self {
            segment,
            first: 0,
            rows,
        }
    }
}

impl<R: Rows> Rows for Patches<'_, R> {
    fn split(self, patches: usize) -> (Self, Self) {
        let Self {
            segment,
            first,
            rows,
        } = self;
        let middle = first + patches;
        let bound = segment.patch(middle).start - segment.patch(first).start;
        let (left, right) = rows.split(bound);
        let part = |first, rows| Self {
            segment,
            first,
            rows,
        };
        (part(first, left), part(middle, right))
    }
}

/// Rows of different lengths: those of `data` from the one that begins at `starts[0]` on.
pub(super) struct Ragged<'a, T> {
    data: &'a mut [T],
    starts: &'a [usize],
}

impl<'a, T> Ragged<'a, T> {
    /// Row r is `data[starts[r]..starts[r + 1]]`.
    pub fn new(data: &'a mut [T], starts: &'a [usize]) -> Self {
        Self { data, starts }
    }

    /// All rows; none are left here.
    pub fn take(&mut self) -> Self {
        Self::new(std::mem::take(&mut self.data), self.starts)
    }

    /// `count` rows; empty if nothing is kept.
    pub fn rows(&mut self, count: usize) -> &mut [T] {
        let length = self.starts[count] - self.starts[0];
        let length = length.min(self.data.len());
        &mut self.data[..length]
    }
}

impl<T: Send> Rows for Ragged<'_, T> {
    fn split(self, row: usize) -> (Self, Self) {
        let middle = (self.starts[row] - self.starts[0]).min(self.data.len());
        let (left, right) = self.data.split_at_mut(middle);
        (
            Ragged::new(left, self.starts),
            Ragged::new(right, &self.starts[row..]),
        )
    }
}
