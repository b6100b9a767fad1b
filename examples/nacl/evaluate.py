#!/usr/bin/env python3
"""Measure a model on the held-out frames: error table and parity plot.

MODEL is a converted file (`nacl.safetensors`, computed by FlashSchNet) or the SchNetPack
checkpoint itself (`best_model`, computed by SchNetPack, to check one against the other).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
GPA = 160.21766208  # eV/A^3 in GPa
MARKS = ("<!-- errors -->\n", "<!-- /errors -->\n")


def calculator(model: Path, precision: str = "double") -> Calculator:
    """FlashSchNet for a converted model, SchNetPack for its own checkpoint."""
    if model.suffix == ".safetensors":
        from flashschnet.ase import FlashSchNetCalculator

        return FlashSchNetCalculator(model, precision=precision)
    import torch
    from schnetpack.interfaces import SpkCalculator
    from schnetpack.transform import MatScipyNeighborList

    cutoff = float(torch.load(model, weights_only=False).representation.cutoff)
    return SpkCalculator(
        str(model),
        MatScipyNeighborList(cutoff=cutoff),
        stress_key="stress",
        energy_unit="eV",
        position_unit="Ang",
        # SchNetPack adds the offset of -64 eV/atom in this type.
        dtype=torch.float64,
    )


@dataclass
class Results:
    """Labels and predictions of one set of frames; energies are per atom."""

    name: str
    temperature: np.ndarray
    energy: np.ndarray
    forces: np.ndarray
    stress: np.ndarray
    model_energy: np.ndarray
    model_forces: np.ndarray
    model_stress: np.ndarray

    def pick(self, name: str, mask: np.ndarray) -> Results:
        """Only the frames of `mask`, under another name."""
        fields = [getattr(self, key)[mask] for key in list(self.__dict__)[1:]]
        return Results(name, *fields)

    def row(self) -> str:
        """One line of the table."""
        energy = 1e3 * (self.model_energy - self.energy)
        forces = 1e3 * (self.model_forces - self.forces)
        stress = GPA * (self.model_stress - self.stress)
        spread = 1e3 * np.sqrt(np.mean(self.forces**2))

        def rmse(error: np.ndarray) -> float:
            return float(np.sqrt(np.mean(error**2)))

        return (
            f"| {self.name} | {len(self.energy)} | {np.abs(energy).mean():.2f} | "
            f"{rmse(energy):.2f} | {np.abs(forces).mean():.1f} | {rmse(forces):.1f} | "
            f"{spread:.0f} | {rmse(stress):.3f} |"
        )


def predict(path: Path, calc: Calculator) -> Results:
    """Labels of a file, and what the calculator says of its frames."""
    data = np.load(path)
    energies, forces, stresses = [], [], []
    for positions, cell in zip(data["positions"], data["cell"], strict=True):
        atoms = Atoms(data["numbers"], positions, cell=cell, pbc=True)
        atoms.calc = calc
        energies.append(atoms.get_potential_energy() / len(atoms))
        forces.append(atoms.get_forces())
        stresses.append(atoms.get_stress(voigt=False))
    return Results(
        path.stem,
        data["temperature"],
        data["energy"] / len(data["numbers"]),
        data["forces"],
        data["stress"],
        np.array(energies),
        np.stack(forces),
        np.stack(stresses),
    )


def table(parts: list[Results]) -> str:
    """The errors of several sets in Markdown."""
    head = (
        "| frames | count | energy MAE, meV/atom | energy RMSE, meV/atom | force MAE, meV/Å "
        "| force RMSE, meV/Å | force spread, meV/Å | stress RMSE, GPa |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    return head + "".join(part.row() + "\n" for part in parts)


def parity(parts: list[Results], path: Path) -> None:
    """Model against labels; the strip below each panel shows the error on its own scale."""
    figure, axes = plt.subplots(
        2,
        2,
        figsize=(8.4, 5.6),
        height_ratios=(3, 1),
        sharex="col",
        layout="constrained",
    )
    origin = min(part.energy.min() for part in parts)
    for part, color in zip(parts, ("#1f6feb", "#d1570c"), strict=True):
        columns = (
            (1e3 * (part.energy - origin), 1e3 * (part.model_energy - origin), 1.0, 14),
            (part.forces.ravel(), part.model_forces.ravel(), 1e3, 2),
        )
        for column, (label, model, scale, size) in enumerate(columns):
            style = {"s": size, "alpha": 0.6, "color": color, "linewidths": 0}
            axes[0, column].scatter(label, model, label=part.name, rasterized=True, **style)
            axes[1, column].scatter(label, scale * (model - label), rasterized=True, **style)
    for axis in axes[0]:
        low, high = axis.get_xlim()
        axis.plot((low, high), (low, high), color="0.3", linewidth=0.8, zorder=0)
        axis.set_xlim(low, high)
    for axis in axes[1]:
        axis.axhline(0.0, color="0.3", linewidth=0.8, zorder=0)
    axes[0, 0].set_title("Energy")
    axes[0, 0].set_ylabel("model, meV/atom")
    axes[1, 0].set_xlabel("GFN1-xTB, meV/atom above the lowest frame")
    axes[1, 0].set_ylabel("error, meV/atom")
    axes[0, 1].set_title("Force components")
    axes[0, 1].set_ylabel("model, eV/Å")
    axes[1, 1].set_xlabel("GFN1-xTB, eV/Å")
    axes[1, 1].set_ylabel("error, meV/Å")
    axes[0, 0].legend(frameon=False, markerscale=1.5)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def insert(readme: Path, text: str) -> None:
    """Put the table between the two marks of the page."""
    page = readme.read_text(encoding="utf-8")
    before, rest = page.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    readme.write_text(before + MARKS[0] + text + MARKS[1] + after, encoding="utf-8")


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=HERE / "nacl.safetensors")
    parser.add_argument("--plot", type=Path, default=HERE / "parity.png")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    parser.add_argument("--precision", choices=("single", "double"), default="double")
    args = parser.parse_args()

    calc = calculator(args.model, args.precision)
    md = predict(HERE / "data" / "test-md.npz", calc)
    random = predict(HERE / "data" / "test-random.npz", calc)
    md.name, random.name = "dynamics", "random displacements"
    cold, warm = md.temperature <= 400.0, md.temperature > 700.0
    rows = [
        md.pick("dynamics, 100-400 K", cold),
        md.pick("dynamics, 400-700 K", ~cold & ~warm),
        md.pick("dynamics, 700-1000 K", warm),
        md.pick("dynamics, all", np.ones_like(cold)),
        random,
    ]
    text = table(rows)
    print(text, end="")
    parity([md, random], args.plot)
    if args.readme:
        insert(HERE / "README.md", text)


if __name__ == "__main__":
    main()
