//! Scratch memory, one a thread, kept from call to call.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One value for each thread of a pool, or one where there is no pool.
#[derive(Debug, Default)]
pub(super) struct PerThread<T> {
    slots: Vec<Mutex<T>>,
}

impl<T: Default> PerThread<T> {
    pub fn new(threads: usize) -> Self {
        Self {
            slots: (0..threads.max(1)).map(|_| Mutex::default()).collect(),
        }
    }

    /// The calling thread's value. Never contended by the pool's own threads; a thread of a host's pool, which has a number
    /// of another meaning, shares.
    pub fn get(&self) -> MutexGuard<'_, T> {
        let thread = rayon::current_thread_index().unwrap_or(0) % self.slots.len();
        self.slots[thread]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
