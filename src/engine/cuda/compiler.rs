//! NVRTC: from the text of a program to machine code, or from the cache.
//!
//! The library is looked for here and not by cudarc, which knows the names it had up to the version cudarc is built for and no
//! others, and does not look into Python's packages.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::OnceLock;

use libloading::Library;

use super::cache;
use crate::{Error, Result};

/// Compute capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Architecture {
    /// Before the point.
    pub major: u32,
    /// After it.
    pub minor: u32,
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What a compilation gives.
pub struct Compiled {
    /// A cubin.
    pub image: Vec<u8>,
    /// What the compiler said: warnings, and what the kernels need of registers and memory.
    pub log: String,
}

/// The machine code of `source`, from the cache or the compiler.
pub(super) fn compiled(source: &str, architecture: Architecture, driver: i32) -> Result<Vec<u8>> {
    let compiler = compiler()?;
    let key = cache::key(&[
        source,
        &architecture.to_string(),
        &driver.to_string(),
        &compiler.version(),
    ]);
    if let Some(image) = cache::read(&key) {
        return Ok(image);
    }
    let image = compiler.compile(source, architecture)?.image;
    cache::write(&key, &image);
    Ok(image)
}

/// Compiles `source` for an architecture, past the cache.
///
/// # Errors
/// [`Error::Unsupported`] if there is no compiler or it does not know the architecture, [`Error::Internal`] with what it says of the
/// source.
pub fn compile(source: &str, (major, minor): (u32, u32)) -> Result<Compiled> {
    compiler()?.compile(source, Architecture { major, minor })
}

fn compiler() -> Result<&'static Compiler> {
    static COMPILER: OnceLock<Option<Compiler>> = OnceLock::new();
    COMPILER
        .get_or_init(|| candidates().iter().find_map(|path| Compiler::open(path)))
        .as_ref()
        .ok_or_else(|| {
            Error::unsupported(
                "device cuda: the CUDA compiler library NVRTC was not found; install a CUDA toolkit, or the Python package \
                 nvidia-cuda-nvrtc, or say where it is in FLASHSCHNET_NVRTC (path of libnvrtc.so.12 or libnvrtc.so.13)",
            )
        })
}

/// Loads the library that NVRTC at `path` will ask the loader for by its name: not all of its releases look beside themselves,
/// and what has been loaded is found.
fn load_builtins(path: &Path) {
    let folder = path.parent().and_then(|folder| folder.read_dir().ok());
    for entry in folder.into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("libnvrtc-builtins.so") {
            // SAFETY: NVRTC's own library, whose initialisers may run at any time.
            let library = unsafe { Library::new(entry.path()) };
            // Never unloaded, like NVRTC. If it cannot be loaded, NVRTC says so.
            std::mem::forget(library);
        }
    }
}

type Program = *mut c_void;

/// The functions of NVRTC that are used; their types are those of nvrtc.h.
struct Compiler {
    version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int,
    create: unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> c_int,
    compile: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int,
    log_size: unsafe extern "C" fn(Program, *mut usize) -> c_int,
    log: unsafe extern "C" fn(Program, *mut c_char) -> c_int,
    cubin_size: unsafe extern "C" fn(Program, *mut usize) -> c_int,
    cubin: unsafe extern "C" fn(Program, *mut c_char) -> c_int,
    destroy: unsafe extern "C" fn(*mut Program) -> c_int,
    error: unsafe extern "C" fn(c_int) -> *const c_char,
    /// Never unloaded: it has threads and memory of its own.
    _library: std::mem::ManuallyDrop<Library>,
}

impl Compiler {
    fn open(path: &Path) -> Option<Self> {
        load_builtins(path);
        // SAFETY: the names looked for are NVRTC's, whose initialisers may run at any time.
        let library = unsafe { Library::new(path) }.ok()?;
        // SAFETY: the types are those of nvrtc.h, the same since CUDA 11.1.
        unsafe {
            Some(Self {
                version: *library.get(b"nvrtcVersion").ok()?,
                create: *library.get(b"nvrtcCreateProgram").ok()?,
                compile: *library.get(b"nvrtcCompileProgram").ok()?,
                log_size: *library.get(b"nvrtcGetProgramLogSize").ok()?,
                log: *library.get(b"nvrtcGetProgramLog").ok()?,
                cubin_size: *library.get(b"nvrtcGetCUBINSize").ok()?,
                cubin: *library.get(b"nvrtcGetCUBIN").ok()?,
                destroy: *library.get(b"nvrtcDestroyProgram").ok()?,
                error: *library.get(b"nvrtcGetErrorString").ok()?,
                _library: std::mem::ManuallyDrop::new(library),
            })
        }
    }

    fn version(&self) -> String {
        let (mut major, mut minor) = (0, 0);
        // SAFETY: writes two numbers.
        unsafe { (self.version)(&raw mut major, &raw mut minor) };
        format!("{major}.{minor}")
    }

    fn compile(&self, source: &str, architecture: Architecture) -> Result<Compiled> {
        let text = CString::new(source)
            .map_err(|_| Error::Internal("the kernels' source has a zero byte".into()))?;
        let mut program: Program = ptr::null_mut();
        // SAFETY: the text ends in zero and lives until the program is destroyed.
        let status = unsafe {
            (self.create)(
                &raw mut program,
                text.as_ptr(),
                c"flashschnet.cu".as_ptr(),
                0,
                ptr::null(),
                ptr::null(),
            )
        };
        self.check(status, "", architecture)?;
        let outcome = self.compile_program(program, architecture);
        // SAFETY: the program was created above.
        unsafe { (self.destroy)(&raw mut program) };
        outcome
    }

    fn compile_program(&self, program: Program, architecture: Architecture) -> Result<Compiled> {
        let Architecture { major, minor } = architecture;
        let options = [
            format!("--gpu-architecture=sm_{major}{minor}"),
            "--std=c++17".into(),
            "--extra-device-vectorization".into(),
            "--ptxas-options=--verbose".into(),
        ]
        .map(|option| CString::new(option).unwrap_or_default());
        let pointers = options.each_ref().map(|option| option.as_ptr());
        // SAFETY: as many options as said, each ending in zero.
        let status = unsafe { (self.compile)(program, pointers.len() as c_int, pointers.as_ptr()) };
        let log = self.log_of(program);
        self.check(status, &log, architecture)?;
        let mut size = 0;
        // SAFETY: writes one number.
        let status = unsafe { (self.cubin_size)(program, &raw mut size) };
        self.check(status, &log, architecture)?;
        let mut image = vec![0u8; size];
        // SAFETY: writes as many bytes as it said before.
        let status = unsafe { (self.cubin)(program, image.as_mut_ptr().cast()) };
        self.check(status, &log, architecture)?;
        Ok(Compiled { image, log })
    }

    fn log_of(&self, program: Program) -> String {
        let mut size = 0;
        // SAFETY: writes one number.
        if unsafe { (self.log_size)(program, &raw mut size) } != 0 {
            return String::new();
        }
        let mut log = vec![0u8; size];
        // SAFETY: writes as many bytes as it said before.
        if unsafe { (self.log)(program, log.as_mut_ptr().cast()) } != 0 {
            return String::new();
        }
        let end = log.iter().position(|&byte| byte == 0).unwrap_or(size);
        String::from_utf8_lossy(&log[..end]).into_owned()
    }

    fn check(&self, status: c_int, log: &str, architecture: Architecture) -> Result<()> {
        const INVALID_OPTION: c_int = 5;
        if status == 0 {
            return Ok(());
        }
        // SAFETY: NVRTC returns a text that lives for ever.
        let reason = unsafe { CStr::from_ptr((self.error)(status)) }.to_string_lossy();
        let version = self.version();
        Err(if status == INVALID_OPTION {
            Error::unsupported(format!(
                "device cuda: NVRTC {version} does not know compute capability {architecture}: another CUDA toolkit is needed"
            ))
        } else {
            Error::Internal(format!(
                "NVRTC {version}, compute capability {architecture}: {reason}\n{log}"
            ))
        })
    }
}

/// Where NVRTC may be, what was asked for first.
fn candidates() -> Vec<PathBuf> {
    const NAMES: [&str; 2] = ["libnvrtc.so.13", "libnvrtc.so.12"];
    if let Some(path) = std::env::var_os("FLASHSCHNET_NVRTC") {
        return vec![path.into()];
    }
    let mut folders: Vec<PathBuf> = Vec::new();
    for site in site_packages() {
        let nvidia = site.join("nvidia");
        folders.extend(["cu13/lib", "cuda_nvrtc/lib"].map(|folder| nvidia.join(folder)));
    }
    for variable in ["CUDA_HOME", "CUDA_PATH", "CUDA_ROOT", "CONDA_PREFIX"] {
        if let Some(root) = std::env::var_os(variable).map(PathBuf::from) {
            folders.extend(["lib64", "lib", "targets/x86_64-linux/lib"].map(|lib| root.join(lib)));
        }
    }
    folders.push("/usr/local/cuda/lib64".into());
    let found = folders
        .iter()
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .filter(|path| path.exists());
    // The bare names are looked for by the dynamic loader.
    let loader = NAMES.into_iter().chain(["libnvrtc.so"]).map(PathBuf::from);
    found.chain(loader).collect()
}

/// Python's folders of packages: that which this library lies in, and the active environment's.
fn site_packages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Some(own) = own_path() {
        let ancestors = own.ancestors().map(Path::to_path_buf);
        found.extend(ancestors.filter(|folder| folder.ends_with("site-packages")));
    }
    if let Some(environment) = std::env::var_os("VIRTUAL_ENV") {
        let versions = std::fs::read_dir(Path::new(&environment).join("lib"));
        for version in versions.into_iter().flatten().flatten() {
            found.push(version.path().join("site-packages"));
        }
    }
    found
}

/// The file this code was loaded from.
fn own_path() -> Option<PathBuf> {
    // SAFETY: all zeros is a `Dl_info`.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: the address is one of this library's functions; the answer's texts live as long as it is loaded.
    unsafe {
        if libc::dladdr(own_path as *const c_void, &raw mut info) == 0 || info.dli_fname.is_null() {
            return None;
        }
        let name = CStr::from_ptr(info.dli_fname).to_str().ok()?;
        Path::new(name).canonicalize().ok()
    }
}
