//! What the engine asks of a GPU: memory, a program, launches. One GPU is behind it, or in tests the processor.

use std::sync::Arc;

use crate::Result;

/// The kernels of all programs, by the names they have in `kernels/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kernel {
    Start,
    Geometry,
    Rank,
    Receive,
    Update,
    Readout,
    Send,
    SendVirials,
    Deal,
    ReceiveSpans,
    SendSpans,
    SlopeSpans,
    PullSpans,
    OrderNear,
    ReceiveNear,
    SendNear,
    SlopeNear,
    Descend,
    Collect,
    Total,
    Watch,
    Bounds,
    Bin,
    Sum,
    Spread,
    Put,
    Count,
    Fill,
    Sort,
    Admit,
    Deliver,
    Choose,
    Reduce,
    Terms,
    Tally,
    Leap,
    Kick,
    Hop,
    Meet,
    Mutual,
    MutualBack,
    MutualBackVirials,
    Merge,
    MergePulls,
}

impl Kernel {
    /// All of them, each at its own number.
    pub const ALL: [Self; 44] = [
        Self::Start,
        Self::Geometry,
        Self::Rank,
        Self::Receive,
        Self::Update,
        Self::Readout,
        Self::Send,
        Self::SendVirials,
        Self::Deal,
        Self::ReceiveSpans,
        Self::SendSpans,
        Self::SlopeSpans,
        Self::PullSpans,
        Self::OrderNear,
        Self::ReceiveNear,
        Self::SendNear,
        Self::SlopeNear,
        Self::Descend,
        Self::Collect,
        Self::Total,
        Self::Watch,
        Self::Bounds,
        Self::Bin,
        Self::Sum,
        Self::Spread,
        Self::Put,
        Self::Count,
        Self::Fill,
        Self::Sort,
        Self::Admit,
        Self::Deliver,
        Self::Choose,
        Self::Reduce,
        Self::Terms,
        Self::Tally,
        Self::Leap,
        Self::Kick,
        Self::Hop,
        Self::Meet,
        Self::Mutual,
        Self::MutualBack,
        Self::MutualBackVirials,
        Self::Merge,
        Self::MergePulls,
    ];

    /// Its name in the source.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Geometry => "geometry",
            Self::Rank => "rank",
            Self::Receive => "receive",
            Self::Update => "update",
            Self::Readout => "readout",
            Self::Send => "send",
            Self::SendVirials => "send_virials",
            Self::Deal => "deal",
            Self::ReceiveSpans => "receive_spans",
            Self::SendSpans => "send_spans",
            Self::SlopeSpans => "slope_spans",
            Self::PullSpans => "pull_spans",
            Self::OrderNear => "order_near",
            Self::ReceiveNear => "receive_near",
            Self::SendNear => "send_near",
            Self::SlopeNear => "slope_near",
            Self::Descend => "descend",
            Self::Collect => "collect",
            Self::Total => "total",
            Self::Watch => "watch",
            Self::Bounds => "bounds",
            Self::Bin => "bin",
            Self::Sum => "sum",
            Self::Spread => "spread",
            Self::Put => "put",
            Self::Count => "count",
            Self::Fill => "fill",
            Self::Sort => "sort",
            Self::Admit => "admit",
            Self::Deliver => "deliver",
            Self::Choose => "choose",
            Self::Reduce => "reduce",
            Self::Terms => "terms",
            Self::Tally => "tally",
            Self::Leap => "leap",
            Self::Kick => "kick",
            Self::Hop => "hop",
            Self::Meet => "meet",
            Self::Mutual => "mutual",
            Self::MutualBack => "mutual_back",
            Self::MutualBackVirials => "mutual_back_virials",
            Self::Merge => "merge",
            Self::MergePulls => "merge_pulls",
        }
    }
}

/// A kernel, and how many threads work on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// Number of the program.
    pub program: usize,
    /// The kernel.
    pub kernel: Kernel,
    /// Blocks, by two numbers.
    pub grid: (u32, u32),
    /// Threads a block.
    pub threads: u32,
    /// Bytes of shared memory a block.
    pub shared: u32,
}

/// Launches in an order that serves, with the structs of addresses that their kernels take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    arguments: Vec<Vec<u64>>,
    calls: Vec<Call>,
}

/// What a launch waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Those before it, but for those aside.
    Main,
    /// Those before it. The next ones need not wait for it.
    Aside,
    /// All before it, also those aside.
    Joined,
}

/// One launch of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Call {
    launch: Launch,
    /// Which of the batch's structs.
    arguments: usize,
    /// The number beside it.
    block: u32,
    lane: Lane,
}

impl Batch {
    /// Makes `arguments` what the launches added from here on take.
    pub fn with(&mut self, arguments: &[u64]) {
        self.arguments.push(arguments.to_vec());
    }

    /// Adds a launch; one without blocks is none.
    pub fn add(&mut self, launch: Launch, block: u32) {
        self.add_in(Lane::Main, launch, block);
    }

    /// Adds a launch that waits for others than those before it, or that others do not wait for.
    pub fn add_in(&mut self, lane: Lane, launch: Launch, block: u32) {
        if launch.grid.0 > 0 {
            self.calls.push(Call {
                launch,
                arguments: self.arguments.len() - 1,
                block,
                lane,
            });
        }
    }

    /// Adds all of another's launches.
    pub fn append(&mut self, other: Self) {
        let first = self.arguments.len();
        self.arguments.extend(other.arguments);
        self.calls.extend(other.calls.into_iter().map(|call| Call {
            arguments: first + call.arguments,
            ..call
        }));
    }

    /// Leaves out launches of other kernels than these.
    pub fn retain(&mut self, keep: impl Fn(Kernel) -> bool) {
        self.calls.retain(|call| keep(call.launch.kernel));
    }

    /// The launches.
    pub fn calls(&self) -> impl ExactSizeIterator<Item = (Launch, &[u64], u32)> {
        self.calls
            .iter()
            .map(|call| (call.launch, &*self.arguments[call.arguments], call.block))
    }

    /// What each of them waits for.
    pub fn lanes(&self) -> impl ExactSizeIterator<Item = Lane> {
        self.calls.iter().map(|call| call.lane)
    }

    /// Forgets the launches; what was made the arguments last stays them.
    pub fn clear(&mut self) {
        self.calls.clear();
        let done = self.arguments.len().saturating_sub(1);
        self.arguments.drain(..done);
    }
}

/// What a program needs to know of where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Shared memory that one block can have.
    pub shared: u32,
    /// Multiprocessors.
    pub multiprocessors: u32,
}

/// What a device says of itself and of the kernels it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// Bytes of its memory.
    pub memory: usize,
    /// Compute capability, times ten.
    pub capability: u32,
    /// Kernels of the programs that are loaded.
    pub kernels: Vec<KernelFacts>,
}

/// What a kernel takes of a multiprocessor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelFacts {
    /// Its name.
    pub name: &'static str,
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes of shared memory of a block.
    pub shared: u32,
    /// Bytes of a thread that are in memory for want of registers.
    pub local: u32,
}

/// A place where kernels run, in the order in which they are launched.
///
/// Addresses are the device's own. Nothing here is for two threads at once, but everything may move between threads.
pub trait Device: Send + Sync {
    /// What it is, for people.
    fn name(&self) -> String;

    /// What it offers.
    fn limits(&self) -> Limits;

    /// What it is and has.
    ///
    /// # Errors
    /// The device's.
    fn facts(&self) -> Result<Facts>;

    /// Compiles `source`; `kernels` are those of it, with the shared memory that each will need. Returns the number of the
    /// program.
    ///
    /// # Errors
    /// Whatever stands in the way, such as a missing compiler.
    fn load(&self, source: &str, kernels: &[(Kernel, u32)]) -> Result<usize>;

    /// The address of `bytes` bytes, whatever is in them.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`]
    fn allocate(&self, bytes: usize) -> Result<u64>;

    /// Gives back what [`Device::allocate`] gave.
    fn free(&self, address: u64);

    /// Copies from the host; the bytes may be changed once it returns.
    ///
    /// # Errors
    /// The device's.
    fn upload(&self, bytes: &[u8], to: u64) -> Result<()>;

    /// Copies to the host when all that was launched is done.
    ///
    /// # Errors
    /// The device's, also of kernels launched before.
    fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()>;

    /// Copies several arrays to the host, as [`Device::download`] copies one.
    ///
    /// # Errors
    /// The device's, also of kernels launched before.
    fn download_all(&self, parts: &mut [(u64, &mut [u8])]) -> Result<()> {
        parts
            .iter_mut()
            .try_for_each(|(from, bytes)| self.download(*from, bytes))
    }

    /// Makes everything that follows part of a stream of a host, till [`Device::leave`]; whether what is started there is
    /// recorded and not run.
    ///
    /// # Errors
    /// [`crate::Error::InvalidArgument`] for what is no stream of this device.
    fn enter(&self, stream: u64) -> Result<bool>;

    /// Ends what [`Device::enter`] began.
    fn leave(&self);

    /// The stream that work goes to.
    fn stream(&self) -> u64;

    /// Refuses an address that is not the device's; `name` is what the host calls the array.
    ///
    /// # Errors
    /// [`crate::Error::InvalidArgument`]
    fn check_address(&self, address: u64, name: &str) -> Result<()>;

    /// Sets bytes.
    ///
    /// # Errors
    /// The device's.
    fn fill(&self, to: u64, byte: u8, bytes: usize) -> Result<()>;

    /// Starts a kernel on its program's struct of addresses, given as the 64-bit words it consists of.
    ///
    /// # Errors
    /// The device's.
    fn launch(&self, launch: Launch, arguments: &[u64], block: u32) -> Result<()>;

    /// Starts kernels one after the other.
    ///
    /// # Errors
    /// The device's.
    fn run(&self, batch: &Batch) -> Result<()> {
        batch
            .calls()
            .try_for_each(|(launch, arguments, block)| self.launch(launch, arguments, block))
    }
}

/// Memory of a device that grows to the largest it was ever asked for.
pub(super) struct Array {
    device: Arc<dyn Device>,
    address: u64,
    bytes: usize,
}

impl Array {
    /// No memory yet.
    pub fn new(device: &Arc<dyn Device>) -> Self {
        Self {
            device: device.clone(),
            address: 0,
            bytes: 0,
        }
    }

    /// Makes it hold at least `length` of `T`, whatever is in them; returns its address.
    pub fn reserve<T>(&mut self, length: usize) -> Result<u64> {
        let bytes = (length * size_of::<T>()).max(16);
        if bytes > self.bytes {
            self.release();
            // A little more, so that a system that fluctuates settles soon.
            let room = if self.address == 0 && self.bytes == 0 {
                bytes + bytes / 16
            } else {
                bytes
            };
            self.address = self.device.allocate(room)?;
            self.bytes = room;
        }
        Ok(self.address)
    }

    /// Makes it hold `values`; returns its address.
    pub fn set<T: Plain>(&mut self, values: &[T]) -> Result<u64> {
        let address = self.reserve::<T>(values.len())?;
        self.device.upload(bytes_of(values), address)?;
        Ok(address)
    }

    /// Its first numbers, when all that was launched is done.
    pub fn get<T: Plain>(&self, values: &mut [T]) -> Result<()> {
        self.get_from(0, values)
    }

    /// Numbers from `first` on.
    pub fn get_from<T: Plain>(&self, first: usize, values: &mut [T]) -> Result<()> {
        let from = self.address + (first * size_of::<T>()) as u64;
        self.device.download(from, bytes_of_mut(values))
    }

    /// Puts numbers from `first` on.
    pub fn put<T: Plain>(&self, first: usize, values: &[T]) -> Result<()> {
        let to = self.address + (first * size_of::<T>()) as u64;
        self.device.upload(bytes_of(values), to)
    }

    /// What [`Device::download_all`] needs to copy its first numbers to `values`.
    pub fn part<'a, T: Plain>(&self, values: &'a mut [T]) -> (u64, &'a mut [u8]) {
        (self.address, bytes_of_mut(values))
    }

    /// The same for numbers from `first` on.
    pub fn part_from<'a, T: Plain>(
        &self,
        first: usize,
        values: &'a mut [T],
    ) -> (u64, &'a mut [u8]) {
        let from = self.address + (first * size_of::<T>()) as u64;
        (from, bytes_of_mut(values))
    }

    /// Where it is.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Gives its memory back.
    pub fn release(&mut self) {
        if self.address != 0 {
            self.device.free(self.address);
        }
        self.address = 0;
        self.bytes = 0;
    }
}

impl Drop for Array {
    fn drop(&mut self) {
        self.release();
    }
}

/// Numbers without padding, of which every pattern of bits is one.
///
/// # Safety
/// As it says.
pub(super) unsafe trait Plain: Copy {}
// SAFETY: numbers and arrays of them.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for f32 {}
// SAFETY: as above.
unsafe impl Plain for f64 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// A struct of addresses and numbers as the words it consists of.
pub(super) fn words_of<T: Plain>(value: &T) -> Vec<u64> {
    bytes_of(std::slice::from_ref(value))
        .chunks(size_of::<u64>())
        .map(|bytes| {
            let mut word = [0; size_of::<u64>()];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_ne_bytes(word)
        })
        .collect()
}

fn bytes_of<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: `T` has no padding, and the length is that of the slice.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

fn bytes_of_mut<T: Plain>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: as above, and any bytes make a `T`.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}
