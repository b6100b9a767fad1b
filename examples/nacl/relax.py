#!/usr/bin/env python3
"""Find a model's zero-pressure lattice constant and write the start structure of the dynamics.

Symmetry holds every ion of ideal rock salt in place, so the lattice constant is all there is to
relax. The bulk modulus comes with it, from the slope of the pressure.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.io import write

from evaluate import GPA, HERE, calculator


def crystal(lattice: float, repeat: int) -> Atoms:
    """Ideal rock salt, `repeat` conventional cells each way."""
    return bulk("NaCl", "rocksalt", a=lattice, cubic=True) * repeat


def equation_of_state(calc: Calculator, repeat: int, guess: float = 5.46) -> tuple[float, float]:
    """Zero-pressure lattice constant in Å and bulk modulus in GPa, from pressures around `guess`."""
    lattices = guess * np.linspace(0.985, 1.015, 7)
    pressures = []
    for lattice in lattices:
        atoms = crystal(lattice, repeat)
        atoms.calc = calc
        pressures.append(-atoms.get_stress()[:3].mean())
    # The pressure is close to a parabola in the lattice constant over three percent.
    fit = np.polynomial.Polynomial.fit(lattices, pressures, 3)
    roots = fit.roots()
    real = roots[np.isreal(roots)].real
    lattice = float(real[np.argmin(np.abs(real - guess))])
    return lattice, float(-lattice / 3.0 * fit.deriv()(lattice) * GPA)


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=HERE / "nacl.safetensors")
    parser.add_argument("--precision", choices=("single", "double"), default="double")
    parser.add_argument("--out", type=Path, default=HERE / "nacl-216.extxyz")
    parser.add_argument("--xtb", action="store_true", help="ask GFN1-xTB itself too, in 64 atoms")
    args = parser.parse_args()

    lattice, modulus = equation_of_state(calculator(args.model, args.precision), 3)
    print(f"model:    lattice constant {lattice:.4f} A, bulk modulus {modulus:.1f} GPa")
    if args.xtb:
        from tblite.ase import TBLite

        reference = equation_of_state(TBLite(method="GFN1-xTB", verbosity=0), 2)
        print("GFN1-xTB: lattice constant {:.4f} A, bulk modulus {:.1f} GPa".format(*reference))
    write(args.out, crystal(round(lattice, 4), 3), columns=["symbols", "positions"])


if __name__ == "__main__":
    main()
