//! A GPU through the CUDA driver, which is loaded when first asked for: the library builds and runs without it.

use std::ffi::{CString, c_void};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::sys::{
    CUcontext, CUdevice_attribute, CUevent, CUevent_flags, CUevent_wait_flags, CUfunction,
    CUfunction_attribute, CUgraphExec, CUgraphInstantiate_flags, CUmemorytype, CUmodule,
    CUpointer_attribute, CUresult, CUstream, CUstreamCaptureMode, CUstreamCaptureStatus,
};
use cudarc::driver::{CudaContext, CudaStream, DriverError, result, sys};

use super::compiler::{Architecture, compiled};
use super::device::{Batch, Device, Facts, Kernel, KernelFacts, Lane, Launch, Limits};
use crate::{Error, Result};

/// The driver that CUDA 12.0 came with.
const OLDEST_DRIVER: i32 = 12000;
/// Turing: the oldest that the compilers of CUDA 12 and 13 both know.
const OLDEST_ARCHITECTURE: Architecture = Architecture { major: 7, minor: 5 };

/// Shared memory that a block gets without asking.
const USUAL_SHARED: u32 = 48 * 1024;
/// Copies of more bytes than these gain nothing by staging.
const MOST_STAGED: usize = 4 << 20;

/// One GPU, with a stream and a program of its own.
pub struct Gpu {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    /// Where what is recorded aside goes, and what one stream waits for of the other.
    aside: Arc<CudaStream>,
    event: CUevent,
    programs: Mutex<Vec<Program>>,
    staging: Mutex<Staging>,
    graphs: Mutex<Vec<Recorded>>,
    visit: Mutex<Option<Visit>>,
    architecture: Architecture,
    driver: i32,
    limits: Limits,
    name: String,
    memory: usize,
}

/// A module and its kernels, each at its own number; null for those of other programs.
struct Program {
    module: CUmodule,
    functions: [CUfunction; Kernel::ALL.len()],
    /// Shared memory that launches ask for.
    shared: [u32; Kernel::ALL.len()],
}

/// Launches that have been seen, and the graph that starts them all, made when they come again.
struct Recorded {
    batch: Batch,
    graph: Option<CUgraphExec>,
}

/// A stay on a host's stream.
struct Visit {
    stream: CUstream,
    /// What was current on the host's thread.
    context: CUcontext,
    /// Whether it records.
    records: bool,
}

/// Memory of the host that copies go through without waiting; a copy's place is free again when the stream has been waited for.
struct Staging {
    memory: *mut u8,
    capacity: usize,
    used: usize,
}

impl Default for Staging {
    fn default() -> Self {
        Self {
            memory: std::ptr::null_mut(),
            capacity: 0,
            used: 0,
        }
    }
}

/// How many batches are remembered: with forces, with virials, those of another list, and the parts of a run of steps.
const MOST_GRAPHS: usize = 8;

/// A lock that a panic elsewhere does not take away.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// SAFETY: handles of a context may be used by any thread that it is bound to, and every method binds it first.
unsafe impl Send for Gpu {}
// SAFETY: as above; the driver's functions are safe to call from several threads.
unsafe impl Sync for Gpu {}

impl Gpu {
    /// The first GPU that `CUDA_VISIBLE_DEVICES` lets this process see, or the one of its own number among several
    /// processes of a node.
    ///
    /// # Errors
    /// [`Error::Unsupported`] that says what is missing.
    pub fn new() -> Result<Self> {
        // SAFETY: loads and unloads a library that has no initialisers of consequence.
        if !unsafe { sys::is_culib_present() } {
            return Err(Error::unsupported(
                "device cuda: there is no NVIDIA driver on this machine (libcuda.so.1 was not found)",
            ));
        }
        let failed = |what: &str, error: DriverError| {
            Error::unsupported(format!("device cuda: {what}: {}", text(error)))
        };
        result::init().map_err(|error| failed("the NVIDIA driver does not start", error))?;
        let mut driver = 0;
        // SAFETY: writes one number.
        unsafe { sys::cuDriverGetVersion(&raw mut driver) }
            .result()
            .map_err(|error| failed("the NVIDIA driver has no version", error))?;
        check_driver(driver)?;
        let count =
            result::device::get_count().map_err(|error| failed("GPUs cannot be counted", error))?;
        if count < 1 {
            return Err(Error::unsupported(
                "device cuda: the NVIDIA driver shows this process no GPU (see CUDA_VISIBLE_DEVICES)",
            ));
        }
        let context = CudaContext::new(local_rank() % count as usize)
            .map_err(|error| failed("the GPU cannot be used", error))?;
        Self::with_context(context, driver).map_err(|error| match error {
            Err(error) => failed("the GPU cannot be used", error),
            Ok(error) => error,
        })
    }

    fn with_context(
        context: Arc<CudaContext>,
        driver: i32,
    ) -> std::result::Result<Self, std::result::Result<Error, DriverError>> {
        let attribute = |attribute| context.attribute(attribute).map_err(Err);
        use CUdevice_attribute::{
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
            CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
            CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
        };
        let architecture = Architecture {
            major: attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)? as u32,
            minor: attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)? as u32,
        };
        let limits = Limits {
            shared: attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)? as u32,
            multiprocessors: attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as u32,
        };
        let name = context.name().map_err(Err)?;
        check_architecture(&name, architecture).map_err(Ok)?;
        let stream = context.new_stream().map_err(Err)?;
        let aside = context.new_stream().map_err(Err)?;
        let event = result::event::create(CUevent_flags::CU_EVENT_DISABLE_TIMING).map_err(Err)?;
        // SAFETY: the device is the context's own.
        let memory = unsafe { result::device::total_mem(context.cu_device()) }.map_err(Err)?;
        Ok(Self {
            context,
            stream,
            aside,
            event,
            programs: Mutex::default(),
            staging: Mutex::new(Staging::default()),
            graphs: Mutex::default(),
            visit: Mutex::default(),
            architecture,
            driver,
            limits,
            name,
            memory,
        })
    }

    /// Memory of the GPU in bytes.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Bytes of it that nobody has taken.
    ///
    /// # Errors
    /// [`Error::Device`]
    pub fn memory_free(&self) -> Result<usize> {
        self.bind()?;
        result::mem_get_info()
            .map(|(free, _)| free)
            .map_err(|error| self.failed(error))
    }

    /// A kernel of a module that is to have so many bytes of shared memory.
    fn function(&self, module: CUmodule, kernel: Kernel, shared: u32) -> Result<CUfunction> {
        let name = CString::new(kernel.name()).unwrap_or_default();
        // SAFETY: the module is loaded.
        let function = unsafe { result::module::get_function(module, name) }.map_err(|error| {
            Error::Internal(format!("kernel {}: {}", kernel.name(), text(error)))
        })?;
        if shared > USUAL_SHARED {
            let attribute = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function is the module's.
            unsafe { result::function::set_function_attribute(function, attribute, shared as i32) }
                .map_err(|error| self.failed(error))?;
        }
        Ok(function)
    }

    /// `bytes` bytes of staging memory, or null if that many are better copied directly.
    fn stage(&self, staging: &mut Staging, bytes: usize) -> Result<*mut u8> {
        // What is staged belongs to the own stream, which alone is waited for before a place is used again.
        if bytes > MOST_STAGED || locked(&self.visit).is_some() {
            return Ok(std::ptr::null_mut());
        }
        if staging.used + bytes > staging.capacity {
            self.wait().map_err(|error| self.failed(error))?;
            staging.used = 0;
        }
        if staging.memory.is_null() {
            // SAFETY: freed when the GPU is dropped.
            let memory = unsafe { result::malloc_host(MOST_STAGED, 0) }
                .map_err(|error| self.failed(error))?;
            (staging.memory, staging.capacity) = (memory.cast(), MOST_STAGED);
        }
        // SAFETY: used + bytes is at most the capacity.
        let place = unsafe { staging.memory.add(staging.used) };
        staging.used += bytes.next_multiple_of(64);
        Ok(place)
    }

    /// The stream that work goes to: a host's while its call lasts, else its own.
    fn current(&self) -> CUstream {
        locked(&self.visit)
            .as_ref()
            .map_or(self.stream.cu_stream(), |visit| visit.stream)
    }

    fn wait(&self) -> std::result::Result<(), DriverError> {
        // SAFETY: the stream is live.
        unsafe { result::stream::synchronize(self.current()) }
    }

    fn launch_all(&self, batch: &Batch) -> Result<()> {
        let stream = self.current();
        batch.calls().try_for_each(|(launch, arguments, block)| {
            self.launch_on(stream, launch, arguments, block)
        })
    }

    /// The same while the stream records, so that what is aside is beside the others in the graph.
    fn record_all(&self, batch: &Batch) -> Result<()> {
        let (stream, aside) = (self.current(), self.aside.cu_stream());
        let wait = |who, whom| {
            let flags = CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
            // SAFETY: streams and event are live.
            unsafe { result::event::record(self.event, whom) }
                .and_then(|()| unsafe { result::stream::wait_event(who, self.event, flags) })
                .map_err(|error| self.failed(error))
        };
        // Whether the last launch was aside, and whether any is that has not been waited for.
        let (mut last, mut open) = (false, false);
        for ((launch, arguments, block), lane) in batch.calls().zip(batch.lanes()) {
            if lane == Lane::Aside && !last {
                wait(aside, stream)?;
                open = true;
            }
            if lane == Lane::Joined && open {
                wait(stream, aside)?;
                open = false;
            }
            last = lane == Lane::Aside;
            let to = if last { aside } else { stream };
            self.launch_on(to, launch, arguments, block)?;
        }
        if open {
            wait(stream, aside)?;
        }
        Ok(())
    }

    /// A graph of launches; an error is none of theirs.
    fn record(&self, batch: &Batch) -> Result<CUgraphExec> {
        let stream = self.stream.cu_stream();
        let failed = |error| self.failed(error);
        // SAFETY: the stream is this potential's own, and nothing else is put on it meanwhile.
        unsafe {
            result::stream::begin_capture(
                stream,
                CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL,
            )
            .map_err(failed)?;
            let launched = self.record_all(batch);
            let graph = result::stream::end_capture(stream).map_err(failed)?;
            let ready = launched.and_then(|()| {
                result::graph::instantiate(graph, CUgraphInstantiate_flags(0)).map_err(failed)
            });
            let _ = result::graph::destroy(graph);
            ready
        }
    }

    fn launch_on(
        &self,
        stream: CUstream,
        launch: Launch,
        arguments: &[u64],
        block: u32,
    ) -> Result<()> {
        let programs = locked(&self.programs);
        let function = programs
            .get(launch.program)
            .map(|program| program.functions[launch.kernel as usize])
            .filter(|function| !function.is_null())
            .ok_or_else(|| Error::Internal("no program is loaded".into()))?;
        let mut block = block as i32;
        let mut arguments = [
            arguments.as_ptr().cast_mut().cast::<c_void>(),
            (&raw mut block).cast::<c_void>(),
        ];
        // SAFETY: all kernels take two arguments, their program's struct and a number, which the driver copies; the arrays
        // are as large as the struct says.
        unsafe {
            result::launch_kernel(
                function,
                (launch.grid.0, launch.grid.1, 1),
                (launch.threads, 1, 1),
                launch.shared,
                stream,
                &mut arguments,
            )
        }
        .map_err(|error| self.failed(error))
    }

    fn bind(&self) -> Result<()> {
        self.context
            .bind_to_thread()
            .map_err(|error| self.failed(error))
    }

    /// What a failure of a running GPU is to the caller.
    fn failed(&self, error: DriverError) -> Error {
        match error.0 {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                Error::OutOfMemory(format!("device cuda: {}: {}", self.name, text(error)))
            }
            _ => Error::Device(format!(
                "{}: {}; potentials on it are of no use any more, and after most such failures neither is the GPU to this process",
                self.name,
                text(error)
            )),
        }
    }
}

impl Device for Gpu {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn facts(&self) -> Result<Facts> {
        self.bind()?;
        let mut facts = Facts {
            name: self.name.clone(),
            memory: self.memory,
            capability: 10 * self.architecture.major + self.architecture.minor,
            kernels: Vec::new(),
        };
        for program in locked(&self.programs).iter() {
            for kernel in Kernel::ALL {
                let function = program.functions[kernel as usize];
                if function.is_null() {
                    continue;
                }
                let attribute = |which| {
                    // SAFETY: the function is of a module that is loaded.
                    unsafe { result::function::get_function_attribute(function, which) }
                        .map(|value| value as u32)
                        .map_err(|error| self.failed(error))
                };
                facts.kernels.push(KernelFacts {
                    name: kernel.name(),
                    registers: attribute(CUfunction_attribute::CU_FUNC_ATTRIBUTE_NUM_REGS)?,
                    shared: program.shared[kernel as usize]
                        + attribute(CUfunction_attribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES)?,
                    local: attribute(CUfunction_attribute::CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES)?,
                });
            }
        }
        Ok(facts)
    }

    fn load(&self, source: &str, kernels: &[(Kernel, u32)]) -> Result<usize> {
        self.bind()?;
        let image = compiled(source, self.architecture, self.driver)?;
        // SAFETY: the image is a whole cubin, as the compiler wrote it; its length is in its header.
        let module = unsafe { result::module::load_data(image.as_ptr().cast()) }
            .map_err(|error| Error::unsupported(format!(
                "device cuda: {}, compute capability {}: the kernels cannot be loaded: {}; a newer driver than CUDA {}.{} may be needed",
                self.name, self.architecture, text(error), self.driver / 1000, self.driver % 1000 / 10
            )))?;
        let mut program = Program {
            module,
            functions: [std::ptr::null_mut(); Kernel::ALL.len()],
            shared: [0; Kernel::ALL.len()],
        };
        for &(kernel, shared) in kernels {
            program.functions[kernel as usize] = self.function(module, kernel, shared)?;
            program.shared[kernel as usize] = shared;
        }
        let mut programs = locked(&self.programs);
        programs.push(program);
        Ok(programs.len() - 1)
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.bind()?;
        // SAFETY: nothing reads the memory before it is written.
        unsafe { result::malloc_sync(bytes) }.map_err(|error| {
            let free = self.memory_free().unwrap_or(0);
            if error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY {
                Error::OutOfMemory(format!(
                    "device cuda: {} has {free} of its {} bytes free, and {bytes} more are needed",
                    self.name, self.memory
                ))
            } else {
                self.failed(error)
            }
        })
    }

    fn free(&self, address: u64) {
        if self.bind().is_ok() {
            // SAFETY: the address is one that `allocate` gave; the driver waits for what uses it. A failure is the
            // context's, which then has no memory any more.
            let _ = unsafe { result::free_sync(address) };
        }
    }

    fn upload(&self, bytes: &[u8], to: u64) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.bind()?;
        let mut staging = locked(&self.staging);
        let place = self.stage(&mut staging, bytes.len())?;
        let from = if place.is_null() {
            bytes
        } else {
            // SAFETY: the place is that long, and nothing else uses it until the stream has been waited for.
            unsafe {
                place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                std::slice::from_raw_parts(place, bytes.len())
            }
        };
        // SAFETY: the caller's array is as long as `bytes`; pageable memory has been read when the call returns.
        unsafe { result::memcpy_htod_async(to, from, self.current()) }
            .map_err(|error| self.failed(error))
    }

    fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()> {
        self.download_all(&mut [(from, bytes)])
    }

    fn download_all(&self, parts: &mut [(u64, &mut [u8])]) -> Result<()> {
        self.bind()?;
        let mut staging = locked(&self.staging);
        let mut places = Vec::with_capacity(parts.len());
        let whole: usize = parts.iter().map(|(_, bytes)| bytes.len() + 64).sum();
        // A place for each, or none: what waits for room in the middle would give up the places before it.
        let staged = whole <= MOST_STAGED && locked(&self.visit).is_none();
        if staged && staging.used + whole > staging.capacity {
            self.wait().map_err(|error| self.failed(error))?;
            staging.used = 0;
        }
        for (from, bytes) in parts.iter_mut().filter(|(_, bytes)| !bytes.is_empty()) {
            let place = if staged {
                self.stage(&mut staging, bytes.len())?
            } else {
                std::ptr::null_mut()
            };
            let to = if place.is_null() {
                &mut **bytes
            } else {
                // SAFETY: the place is that long, and nothing else uses it until the stream has been waited for.
                unsafe { std::slice::from_raw_parts_mut(place, bytes.len()) }
            };
            // SAFETY: the caller's array is as long as `bytes`, and `to` lives until the stream has been waited for.
            unsafe { result::memcpy_dtoh_async(to, *from, self.current()) }
                .map_err(|error| self.failed(error))?;
            places.push(place);
        }
        self.wait().map_err(|error| self.failed(error))?;
        if locked(&self.visit).is_none() {
            staging.used = 0;
        }
        let copied = parts.iter_mut().filter(|(_, bytes)| !bytes.is_empty());
        for ((_, bytes), place) in copied.zip(places) {
            if !place.is_null() {
                // SAFETY: as above; the copy is done.
                bytes.copy_from_slice(unsafe { std::slice::from_raw_parts(place, bytes.len()) });
            }
        }
        Ok(())
    }

    fn stream(&self) -> u64 {
        self.current() as u64
    }

    fn enter(&self, stream: u64) -> Result<bool> {
        let mut context = std::ptr::null_mut();
        // SAFETY: writes one handle.
        unsafe { sys::cuCtxGetCurrent(&raw mut context) }
            .result()
            .map_err(|error| self.failed(error))?;
        self.bind()?;
        let stream = stream as CUstream;
        *locked(&self.visit) = Some(Visit {
            stream,
            context,
            records: false,
        });
        let refused = |error| {
            self.leave();
            Error::invalid(format!(
                "the stream cannot be used with {}: {}",
                self.name,
                text(error)
            ))
        };
        // Handles below this are names of the context's default streams.
        if stream as usize > 2 {
            let mut own = std::ptr::null_mut();
            // SAFETY: the stream is one, by the contract of the caller; writes one handle.
            unsafe { sys::cuStreamGetCtx(stream, &raw mut own) }
                .result()
                .map_err(refused)?;
            if own != self.context.cu_ctx() {
                self.leave();
                return Err(Error::invalid(format!(
                    "the stream is not one of the GPU that the potential is on, number {}, or of another context",
                    self.context.ordinal()
                )));
            }
        }
        let mut status = CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
        // SAFETY: as above.
        unsafe { sys::cuStreamIsCapturing(stream, &raw mut status) }
            .result()
            .map_err(refused)?;
        let records = status != CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
        if let Some(visit) = &mut *locked(&self.visit) {
            visit.records = records;
        }
        Ok(records)
    }

    fn leave(&self) {
        if let Some(visit) = locked(&self.visit).take() {
            // SAFETY: it was current before; null is none.
            let _ = unsafe { sys::cuCtxSetCurrent(visit.context) };
        }
    }

    fn check_address(&self, address: u64, name: &str) -> Result<()> {
        let (mut kind, mut device, mut managed) = (0u32, 0i32, 0u32);
        let mut attributes = [
            CUpointer_attribute::CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
            CUpointer_attribute::CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
            CUpointer_attribute::CU_POINTER_ATTRIBUTE_IS_MANAGED,
        ];
        let mut values = [
            (&raw mut kind).cast::<c_void>(),
            (&raw mut device).cast(),
            (&raw mut managed).cast(),
        ];
        // SAFETY: as many attributes as places, each of 32 bits or less; addresses that are none leave zeros.
        unsafe {
            sys::cuPointerGetAttributes(
                attributes.len() as u32,
                attributes.as_mut_ptr(),
                values.as_mut_ptr(),
                address,
            )
        }
        .result()
        .map_err(|error| self.failed(error))?;
        if kind != CUmemorytype::CU_MEMORYTYPE_DEVICE as u32 && managed == 0 {
            return Err(Error::invalid(format!(
                "{name} is not memory of a GPU; arrays of the host's memory are for fsn_potential_compute"
            )));
        }
        if managed == 0 && device as usize != self.context.ordinal() {
            return Err(Error::invalid(format!(
                "{name} is memory of GPU {device}, and the potential is on GPU {}",
                self.context.ordinal()
            )));
        }
        Ok(())
    }

    fn fill(&self, to: u64, byte: u8, bytes: usize) -> Result<()> {
        self.bind()?;
        // SAFETY: the caller's array is that long.
        unsafe { result::memset_d8_async(to, byte, bytes, self.current()) }
            .map_err(|error| self.failed(error))
    }

    fn launch(&self, launch: Launch, arguments: &[u64], block: u32) -> Result<()> {
        self.bind()?;
        self.launch_on(self.current(), launch, arguments, block)
    }

    fn run(&self, batch: &Batch) -> Result<()> {
        self.bind()?;
        // A host's own stream may be recording.
        let records = locked(&self.visit).as_ref().map(|visit| visit.records);
        match records {
            Some(true) => return self.record_all(batch),
            Some(false) => return self.launch_all(batch),
            None => {}
        }
        let mut graphs = locked(&self.graphs);
        if let Some(seen) = graphs.iter_mut().find(|seen| seen.batch == *batch) {
            if seen.graph.is_none() {
                seen.graph = self.record(batch).ok();
            }
            if let Some(graph) = seen.graph {
                // SAFETY: both are live.
                return unsafe { result::graph::launch(graph, self.current()) }
                    .map_err(|error| self.failed(error));
            }
            return self.launch_all(batch);
        }
        if graphs.len() == MOST_GRAPHS {
            graphs.remove(0).discard();
        }
        graphs.push(Recorded {
            batch: batch.clone(),
            graph: None,
        });
        self.launch_all(batch)
    }
}

impl Recorded {
    /// Gives back the graph; the driver waits for one that is running.
    fn discard(self) {
        if let Some(graph) = self.graph {
            // SAFETY: live, and used no more.
            let _ = unsafe { result::graph::exec_destroy(graph) };
        }
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // If the context is gone, so is everything in it.
        if self.context.bind_to_thread().is_err() {
            return;
        }
        let _ = self.stream.synchronize();
        // SAFETY: live, and used no more.
        let _ = unsafe { result::event::destroy(self.event) };
        for recorded in locked(&self.graphs).drain(..) {
            recorded.discard();
        }
        for program in locked(&self.programs).drain(..) {
            // SAFETY: nothing of the module is used after this.
            let _ = unsafe { result::module::unload(program.module) };
        }
        let staging = locked(&self.staging);
        if !staging.memory.is_null() {
            // SAFETY: allocated by `stage`, and no copy is under way.
            let _ = unsafe { result::free_host(staging.memory.cast()) };
        }
    }
}

/// Refuses a driver that is too old for what is compiled.
fn check_driver(version: i32) -> Result<()> {
    if version >= OLDEST_DRIVER {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "device cuda: the NVIDIA driver is too old: it offers CUDA {}.{}, and 12.0 is needed",
        version / 1000,
        version % 1000 / 10
    )))
}

/// Refuses a GPU that is too old for the compilers.
fn check_architecture(name: &str, architecture: Architecture) -> Result<()> {
    if architecture >= OLDEST_ARCHITECTURE {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "device cuda: {name} has compute capability {architecture}, and {OLDEST_ARCHITECTURE} is needed"
    )))
}

/// What the driver says of an error, with its name.
fn text(error: DriverError) -> String {
    let name = error.error_name().map(|name| name.to_string_lossy());
    let reason = error.error_string().map(|reason| reason.to_string_lossy());
    match (name, reason) {
        (Ok(name), Ok(reason)) => format!("{reason} ({name})"),
        _ => format!("error {}", error.0 as u32),
    }
}

/// The number of this process among those of its node, as launchers of parallel programs give it.
fn local_rank() -> usize {
    [
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "MV2_COMM_WORLD_LOCAL_RANK",
        "MPI_LOCALRANKID",
        "SLURM_LOCALID",
    ]
    .iter()
    .find_map(|name| std::env::var(name).ok()?.parse().ok())
    .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_drivers_and_gpus_are_refused_by_their_numbers() {
        assert_eq!(check_driver(12000), Ok(()));
        assert_eq!(
            check_driver(11080).unwrap_err().to_string(),
            "not supported: device cuda: the NVIDIA driver is too old: it offers CUDA 11.8, and 12.0 is needed"
        );
        let gpu = |major, minor| check_architecture("GPU", Architecture { major, minor });
        assert_eq!(gpu(7, 5).and(gpu(12, 0)), Ok(()));
        assert_eq!(
            gpu(7, 0).unwrap_err().to_string(),
            "not supported: device cuda: GPU has compute capability 7.0, and 7.5 is needed"
        );
    }
}
