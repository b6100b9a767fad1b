//! Units a model file may be in, and their size in ångström and electronvolt.

use serde::{Deserialize, Serialize};

/// Units of every dimensioned number of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Units {
    /// Unit of length.
    pub length: LengthUnit,
    /// Unit of energy.
    pub energy: EnergyUnit,
}

/// Units of length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LengthUnit {
    /// 10⁻¹⁰ m
    Angstrom,
    /// Bohr radius
    Bohr,
    /// 10⁻⁹ m
    #[serde(rename = "nm")]
    Nanometre,
}

/// Units of energy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnergyUnit {
    /// Electronvolt
    #[serde(rename = "eV")]
    ElectronVolt,
    /// Hartree
    Hartree,
    /// Thermochemical kilocalorie per mole
    #[serde(rename = "kcal/mol")]
    KilocaloriePerMole,
    /// Kilojoule per mole
    #[serde(rename = "kJ/mol")]
    KilojoulePerMole,
    /// Half a Hartree
    Rydberg,
}

impl Units {
    /// One unit of energy per u and square of the unit of length, in 1/ps²: what turns force over mass into acceleration.
    pub fn acceleration(&self) -> f64 {
        // 1 J/mol is 0.1 u Å²/ps².
        let joule_per_mole = self.energy.in_ev() * ELEMENTARY_CHARGE * AVOGADRO;
        let length = self.length.in_angstrom();
        0.1 * joule_per_mole / (length * length)
    }
}

// CODATA 2018 (Tiesinga et al., Rev. Mod. Phys. 93, 025010 (2021)); e and N_A are exact in the SI.
const BOHR_IN_ANGSTROM: f64 = 0.529_177_210_903;
const HARTREE_IN_EV: f64 = 27.211_386_245_988;
const ELEMENTARY_CHARGE: f64 = 1.602_176_634e-19;
const AVOGADRO: f64 = 6.022_140_76e23;

impl LengthUnit {
    /// Its name in model files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Angstrom => "Angstrom",
            Self::Bohr => "Bohr",
            Self::Nanometre => "nm",
        }
    }

    /// One unit in ångström.
    pub fn in_angstrom(self) -> f64 {
        match self {
            Self::Angstrom => 1.0,
            Self::Bohr => BOHR_IN_ANGSTROM,
            Self::Nanometre => 10.0,
        }
    }
}

impl EnergyUnit {
    /// Its name in model files.
    pub fn name(self) -> &'static str {
        match self {
            Self::ElectronVolt => "eV",
            Self::Hartree => "Hartree",
            Self::KilocaloriePerMole => "kcal/mol",
            Self::KilojoulePerMole => "kJ/mol",
            Self::Rydberg => "Rydberg",
        }
    }

    /// One unit in electronvolt.
    pub fn in_ev(self) -> f64 {
        match self {
            Self::ElectronVolt => 1.0,
            Self::Hartree => HARTREE_IN_EV,
            Self::KilojoulePerMole => 1e3 / AVOGADRO / ELEMENTARY_CHARGE,
            Self::KilocaloriePerMole => 4184.0 / AVOGADRO / ELEMENTARY_CHARGE,
            Self::Rydberg => HARTREE_IN_EV / 2.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_agree_with_published_values() {
        assert!((EnergyUnit::KilocaloriePerMole.in_ev() - 0.043_364_104_241).abs() < 1e-11);
        assert!((EnergyUnit::KilojoulePerMole.in_ev() - 0.010_364_269_656).abs() < 1e-11);
        let units = |length, energy| Units { length, energy }.acceleration();
        let mlcg = units(LengthUnit::Angstrom, EnergyUnit::KilocaloriePerMole);
        assert!((mlcg - 418.4).abs() < 1e-12);
        assert!((units(LengthUnit::Nanometre, EnergyUnit::KilojoulePerMole) - 1.0).abs() < 1e-15);
        assert_eq!(LengthUnit::Nanometre.in_angstrom(), 10.0);
    }
}
