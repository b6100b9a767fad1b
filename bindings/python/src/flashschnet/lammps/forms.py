"""The forms of priors as LAMMPS writes them. Each is the same function, up to a constant that exerts no force."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .errors import ExportError
from .priors import Prior, Term

__all__ = ["Bonded", "Buckingham", "bonded", "buckingham"]


@dataclass(frozen=True)
class Bonded:
    """A bonded style, its coefficients, and the constant of the prior that it lacks (or has, if negative)."""

    section: str  # bond, angle or dihedral
    style: str
    coefficients: str
    constant: float


@dataclass(frozen=True)
class Buckingham:
    """``pair_style buck``, A exp(−r / ρ) − C / r⁶, which both repulsions are."""

    a: float
    rho: float
    c: float

    def energy(self, r: float) -> float:
        """At a distance."""
        return self.a * math.exp(-r / self.rho) - self.c / r**6


def bonded(prior: Prior, term: Term, energy: float, length: float) -> Bonded:
    """One term; ``energy`` and ``length`` are the model's units in LAMMPS'."""
    return _BONDED[prior.kind](prior, term, energy, length)


def buckingham(prior: Prior, term: Term, energy: float, length: float) -> Buckingham:
    """One pair of a repulsion."""
    if prior.kind == "repulsion":
        return Buckingham(0.0, length, -energy * (term["sigma"] * length) ** 6)
    if term["b"] <= 0.0:
        raise ExportError(f"prior {prior.name}: pair style buck has no exponent that does not fall, b = {term['b']}")
    return Buckingham(energy * term["a"], length / term["b"], 0.0)


def _number(value: float) -> str:
    return f"{value:.17g}"


def _degrees_of(prior: Prior, cosine: float) -> str:
    if not -1.0 <= cosine <= 1.0:
        raise ExportError(f"prior {prior.name}: LAMMPS has no form for an equilibrium cosine beyond 1, {cosine:.6g}")
    return _number(math.degrees(math.acos(cosine)))


def _harmonic_bond(prior: Prior, term: Term, energy: float, length: float) -> Bonded:
    coefficients = f"{_number(term['k'] * energy / length**2)} {_number(term['x0'] * length)}"
    return Bonded("bond", "harmonic", coefficients, term["v0"] * energy)


def _harmonic_angle_cos(prior: Prior, term: Term, energy: float, length: float) -> Bonded:
    coefficients = f"{_number(term['k'] * energy)} {_degrees_of(prior, term['x0'])}"
    return Bonded("angle", "cosine/squared", coefficients, term["v0"] * energy)


def _harmonic_angle(prior: Prior, term: Term, energy: float, length: float) -> Bonded:
    coefficients = f"{_number(term['k'] * energy)} {_number(math.degrees(term['x0']))}"
    return Bonded("angle", "harmonic", coefficients, term["v0"] * energy)


def _restricted_bending(prior: Prior, term: Term, energy: float, length: float) -> Bonded:
    coefficients = f"{_number(term['k'] * energy)} {_degrees_of(prior, term['x0'])}"
    return Bonded("angle", "cosine/squared/restricted", coefficients, term["v0"] * energy)


def _quartic_angle(prior: Prior, term: Term, energy: float, length: float) -> Bonded:
    """LAMMPS expands about an angle without slope; polynomials of degree 4 and 2 have one."""
    polynomial = np.polynomial.Polynomial([term[name] for name in ("v0", "d", "c", "b", "a")])
    if not any(polynomial.coef[1:]):
        return Bonded("angle", "quartic", "90.0 0.0 0.0 0.0", term["v0"] * energy)
    flat = [float(root.real) for root in polynomial.deriv().trim().roots() if abs(root.imag) < 1e-12]
    if not flat:
        raise ExportError(f"prior {prior.name}: a quartic angle without a flat point has no form in LAMMPS")
    # Any of them will do; one near the angles that occur loses least to rounding.
    centre = min(flat, key=lambda angle: abs(angle - math.pi / 2))
    factors = [float(polynomial.deriv(order)(centre)) / math.factorial(order) * energy for order in (2, 3, 4)]
    coefficients = " ".join(map(_number, (math.degrees(centre), *factors)))
    return Bonded("angle", "quartic", coefficients, float(polynomial(centre)) * energy)


def _fourier_dihedral(prior: Prior, term: Term, energy: float, length: float) -> Bonded:
    """A sine and a cosine are one cosine with a phase, to which LAMMPS adds 1."""
    parts, height = [], 0.0
    for n, (sine, cosine) in enumerate(zip(term.parameters["sin"], term.parameters["cos"], strict=True), 1):
        size = math.hypot(sine, cosine) * energy
        if size == 0.0:
            continue
        height += size
        # LAMMPS' dihedral has the sign of ours.
        parts.append(f"{_number(size)} {n} {_number(math.degrees(math.atan2(sine, cosine)))}")
    if not parts:
        parts.append("0.0 1 0.0")
    return Bonded("dihedral", "fourier", f"{len(parts)} {' '.join(parts)}", term["v0"] * energy - height)


def _harmonic_improper(prior: Prior, term: Term, energy: float, length: float) -> Bonded:
    coefficients = f"{_number(term['k'] * energy)} {_number(math.degrees(term['x0']))}"
    return Bonded("dihedral", "quadratic", coefficients, term["v0"] * energy)


_Form = Callable[[Prior, Term, float, float], Bonded]
_BONDED: dict[str, _Form] = {
    "harmonic_bond": _harmonic_bond,
    "harmonic_angle_cos": _harmonic_angle_cos,
    "harmonic_angle": _harmonic_angle,
    "restricted_bending": _restricted_bending,
    "quartic_angle": _quartic_angle,
    "fourier_dihedral": _fourier_dihedral,
    "harmonic_improper": _harmonic_improper,
}
#: Kinds that are pair styles.
REPULSIONS: Sequence[str] = ("repulsion", "exponential_repulsion")
