//! Arrays of rows, divided between threads so that the result does not depend on how many there are.

use rayon::ThreadPool;

use crate::simd::fetch_all;

/// The most rows a task works on. Tasks depend on the number of rows only, so that matrix products and the order of
/// sums are the same whatever the number of threads.
pub(super) const TASK_ROWS: usize = 20;

/// Mutable arrays that can be divided at a row.
pub(super) trait Rows: Send + Sized {
    fn split(self, row: usize) -> (Self, Self);

    /// Has the first `rows` rows brought nearer, for use after something else.
    fn fetch(&self, _rows: usize) {}
}

/// Rows of `stride` numbers, one after the other.
pub(super) struct Array<'a, T> {
    pub data: &'a mut [T],
    pub stride: usize,
}

impl<'a, T> Array<'a, T> {
    pub fn new(data: &'a mut [T], stride: usize) -> Self {
        Self { data, stride }
    }

    pub fn row(&mut self, row: usize) -> &mut [T] {
        &mut self.data[row * self.stride..(row + 1) * self.stride]
    }
}

impl<T: Send> Rows for Array<'_, T> {
    fn split(self, row: usize) -> (Self, Self) {
        // An array that is not wanted is empty.
        let middle = (row * self.stride).min(self.data.len());
        let (left, right) = self.data.split_at_mut(middle);
        (
            Array::new(left, self.stride),
            Array::new(right, self.stride),
        )
    }

    fn fetch(&self, rows: usize) {
        let length = (rows * self.stride).min(self.data.len());
        fetch_all(&self.data[..length]);
    }
}

impl Rows for () {
    fn split(self, _: usize) -> (Self, Self) {
        ((), ())
    }
}

macro_rules! rows_of_tuples {
    ($($name:ident)+) => {
        impl<$($name: Rows),+> Rows for ($($name,)+) {
            #[allow(non_snake_case)]
            fn split(self, row: usize) -> (Self, Self) {
                let ($($name,)+) = self;
                $(let $name = $name.split(row);)+
                (($($name.0,)+), ($($name.1,)+))
            }

            #[allow(non_snake_case)]
            fn fetch(&self, rows: usize) {
                let ($($name,)+) = self;
                $($name.fetch(rows);)+
            }
        }
    };
}
rows_of_tuples!(A B);
rows_of_tuples!(A B C);
rows_of_tuples!(A B C D);
rows_of_tuples!(A B C D E);
rows_of_tuples!(A B C D E F);

/// Calls `task(first row, number of rows, arrays from that row on)` for groups of at most [`TASK_ROWS`] of `count` rows, which are
/// halved until they are that small; on the pool's threads if there is a pool and more than one group.
pub(super) fn for_each_task<R: Rows>(
    pool: Option<&ThreadPool>,
    count: usize,
    rows: R,
    task: impl Fn(usize, usize, R) + Sync,
) {
    halve(pool, TASK_ROWS, count, rows, &task);
}

/// As [`for_each_task`], for every single row.
pub(super) fn for_each_row<R: Rows>(
    pool: Option<&ThreadPool>,
    count: usize,
    rows: R,
    task: impl Fn(usize, R) + Sync,
) {
    halve(pool, 1, count, rows, &|row, _, rows| task(row, rows));
}

fn halve<R: Rows>(
    pool: Option<&ThreadPool>,
    most: usize,
    count: usize,
    rows: R,
    task: &(impl Fn(usize, usize, R) + Sync),
) {
    match pool.filter(|_| count > most) {
        Some(pool) => pool.install(|| divide(true, most, (0, count), rows, task)),
        None => divide(false, most, (0, count), rows, task),
    }
}

fn divide<R: Rows>(
    parallel: bool,
    most: usize,
    (first, count): (usize, usize),
    rows: R,
    task: &(impl Fn(usize, usize, R) + Sync),
) {
    if count <= most {
        if count > 0 {
            task(first, count, rows);
        }
        return;
    }
    // Products take rows by fours.
    let middle = match most {
        1 => count.div_ceil(2),
        _ => count.div_ceil(2).next_multiple_of(4),
    };
    let (left, right) = rows.split(middle);
    let (before, after) = ((first, middle), (first + middle, count - middle));
    if parallel {
        rayon::join(
            || divide(true, most, before, left, task),
            || divide(true, most, after, right, task),
        );
    } else {
        divide(false, most, before, left, task);
        divide(false, most, after, right, task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_visited_once_in_groups_that_do_not_depend_on_threads() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .unwrap();
        for count in [0, 1, 15, 16, 17, 100, 129] {
            let visit = |pool| {
                let (mut a, mut b) = (vec![0usize; 2 * count], vec![0usize; count]);
                let arrays = (Array::new(&mut a, 2), Array::new(&mut b, 1));
                for_each_task(pool, count, arrays, |first, rows, (mut a, mut b)| {
                    assert!(rows <= TASK_ROWS);
                    for row in 0..rows {
                        a.row(row)[1] += first + row;
                        b.row(row)[0] += rows;
                    }
                });
                (a, b)
            };
            let (a, b) = visit(None);
            assert!((0..count).all(|row| a[2 * row + 1] == row));
            assert_eq!(visit(Some(&pool)), (a, b));
        }
    }
}
