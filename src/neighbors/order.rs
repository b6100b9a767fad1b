//! Sorting the surroundings of one bin by candidate number.

/// Below this a comparison sort is faster than passes over a histogram.
const SHORT: usize = 64;

/// Buffers of the sort.
#[derive(Debug, Default)]
pub(super) struct Order {
    spare: Vec<u64>,
}

impl Order {
    /// Sort `keys` (a number above, its place below 32 bits; all numbers different) ascending.
    ///
    /// A radix sort over the bits in which the numbers differ: they are close to one another where the host's order
    /// of atoms is coherent in space, and two or three passes do.
    pub fn sort(&mut self, keys: &mut Vec<u64>) {
        if keys.len() < SHORT {
            keys.sort_unstable();
            return;
        }
        let least = keys.iter().copied().min().unwrap_or(0) >> 32 << 32;
        let span = (keys.iter().copied().max().unwrap_or(0) - least) >> 32;
        let bits = u64::BITS - span.leading_zeros();
        self.spare.clear();
        self.spare.resize(keys.len(), 0);
        let passes = bits.div_ceil(8);
        for pass in 0..passes {
            let digit = |key: u64| ((key - least) >> (32 + 8 * pass)) as usize & 255;
            let mut starts = [0_u32; 256];
            for &key in keys.iter() {
                starts[digit(key)] += 1;
            }
            let mut sum = 0;
            for start in &mut starts {
                sum += std::mem::replace(start, sum);
            }
            for &key in keys.iter() {
                let start = &mut starts[digit(key)];
                self.spare[*start as usize] = key;
                *start += 1;
            }
            std::mem::swap(keys, &mut self.spare);
        }
    }
}
