//! Arrays whose rows lie on whole cache lines.

use std::ops::{Deref, DerefMut};

use aligned_vec::{AVec, ConstAlign};

/// A vector of numbers that begins at a cache line, so that no load of a padded row touches two.
#[derive(Debug, Clone)]
pub struct Aligned<T>(AVec<T, ConstAlign<64>>);

impl<T> Default for Aligned<T> {
    fn default() -> Self {
        Self(AVec::new(0))
    }
}

impl<T: Copy + Default> Aligned<T> {
    /// `length` zeros.
    pub fn zeros(length: usize) -> Self {
        let mut new = Self::default();
        new.resize(length);
        new
    }

    /// Makes it `length` long; what is new is zero.
    pub fn resize(&mut self, length: usize) {
        self.0.resize(length, T::default());
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_at_a_cache_line() {
        for length in [1, 16, 1000] {
            let mut array = Aligned::<f32>::zeros(length);
            assert_eq!((array.as_ptr() as usize % 64, array.len()), (0, length));
            array[length - 1] = 1.0;
            array.resize(2 * length);
            assert_eq!(
                (
                    array.as_ptr() as usize % 64,
                    array[length - 1],
                    array[length]
                ),
                (0, 1.0, 0.0)
            );
        }
    }
}
