"""The ASE calculator."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import ArrayLike, NDArray

from .model import Model
from .potential import Potential

__all__ = ["FlashSchNetCalculator"]

#: What the potential is made with.
_CHOICES = ("device", "precision", "filters", "threads", "skin", "priors")


class FlashSchNetCalculator(Calculator):  # type: ignore[misc]
    """Energies, forces and stresses of a SchNet model in ASE, in eV and Å whatever the units of the model.

    Types are ``atoms.arrays["types"]`` if there is such an array, as coarse-grained models need, else the atomic
    numbers. Structures may be periodic in any directions, or have no cell. Stresses need a cell with a volume; without
    one ASE's ``PropertyNotImplementedError`` is raised.

    Several calculators may be used at once, from one thread each. Pickled and copied calculators make their own
    potential of the same model file.

    Parameters
    ----------
    path
        The model file, or a :class:`flashschnet.Model`.
    device, precision, filters, threads
        As for :class:`flashschnet.Potential`.
    skin
        Skin of the neighbour lists, in Å.
    excluded
        (pairs, 2), pairs of atoms that are left out of the network's graph, for models with ``excluded_bonds``.
    priors
        ``"on"`` or ``"off"``: whether a coarse-grained model's priors are part of energies and forces.
    topology
        For models with priors, the number of the molecule among the structures of the model's file; by default it is
        found by the types. Other molecules: ``calculator.potential.add_topology(types, terms)``.
    atoms
        Atoms to attach the calculator to.

    Raises
    ------
    flashschnet.Error
        As for :class:`flashschnet.Potential`; calculating raises as :meth:`flashschnet.Potential.compute`.
    """

    implemented_properties: ClassVar[list[str]] = [
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
        "stresses",
    ]
    default_parameters: ClassVar[dict[str, Any]] = {
        "device": "auto",
        "precision": "single",
        "filters": "auto",
        "threads": None,
        "skin": None,
        "excluded": None,
        "priors": "on",
        "topology": None,
    }
    #: The potential, in the model's own units.
    potential: Potential

    def __init__(
        self,
        path: str | os.PathLike[str] | Model,
        device: str = "auto",
        precision: str = "single",
        filters: str = "auto",
        threads: int | None = None,
        skin: float | None = None,
        excluded: ArrayLike | None = None,
        priors: str = "on",
        topology: int | None = None,
        *,
        atoms: Atoms | None = None,
    ) -> None:
        self._model = path if isinstance(path, Model) else Model(path)
        super().__init__(
            atoms=atoms,
            path=self._model.name,
            device=device,
            precision=precision,
            filters=filters,
            threads=threads,
            skin=skin,
            excluded=excluded,
            priors=priors,
            topology=topology,
        )

    def set(self, **kwargs: Any) -> dict[str, Any]:
        """Change parameters by their names; returns those that changed."""
        unknown = sorted(set(kwargs) - set(self.default_parameters) - {"path"})
        if unknown:
            raise TypeError(
                f"there is no parameter {unknown[0]!r}; there are path, {', '.join(self.default_parameters)}"
            )
        changed: dict[str, Any] = super().set(**kwargs)
        if changed or not hasattr(self, "potential"):
            self.reset()
            given: dict[str, Any] = dict(self.parameters)
            if given["path"] != self._model.name:
                self._model = Model(given["path"])
            if given["skin"] is not None:
                given["skin"] /= self._model.length_in_angstrom
            choices = {name: given[name] for name in _CHOICES}
            self.potential = Potential(self._model, **choices)
        return changed

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What has changed since the last calculation; of its own the array of types, which ASE does not look at."""
        changes: list[str] = super().check_state(atoms, tol=tol)
        if not changes and not np.array_equal(_types(self.atoms), _types(atoms)):
            changes.append("types")
        return changes

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute what ``properties`` need; by default energy and forces."""
        properties = ["energy", "forces"] if properties is None else properties
        super().calculate(atoms, properties, system_changes)
        self._calculate(self.atoms, properties)

    def _calculate(self, atoms: Atoms, properties: list[str]) -> None:
        length, energy = self._model.length_in_angstrom, self._model.energy_in_ev
        stressed = atoms.cell.rank == 3
        virial = stressed and "stress" in properties
        virials = stressed and "stresses" in properties
        periodic = atoms.pbc.any()
        found = self.potential.compute(
            atoms.positions if length == 1.0 else atoms.positions / length,
            _types(atoms),
            atoms.cell.array / length if periodic else None,
            atoms.pbc if periodic else None,
            excluded=self.parameters["excluded"],
            topology=self.parameters["topology"],
            forces="forces" in properties,
            virial=virial,
            virials=virials,
        )
        results = {"energy": found.energy * energy, "energies": found.energies * energy}
        results["free_energy"] = results["energy"]
        if found.forces is not None:
            results["forces"] = found.forces * (energy / length)
        if found.virial is not None:
            results["stress"] = _stress(found.virial, energy, atoms)
        if found.virials is not None:
            results["stresses"] = _stress(found.virials, energy, atoms)
        self.results = results


def _types(atoms: Atoms) -> NDArray[np.integer[Any]]:
    types: NDArray[np.integer[Any]] = atoms.arrays.get("types", atoms.numbers)
    return types


def _stress(virial: NDArray[np.float64], energy: float, atoms: Atoms) -> NDArray[np.float64]:
    stress: NDArray[np.float64] = full_3x3_to_voigt_6_stress(-virial * energy / atoms.get_volume())
    return stress
