//! The kernels on the processor: their source compiled by the C++ compiler, with `tests/emulator` around it.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString, c_char, c_int};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use flashschnet::engine::cuda::{Device, Facts, Kernel, Launch, Limits};
use flashschnet::{Error, Result};
use libloading::Library;

const BEFORE: &str = include_str!("../emulator/before.hpp");
const AFTER: &str = include_str!("../emulator/after.cpp");
/// Bytes behind every array that must stay as they are.
const GUARD: usize = 256;
const GUARD_BYTE: u8 = 0xa5;
const ALIGNMENT: usize = 64;

type Emulate = unsafe extern "C" fn(
    *const c_char,
    u32,
    u32,
    u32,
    u32,
    *const u64,
    c_int,
    c_int,
) -> *const c_char;

/// One program at a time, as one GPU has.
pub struct Emulator {
    falling: bool,
    arrays: Mutex<BTreeMap<u64, usize>>,
    programs: Mutex<Vec<(Emulate, Library)>>,
    multiprocessors: u32,
}

impl Emulator {
    /// Threads of a block take turns in rising or falling order; the number of multiprocessors decides how few rows are few.
    pub fn new(falling: bool, multiprocessors: u32) -> Box<Self> {
        Box::new(Self {
            falling,
            arrays: Mutex::default(),
            programs: Mutex::default(),
            multiprocessors,
        })
    }

    /// Panics unless the bytes behind every array are as they were.
    fn check_guards(&self) {
        for (&address, &bytes) in self.arrays.lock().expect("the arrays").iter() {
            // SAFETY: allocated with the guard.
            let guard = unsafe {
                std::slice::from_raw_parts((address as usize + bytes) as *const u8, GUARD)
            };
            assert!(
                guard.iter().all(|&byte| byte == GUARD_BYTE),
                "a kernel wrote behind an array of {bytes} bytes"
            );
        }
    }
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes + GUARD, ALIGNMENT).expect("a size")
}

/// A program as a library of its own.
///
/// One text is compiled once, whatever networks it is for. Each device has a copy, since programs have variables.
fn load(source: &str) -> Library {
    type Built = HashMap<String, Arc<OnceLock<Vec<u8>>>>;
    static BUILT: LazyLock<Mutex<Built>> = LazyLock::new(Mutex::default);
    let mut all = BUILT.lock().expect("the programs");
    let built = all.entry(source.to_owned()).or_default().clone();
    drop(all);
    let library = stem().with_extension("so");
    let bytes = built.get_or_init(|| {
        build(source, &library);
        fs::read(&library).expect("a library")
    });
    fs::write(&library, bytes).expect("a file");
    // SAFETY: the library's initialisers only fill a list of its own.
    let loaded = unsafe { Library::new(&library) }.expect("the library just built");
    let _ = fs::remove_file(library);
    loaded
}

/// A path without its extension that nobody else has.
fn stem() -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("emulator");
    fs::create_dir_all(&folder).expect("a folder");
    folder.join(format!("{}-{number}", std::process::id()))
}

/// Compiles to a shared library; there is a C++ compiler wherever the tests of the C interface run.
fn build(source: &str, library: &Path) {
    let text = library.with_extension("cpp");
    fs::write(&text, format!("{BEFORE}\n{source}\n{AFTER}")).expect("a file");
    let done = Command::new("c++")
        .args([
            "-std=c++17",
            "-O1",
            "-shared",
            "-fPIC",
            "-Wall",
            "-Wextra",
            "-Werror",
        ])
        // Pragmas and shapes of loops are for the GPU.
        .args([
            "-Wno-unknown-pragmas",
            "-Wno-type-limits",
            "-Wno-sign-compare",
        ])
        .args(["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"])
        // Programs share no variables, though all have functions of the same names.
        .arg("-fvisibility=hidden")
        .arg("-o")
        .args([library, &text])
        .output()
        .expect("a C++ compiler");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let _ = fs::remove_file(text);
}

impl Device for Emulator {
    fn name(&self) -> String {
        "emulator".into()
    }

    fn limits(&self) -> Limits {
        Limits {
            shared: 96 * 1024,
            multiprocessors: self.multiprocessors,
        }
    }

    fn facts(&self) -> Result<Facts> {
        Ok(Facts {
            name: self.name(),
            ..Facts::default()
        })
    }

    fn load(&self, source: &str, _: &[(Kernel, u32)]) -> Result<usize> {
        let library = load(source);
        // SAFETY: the type is that of tests/emulator/after.cpp.
        let emulate = unsafe { *library.get::<Emulate>(b"emulate").expect("its function") };
        let mut programs = self.programs.lock().expect("the programs");
        programs.push((emulate, library));
        Ok(programs.len() - 1)
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        // SAFETY: not of size zero.
        let address = unsafe { alloc(layout(bytes)) };
        if address.is_null() {
            return Err(Error::OutOfMemory(format!("{bytes} bytes")));
        }
        // What nobody writes must not be read: signalling numbers, large indices.
        // SAFETY: just allocated.
        unsafe {
            address.write_bytes(0xff, bytes);
            address.add(bytes).write_bytes(GUARD_BYTE, GUARD);
        }
        self.arrays
            .lock()
            .expect("the arrays")
            .insert(address as u64, bytes);
        Ok(address as u64)
    }

    fn free(&self, address: u64) {
        self.check_guards();
        let bytes = self.arrays.lock().expect("the arrays").remove(&address);
        // SAFETY: allocated with this layout.
        unsafe { dealloc(address as *mut u8, layout(bytes.expect("an array"))) };
    }

    fn upload(&self, bytes: &[u8], to: u64) -> Result<()> {
        // SAFETY: addresses are the processor's.
        unsafe { (to as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()> {
        self.check_guards();
        // SAFETY: addresses are the processor's.
        unsafe { (from as *const u8).copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn enter(&self, stream: u64) -> Result<bool> {
        // Those of tests that record are the odd ones.
        Ok(stream % 2 == 1)
    }

    fn leave(&self) {}

    fn stream(&self) -> u64 {
        0
    }

    fn check_address(&self, address: u64, name: &str) -> Result<()> {
        let arrays = self.arrays.lock().expect("the arrays");
        let before = arrays.range(..=address).next_back();
        if before.is_some_and(|(&start, &bytes)| address < start + bytes as u64) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{name} is not memory of the device"
        )))
    }

    fn fill(&self, to: u64, byte: u8, bytes: usize) -> Result<()> {
        // SAFETY: addresses are the processor's.
        unsafe { (to as *mut u8).write_bytes(byte, bytes) };
        Ok(())
    }

    fn launch(&self, launch: Launch, arguments: &[u64], block: u32) -> Result<()> {
        let emulate = self.programs.lock().expect("the programs")[launch.program].0;
        let kernel = launch.kernel;
        let name = CString::new(kernel.name()).expect("a name");
        // SAFETY: the arrays are those of `arguments`.
        let wrong = unsafe {
            emulate(
                name.as_ptr(),
                launch.grid.0,
                launch.grid.1,
                launch.threads,
                launch.shared,
                arguments.as_ptr(),
                block as c_int,
                c_int::from(self.falling),
            )
        };
        if !wrong.is_null() {
            // SAFETY: a constant text.
            let wrong = unsafe { CStr::from_ptr(wrong) }.to_string_lossy();
            panic!("{}: {wrong}", kernel.name());
        }
        Ok(())
    }
}
