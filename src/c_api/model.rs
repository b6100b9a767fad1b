//! `fsn_model`: loading a model file and asking what is in it.

use std::ffi::{CString, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::arrays;
use super::status::{fsn_status, guard};
use super::structs::{self, Sized_};
use crate::model::Model;
use crate::{Error, Result};

/// A loaded model. Immutable: it may be used from several threads at once. A potential keeps what it needs
/// of it, so the model may be freed first.
#[allow(non_camel_case_types)]
pub struct fsn_model {
    pub(super) model: Arc<Model>,
    description: CString,
    length_unit: CString,
    energy_unit: CString,
    type_names: Vec<CString>,
    prior_names: Vec<CString>,
}

impl fsn_model {
    fn new(model: Model) -> Result<Self> {
        let text = |text: &str| {
            CString::new(text)
                .map_err(|_| Error::model(model.name(), "description", "has a null character"))
        };
        let description = model.description();
        Ok(Self {
            description: text(model.description_json())?,
            length_unit: text(description.units.length.name())?,
            energy_unit: text(description.units.energy.name())?,
            type_names: description
                .types
                .iter()
                .map(|entry| text(&entry.name))
                .collect::<Result<_>>()?,
            prior_names: description
                .priors
                .iter()
                .map(|prior| text(&prior.name))
                .collect::<Result<_>>()?,
            model: Arc::new(model),
        })
    }
}

/// What a model is. Set `size` to `sizeof(fsn_model_info)` before `fsn_model_get_info`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct fsn_model_info {
    /// `sizeof(fsn_model_info)`, set by the caller.
    pub size: usize,
    /// Pairs closer than this interact, in the model's unit of length; 0 without a network.
    pub cutoff: f64,
    /// Interaction blocks; 0 without a network.
    pub blocks: usize,
    /// Width of the atoms' features.
    pub features: usize,
    /// Width of the filters.
    pub filters: usize,
    /// Number of radial basis functions.
    pub basis_functions: usize,
    /// Number of atom or bead types; see `fsn_model_get_type`.
    pub types: usize,
    /// Number of weights and prior parameters.
    pub parameters: usize,
    /// Number of analytic priors in the file.
    pub priors: usize,
    /// Pairs within this many bonds are left out of the graph; if not 0, `excluded` of `fsn_structures` must be set.
    pub excluded_bonds: usize,
    /// Name of the unit of length, valid as long as the model.
    pub length_unit: *const c_char,
    /// Name of the unit of energy, valid as long as the model.
    pub energy_unit: *const c_char,
    /// The unit of length in ångström.
    pub length_in_angstrom: f64,
    /// The unit of energy in electronvolt.
    pub energy_in_ev: f64,
}

// SAFETY: repr(C), begins with usize, zero is valid for numbers and pointers.
unsafe impl Sized_ for fsn_model_info {
    const NAME: &'static str = "fsn_model_info";
    const FIRST_SIZE: usize = size_of::<Self>();
}

/// One atom or bead type. Set `size` to `sizeof(fsn_type)` before `fsn_model_get_type`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct fsn_type {
    /// `sizeof(fsn_type)`, set by the caller.
    pub size: usize,
    /// The integer that stands for it in `types` arrays: an atomic number or a bead type.
    pub index: i32,
    /// Its atomic number, or 0 if it is not an element.
    pub atomic_number: i32,
    /// Its mass in unified atomic mass units, or 0 if the model does not say.
    pub mass: f64,
    /// Element symbol or bead name, valid as long as the model.
    pub name: *const c_char,
}

// SAFETY: repr(C), begins with usize, zero is valid for numbers and pointers.
unsafe impl Sized_ for fsn_type {
    const NAME: &'static str = "fsn_type";
    const FIRST_SIZE: usize = size_of::<Self>();
}

/// One analytic prior. Set `size` to `sizeof(fsn_prior)` before `fsn_model_get_prior`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct fsn_prior {
    /// `sizeof(fsn_prior)`, set by the caller.
    pub size: usize,
    /// Its name, valid as long as the model.
    pub name: *const c_char,
    /// Number of atoms a term joins: 2, 3 or 4.
    pub atoms: usize,
}

// SAFETY: repr(C), begins with usize, zero is valid for numbers and pointers.
unsafe impl Sized_ for fsn_prior {
    const NAME: &'static str = "fsn_prior";
    const FIRST_SIZE: usize = size_of::<Self>();
}

/// Loads a model file.
///
/// On success `*model` is a new handle, to be freed with `fsn_model_free`. Errors: `FSN_IO_ERROR`,
/// `FSN_MODEL_ERROR` (the text names file and field), `FSN_INVALID_ARGUMENT` for null pointers.
///
/// Threads: any, several at once.
///
/// # Safety
/// `path` is a string that ends in a null byte; `model` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_model_load(
    path: *const c_char,
    model: *mut *mut fsn_model,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let path = unsafe { arrays::string(path, "path") }?;
        let load = || fsn_model::new(Model::load(OsStr::from_bytes(path.to_bytes()))?);
        // SAFETY: by this function's contract.
        unsafe { arrays::store(model, load) }
    })
}

/// Loads a model from the bytes of a model file in memory, which are not needed afterwards.
///
/// `name` stands for the path in error texts. Otherwise as `fsn_model_load`.
///
/// Threads: any, several at once.
///
/// # Safety
/// `name` is a string that ends in a null byte; `data` has `length` readable bytes; `model` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_model_load_buffer(
    name: *const c_char,
    data: *const u8,
    length: usize,
    model: *mut *mut fsn_model,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let name = unsafe { arrays::string(name, "name") }?.to_string_lossy();
        // SAFETY: by this function's contract.
        let data = unsafe { arrays::input(data, length, "data") }?;
        // SAFETY: by this function's contract.
        unsafe { arrays::store(model, || fsn_model::new(Model::from_bytes(&name, data)?)) }
    })
}

/// Frees a model. Null is fine.
///
/// Threads: any; not while another call uses the handle.
///
/// # Safety
/// `model` comes from this library and has not been freed; nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_model_free(model: *mut fsn_model) {
    let _ = guard(|| {
        // SAFETY: by this function's contract.
        unsafe { arrays::free(model) };
        Ok(())
    });
}

/// Fills `*info`, whose `size` the caller has set. Errors: `FSN_INVALID_ARGUMENT`.
///
/// Threads: any, several at once.
///
/// # Safety
/// `model` is a live handle; `info` has as many writable bytes as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_model_get_info(
    model: *const fsn_model,
    info: *mut fsn_model_info,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let handle = unsafe { arrays::required(model, "model") }?;
        let model = &handle.model;
        let description = model.description();
        let network = description.network.as_ref();
        let filled = fsn_model_info {
            size: 0,
            cutoff: network.map_or(0.0, |network| network.cutoff),
            blocks: network.map_or(0, |network| network.blocks),
            features: network.map_or(0, |network| network.features),
            filters: network.map_or(0, |network| network.filters),
            basis_functions: network.map_or(0, |network| network.basis.size()),
            types: description.types.len(),
            parameters: model.parameters(),
            priors: description.priors.len(),
            excluded_bonds: description.excluded_bonds as usize,
            length_unit: handle.length_unit.as_ptr(),
            energy_unit: handle.energy_unit.as_ptr(),
            length_in_angstrom: description.units.length.in_angstrom(),
            energy_in_ev: description.units.energy.in_ev(),
        };
        // SAFETY: by this function's contract.
        unsafe { structs::write(info, &filled) }
    })
}

/// Fills `*kind` with type number `index`, from 0 to `types` − 1 of `fsn_model_info`. Errors: `FSN_INVALID_ARGUMENT`.
///
/// Threads: any, several at once.
///
/// # Safety
/// `model` is a live handle; `kind` has as many writable bytes as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_model_get_type(
    model: *const fsn_model,
    index: usize,
    kind: *mut fsn_type,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let handle = unsafe { arrays::required(model, "model") }?;
        let types = &handle.model.description().types;
        let entry = types.get(index).ok_or_else(|| {
            Error::invalid(format!(
                "there is no type number {index}, the model has {}",
                types.len()
            ))
        })?;
        let filled = fsn_type {
            size: 0,
            index: entry.index,
            atomic_number: entry.atomic_number.map_or(0, |number| number as i32),
            mass: entry.mass.unwrap_or(0.0),
            name: handle.type_names[index].as_ptr(),
        };
        // SAFETY: by this function's contract.
        unsafe { structs::write(kind, &filled) }
    })
}

/// Fills `*prior` with prior number `index`, from 0 to `priors` − 1 of `fsn_model_info`. Errors: `FSN_INVALID_ARGUMENT`.
///
/// Threads: any, several at once.
///
/// # Safety
/// `model` is a live handle; `prior` has as many writable bytes as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_model_get_prior(
    model: *const fsn_model,
    index: usize,
    prior: *mut fsn_prior,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let handle = unsafe { arrays::required(model, "model") }?;
        let priors = &handle.model.description().priors;
        let entry = priors.get(index).ok_or_else(|| {
            Error::invalid(format!(
                "there is no prior number {index}, the model has {}",
                priors.len()
            ))
        })?;
        let filled = fsn_prior {
            size: 0,
            name: handle.prior_names[index].as_ptr(),
            atoms: entry.kind.atoms(),
        };
        // SAFETY: by this function's contract.
        unsafe { structs::write(prior, &filled) }
    })
}

/// The model's description, the JSON of docs/model-format.md, valid as long as the model; null for a null model.
///
/// Threads: any, several at once.
///
/// # Safety
/// `model` is null or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_model_description(model: *const fsn_model) -> *const c_char {
    // SAFETY: by this function's contract.
    unsafe { model.as_ref() }.map_or(std::ptr::null(), |handle| handle.description.as_ptr())
}
