//! Matrix products, by the gemm crate, on slices whose lengths are checked.

use super::Real;

/// A matrix in a slice: element (i, j) is at `i · row_stride + j · column_stride`.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T> {
    /// The numbers.
    pub data: &'a [T],
    /// Distance of rows.
    pub row_stride: usize,
    /// Distance of columns.
    pub column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Rows of `stride` numbers, one after the other.
    pub fn rows(data: &'a [T], stride: usize) -> Self {
        Self {
            data,
            row_stride: stride,
            column_stride: 1,
        }
    }

    /// The transpose of rows of `stride` numbers.
    pub fn transposed(data: &'a [T], stride: usize) -> Self {
        Self {
            data,
            row_stride: 1,
            column_stride: stride,
        }
    }

    fn check(&self, rows: usize, columns: usize) {
        let last = (rows - 1) * self.row_stride + (columns - 1) * self.column_stride;
        assert!(last < self.data.len(), "a matrix reaches beyond its slice");
    }
}

/// out = a · b, or out += a · b; `a` is m × k, `b` k × n, `out` m rows of `stride` numbers.
///
/// On the calling thread; the result does not depend on what else runs.
pub fn product<T: Real>(
    (m, n, k): (usize, usize, usize),
    a: Matrix<T>,
    b: Matrix<T>,
    out: &mut [T],
    stride: usize,
    accumulate: bool,
) {
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    a.check(m, k);
    b.check(k, n);
    Matrix::rows(out, stride).check(m, n);
    // SAFETY: every element that is read or written lies within its slice, as checked; `out` is borrowed mutably, so it
    // overlaps neither input.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            T::from_f64(1.0),
            T::from_f64(1.0),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_adds_and_transposes() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let b = [1.0, 0.0, 2.0, -1.0, 1.0, 0.0];
        let mut out = [0.0; 6];
        product(
            (2, 2, 3),
            Matrix::rows(&a, 3),
            Matrix::transposed(&b, 3),
            &mut out,
            3,
            false,
        );
        assert_eq!(out, [7.0, 1.0, 0.0, 16.0, 1.0, 0.0]);
        product(
            (2, 2, 3),
            Matrix::rows(&a, 3),
            Matrix::rows(&b, 2),
            &mut out,
            3,
            true,
        );
        assert_eq!(
            out,
            [7.0 + 8.0, 1.0 - 2.0, 0.0, 16.0 + 20.0, 1.0 - 5.0, 0.0]
        );
    }

    #[test]
    #[should_panic(expected = "beyond its slice")]
    fn refuses_to_reach_beyond_a_slice() {
        product(
            (2, 2, 2),
            Matrix::rows(&[1.0; 3], 2),
            Matrix::rows(&[1.0; 4], 2),
            &mut [0.0; 4],
            2,
            false,
        );
    }
}
