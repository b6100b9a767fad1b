//! What a caller can choose about a potential.

use crate::{Error, Result};

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The fastest device that is there.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

/// Arithmetic of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// float32; sums of energies in float64.
    #[default]
    Single,
    /// float64.
    Double,
    /// 16-bit weights with a scale per channel, float32 arithmetic.
    Half,
}

/// How filters are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filters {
    /// What is fastest within the engine's error bound.
    #[default]
    Auto,
    /// The filter network, at every pair.
    Exact,
    /// A table of W and dW/dr.
    Table,
}

/// What becomes of a model's priors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PriorUse {
    /// They are part of every energy and force.
    #[default]
    On,
    /// The network alone.
    Off,
}

impl Device {
    const ALL: [Self; 3] = [Self::Auto, Self::Cpu, Self::Cuda];

    /// Its name in every language.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }
}

impl Precision {
    const ALL: [Self; 3] = [Self::Single, Self::Double, Self::Half];

    /// Its name in every language.
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Double => "double",
            Self::Half => "half",
        }
    }
}

impl Filters {
    const ALL: [Self; 3] = [Self::Auto, Self::Exact, Self::Table];

    /// Its name in every language.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Exact => "exact",
            Self::Table => "table",
        }
    }
}

impl PriorUse {
    const ALL: [Self; 2] = [Self::On, Self::Off];

    /// Its name in every language.
    pub fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// Choices made when a potential is created.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Options {
    /// Where to compute.
    pub device: Device,
    /// Arithmetic of the network.
    pub precision: Precision,
    /// How filters are evaluated.
    pub filters: Filters,
    /// Threads; `None`: `OMP_NUM_THREADS` if set, else as many as the machine offers.
    pub threads: Option<usize>,
    /// Extra radius of the potential's own neighbour lists, in the model's unit of length; 0: a new list
    /// in every call; `None`: 1 Å.
    pub skin: Option<f64>,
    /// Whether a model's priors are evaluated with its network.
    pub priors: PriorUse,
}

impl Options {
    /// Sets the choice `key` from its text, as hosts find it in their inputs.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] that lists what is accepted.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            // The name most hosts use for it.
            "device" if value == "gpu" => self.device = Device::Cuda,
            "device" => self.device = choose(key, value, Device::ALL, Device::name)?,
            "precision" => self.precision = choose(key, value, Precision::ALL, Precision::name)?,
            "filters" => self.filters = choose(key, value, Filters::ALL, Filters::name)?,
            "priors" => self.priors = choose(key, value, PriorUse::ALL, PriorUse::name)?,
            "threads" => match value.parse() {
                Ok(threads) if threads >= 1 => self.threads = Some(threads),
                _ => {
                    return Err(Error::invalid(format!(
                        "threads is {value:?}, must be a number from 1 on"
                    )));
                }
            },
            "skin" => match value.parse() {
                Ok(skin) if f64::is_finite(skin) && skin >= 0.0 => self.skin = Some(skin),
                _ => {
                    return Err(Error::invalid(format!(
                        "skin is {value:?}, must be a number, not negative"
                    )));
                }
            },
            _ => {
                return Err(Error::invalid(format!(
                    "there is no option {key:?}; there are device, precision, filters, threads, skin and priors"
                )));
            }
        }
        Ok(())
    }
}

fn choose<T: Copy, const N: usize>(
    key: &str,
    value: &str,
    all: [T; N],
    name: fn(T) -> &'static str,
) -> Result<T> {
    all.into_iter()
        .find(|&choice| name(choice) == value)
        .ok_or_else(|| {
            Error::invalid(format!(
                "{key} is {value:?}, must be one of {}",
                all.map(name).join(", ")
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_what_it_names_and_lists_what_it_takes() {
        let mut options = Options::default();
        for (key, value) in [
            ("device", "gpu"),
            ("precision", "double"),
            ("filters", "exact"),
            ("threads", "3"),
            ("skin", "0"),
            ("priors", "off"),
        ] {
            options.set(key, value).unwrap();
        }
        assert_eq!(
            options,
            Options {
                device: Device::Cuda,
                precision: Precision::Double,
                filters: Filters::Exact,
                threads: Some(3),
                skin: Some(0.0),
                priors: PriorUse::Off,
            }
        );
        let error = options.set("precision", "quadruple").unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid argument: precision is \"quadruple\", must be one of single, double, half"
        );
        for (key, value) in [
            ("threads", "0"),
            ("threads", "x"),
            ("skin", "-1"),
            ("skin", "NaN"),
            ("colour", "red"),
        ] {
            assert!(options.set(key, value).is_err());
        }
    }
}
