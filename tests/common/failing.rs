//! A device that fails when it is told to.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use flashschnet::engine::cuda::{Device, Facts, Kernel, Launch, Limits};
use flashschnet::{Error, Result};

/// How much goes well before something fails.
#[derive(Debug, Default)]
pub struct Plan {
    /// Allocations before one finds no memory; negative for all.
    pub allocations: AtomicI64,
    /// Launches before the device is lost for ever; negative for all.
    pub launches: AtomicI64,
    /// What was launched so far.
    pub launched: Mutex<Vec<Kernel>>,
}

impl Plan {
    /// Nothing fails.
    pub fn new() -> Arc<Self> {
        let plan = Self::default();
        plan.allocations.store(-1, Ordering::Relaxed);
        plan.launches.store(-1, Ordering::Relaxed);
        Arc::new(plan)
    }
}

/// Another device, whose allocations and launches fail by a plan.
pub struct Failing {
    pub device: Box<dyn Device>,
    pub plan: Arc<Plan>,
}

impl Device for Failing {
    fn name(&self) -> String {
        self.device.name()
    }

    fn limits(&self) -> Limits {
        self.device.limits()
    }

    fn facts(&self) -> Result<Facts> {
        self.device.facts()
    }

    fn load(&self, source: &str, kernels: &[(Kernel, u32)]) -> Result<usize> {
        self.device.load(source, kernels)
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        if self.plan.allocations.load(Ordering::Relaxed) >= 0
            && self.plan.allocations.fetch_sub(1, Ordering::Relaxed) == 0
        {
            return Err(Error::OutOfMemory("as planned".into()));
        }
        self.device.allocate(bytes)
    }

    fn free(&self, address: u64) {
        self.device.free(address);
    }

    fn upload(&self, bytes: &[u8], to: u64) -> Result<()> {
        self.device.upload(bytes, to)
    }

    fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()> {
        self.device.download(from, bytes)
    }

    fn enter(&self, stream: u64) -> Result<bool> {
        self.device.enter(stream)
    }

    fn leave(&self) {
        self.device.leave();
    }

    fn stream(&self) -> u64 {
        self.device.stream()
    }

    fn check_address(&self, address: u64, name: &str) -> Result<()> {
        self.device.check_address(address, name)
    }

    fn fill(&self, to: u64, byte: u8, bytes: usize) -> Result<()> {
        self.device.fill(to, byte, bytes)
    }

    fn launch(&self, launch: Launch, arguments: &[u64], block: u32) -> Result<()> {
        match self.plan.launches.load(Ordering::Relaxed) {
            0 => return Err(Error::Device("lost, as planned".into())),
            left if left > 0 => {
                self.plan.launches.fetch_sub(1, Ordering::Relaxed);
            }
            _ => {}
        }
        let mut launched = self.plan.launched.lock().expect("no panic");
        launched.push(launch.kernel);
        self.device.launch(launch, arguments, block)
    }
}
