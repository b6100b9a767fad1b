//! Threads of one's own, which are gone when their owner is.

use std::io;
use std::ops::Deref;
use std::thread::{Builder, JoinHandle};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, Result};

/// A pool whose threads have ended when it has been dropped.
///
/// rayon's own only tells them to end: a host that frees a potential and then unloads the library would take the code
/// from under them.
#[derive(Debug)]
pub(crate) struct Pool {
    pool: Option<ThreadPool>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool of `count` threads.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if they cannot be had.
    pub fn new(count: usize) -> Result<Self> {
        let mut threads = Vec::new();
        let spawn = |thread: rayon::ThreadBuilder| -> io::Result<()> {
            let builder = Builder::new().name(format!("flashschnet-{}", thread.index()));
            threads.push(builder.spawn(|| thread.run())?);
            Ok(())
        };
        let built = ThreadPoolBuilder::new()
            .num_threads(count)
            .spawn_handler(spawn)
            .build();
        // Threads that there were before one could not be had are joined here too, by dropping what there is.
        let (pool, error) = match built {
            Ok(pool) => (Some(pool), None),
            Err(error) => (None, Some(error)),
        };
        let pool = Self { pool, threads };
        match error {
            None => Ok(pool),
            Some(error) => Err(Error::OutOfMemory(format!("{count} threads: {error}"))),
        }
    }
}

impl Deref for Pool {
    type Target = ThreadPool;

    fn deref(&self) -> &ThreadPool {
        self.pool.as_ref().expect("there until it is dropped")
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        drop(self.pool.take());
        for thread in self.threads.drain(..) {
            // A panic in a task has been passed on to the caller of that task.
            let _ = thread.join();
        }
    }
}
