"""Dynamics of many replicas."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _structures
from ._arrays import floats, integers, invalid, pointer
from ._library import check, ffi, lib, struct, text
from .model import Model
from .potential import Potential

__all__ = ["BOLTZMANN_IN_EV", "BlowUp", "Exchanges", "Simulation"]

#: Boltzmann's constant in eV/K, exact in the SI of 2019.
BOLTZMANN_IN_EV = 1.380649e-23 / 1.602176634e-19

_INTEGRATORS = {"langevin": "FSN_LANGEVIN", "verlet": "FSN_VERLET"}


class BlowUp(NamedTuple):
    """Why a replica stands still: the step it could not make, and what happened."""

    step: int
    reason: str


class Exchanges(NamedTuple):
    """Two replicas at neighbouring temperatures, the colder first, and how often they exchanged."""

    colder: int
    warmer: int
    attempts: int
    accepted: int


class Simulation:
    """Replicas that move together under a potential: Langevin dynamics (BAOAB) or Newton's equations (velocity Verlet).

    Random numbers are a function of the seed, the replica's stream, the atom and the step: the same seed gives the same
    trajectory to the bit, whatever the threads. A replica that blows up stands still, and the others go on. With a
    potential on a GPU, replicas move there.

    Time is in ps, mass in u, temperature in K, everything else in the model's units. May be used from any thread. Leave
    the potential to the simulation while it runs.

    Parameters
    ----------
    potential
        A potential, or the path of a model file.
    positions
        A sequence of arrays (atoms, 3), one a replica, or one array (replicas, atoms, 3).
    types, cells, pbc, excluded, topologies
        As for :meth:`Potential.compute_batch`.
    temperature
        One value, or one for each replica. May be zero with ``"verlet"``.
    thermal_energy
        k·T in the model's unit of energy, in the place of ``temperature``.
    timestep
        In ps.
    friction
        Of Langevin dynamics, in 1/ps.
    integrator
        ``"langevin"`` or ``"verlet"``.
    masses
        A sequence of arrays (atoms,), or one for all replicas, in u; by default those of the model's types.
    velocities
        As ``positions``, in the unit of length per ps; by default drawn from the Maxwell–Boltzmann distribution.
    seed
        Where random numbers begin, from 0 to 2⁶⁴ − 1.
    streams
        (replicas,), the stream of random numbers of each replica, no two the same; by default 0, 1, 2, …
    exchange_interval
        Steps between attempts to exchange the configurations of neighbouring temperatures; 0: never.
    ladders
        (replicas,), the ladder of temperatures each replica belongs to, negative for none; by default all to one.
    largest_step
        A replica has blown up if an atom moves further than this in one step; by default 10 Å.

    Raises
    ------
    InvalidArgument
        The text names the setting, replica or atom.
    """

    def __init__(
        self,
        potential: Potential | Model | str | os.PathLike[str],
        positions: Sequence[ArrayLike],
        types: Sequence[ArrayLike] | ArrayLike,
        cells: Sequence[ArrayLike | None] | ArrayLike | None = None,
        pbc: Sequence[ArrayLike] | ArrayLike | None = None,
        *,
        temperature: ArrayLike | None = None,
        thermal_energy: ArrayLike | None = None,
        timestep: float,
        friction: float | None = None,
        integrator: str = "langevin",
        excluded: Sequence[ArrayLike] | ArrayLike | None = None,
        topologies: ArrayLike | None = None,
        masses: Sequence[ArrayLike] | ArrayLike | None = None,
        velocities: Sequence[ArrayLike] | None = None,
        seed: int = 0,
        streams: ArrayLike | None = None,
        exchange_interval: int = 0,
        ladders: ArrayLike | None = None,
        largest_step: float | None = None,
    ) -> None:
        self.potential = potential if isinstance(potential, Potential) else Potential(potential)
        structures = _structures.batch(positions, types, cells, pbc, excluded, topologies)
        self._slices = list(structures.slices())
        count, atoms = len(structures), structures.atoms
        boltzmann = BOLTZMANN_IN_EV / self.potential.model.energy_in_ev
        if integrator not in _INTEGRATORS:
            raise invalid(f"integrator is {integrator!r}, must be one of {', '.join(_INTEGRATORS)}")
        if friction is None and integrator == "langevin":
            raise invalid("friction is missing: Langevin dynamics needs it")
        if (temperature is None) == (thermal_energy is None):
            raise invalid("one of temperature and thermal_energy must be given")
        if thermal_energy is None:
            thermal = boltzmann * _per_replica(temperature, count, "temperature")
        else:
            thermal = _per_replica(thermal_energy, count, "thermal_energy")
        if not 0 <= seed < 2**64:
            raise invalid(f"seed is {seed}, must be from 0 to 2**64 - 1")
        if not 0 <= exchange_interval < 2**63:
            raise invalid(f"exchange_interval is {exchange_interval}, must not be negative")
        settings = struct("fsn_settings")
        settings.integrator = getattr(lib, _INTEGRATORS[integrator])
        settings.timestep, settings.friction = timestep, friction or 0.0
        settings.seed, settings.exchange_interval = seed, exchange_interval
        # Zero stands for the default there, but is no sensible choice here.
        settings.largest_step = 0.0 if largest_step is None else (largest_step or -1.0)
        flows = None if streams is None else integers(streams, "streams", count)
        rungs = None if ladders is None else integers(ladders, "ladders", count)
        if flows is not None and (flows < 0).any():
            raise invalid("streams must not be negative")
        arrays = {
            "thermal_energies": thermal,
            "masses": self._masses(masses),
            "velocities": None if velocities is None else self._velocities(velocities),
            "streams": flows,
            "ladders": rungs,
        }
        memory = {name: pointer(array) for name, array in arrays.items()}
        if flows is not None:
            memory["streams"] = ffi.cast("uint32_t *", memory["streams"])
        for name, address in memory.items():
            setattr(settings, name, address)
        place = ffi.new("fsn_simulation **")
        check(lib.fsn_simulation_new(self.potential._handle, structures.struct, settings, place))
        self._handle = ffi.gc(place[0], lib.fsn_simulation_free)
        self._thermal, self._boltzmann = thermal, boltzmann
        self._atoms, self._replicas = atoms, count
        self._terms = ("network", *(self.potential.model.priors if self.potential._info().priors else ()))

    def run(self, steps: int) -> None:
        """Make ``steps`` steps; the interpreter's lock is released meanwhile.

        An error is one that no replica is to blame for; the state is then that of the last whole step.
        """
        if steps < 0:
            raise invalid(f"steps is {steps}, must not be negative")
        check(lib.fsn_simulation_run(self._handle, steps))

    @property
    def step(self) -> int:
        """Steps made so far."""
        return int(self._get("steps", np.empty(1, np.uint64))[0])

    @property
    def positions(self) -> list[NDArray[np.float64]]:
        """(atoms, 3) of each replica, copies."""
        return self._rows("positions")

    @property
    def velocities(self) -> list[NDArray[np.float64]]:
        """(atoms, 3) of each replica, copies, in the unit of length per ps."""
        return self._rows("velocities")

    @property
    def forces(self) -> list[NDArray[np.float64]]:
        """(atoms, 3) of each replica, copies."""
        return self._rows("forces")

    @property
    def energies(self) -> NDArray[np.float64]:
        """(replicas,): potential energies."""
        return self._get("energies", np.empty(self._replicas))

    @property
    def kinetic_energies(self) -> NDArray[np.float64]:
        """(replicas,): kinetic energies.

        With ``"langevin"``, once a step has been made, those in the middle of the last step, after the thermostat:
        there they have no error of the time step for an oscillator, while :attr:`velocities`, which are of whole steps,
        are slow by (ω Δt)² / 4 of their variance. With ``"verlet"``, those of :attr:`velocities`.
        """
        return self._get("kinetic_energies", np.empty(self._replicas))

    @property
    def temperatures(self) -> NDArray[np.float64]:
        """(replicas,): what the kinetic energies amount to, in K, with three degrees of freedom for each atom."""
        freedom = np.array([3 * (atoms.stop - atoms.start) for atoms in self._slices])
        result: NDArray[np.float64] = 2 * self.kinetic_energies / (np.maximum(freedom, 1) * self._boltzmann)
        return result

    @property
    def targets(self) -> NDArray[np.float64]:
        """(replicas,): the temperatures that were asked for, in K."""
        return self._thermal / self._boltzmann

    @property
    def terms(self) -> dict[str, NDArray[np.float64]]:
        """(replicas,): energies of the network, under ``"network"``, and of each prior under its name."""
        table = self._get("term_energies", np.empty((self._replicas, len(self._terms))))
        return {name: table[:, column] for column, name in enumerate(self._terms)}

    @property
    def walkers(self) -> NDArray[np.uint32]:
        """(replicas,): the replica whose first configuration each has by now, after exchanges."""
        return self._get("walkers", np.empty(self._replicas, np.uint32))

    @property
    def frozen(self) -> dict[int, BlowUp]:
        """The replicas that have blown up and stand still, as they were before that step."""
        steps = self._get("frozen", np.empty(self._replicas, np.uint64))
        reason = lib.fsn_simulation_get_reason
        return {r: BlowUp(int(steps[r]), text(reason(self._handle, r))) for r in np.flatnonzero(steps).tolist()}

    @property
    def exchanges(self) -> list[Exchanges]:
        """The pairs of neighbouring temperatures, one ladder after the other."""
        return list(self._exchanges())

    def checkpoint(self) -> bytes:
        """All that the next step depends on."""
        length = ffi.new("size_t *")
        check(lib.fsn_simulation_checkpoint(self._handle, ffi.NULL, length))
        buffer = bytearray(length[0])
        check(lib.fsn_simulation_checkpoint(self._handle, ffi.from_buffer("uint8_t[]", buffer), length))
        return bytes(buffer[: length[0]])

    def restore(self, checkpoint: bytes) -> None:
        """Go on from a checkpoint of a simulation that was told the same, to the bit as it would have gone on there.

        Raises
        ------
        InvalidArgument
            For bytes that are no checkpoint, are damaged or belong to another simulation; nothing is changed.
        """
        check(lib.fsn_simulation_restore(self._handle, ffi.from_buffer("uint8_t[]", checkpoint), len(checkpoint)))

    def __len__(self) -> int:
        return self._replicas

    def __repr__(self) -> str:
        return f"<flashschnet.Simulation of {self._replicas} replicas, {self._atoms} atoms, step {self.step}>"

    def _exchanges(self) -> Iterator[Exchanges]:
        count = int(self._get("pairs", np.empty(1, np.uintp))[0])
        for number in range(count):
            entry = struct("fsn_exchanges")
            check(lib.fsn_simulation_get_exchanges(self._handle, number, entry))
            yield Exchanges(entry.colder, entry.warmer, entry.attempts, entry.accepted)

    def _rows(self, name: str) -> list[NDArray[np.float64]]:
        rows = self._get(name, np.empty((self._atoms, 3)))
        return [rows[atoms] for atoms in self._slices]

    def _get(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        state = struct("fsn_state")
        memory = ffi.cast("void *", array.ctypes.data)
        setattr(state, name, ffi.cast(ffi.typeof(getattr(state, name)), memory))
        check(lib.fsn_simulation_get_state(self._handle, state))
        return array

    def _masses(self, masses: Sequence[ArrayLike] | ArrayLike | None) -> NDArray[np.float64] | None:
        if masses is None:
            return None
        once = not isinstance(masses, (list, tuple)) or all(np.ndim(mass) == 0 for mass in masses)
        each = [masses] * len(self._slices) if once and np.ndim(masses) == 1 else list(masses)  # type: ignore[arg-type]
        return self._joined(each, "masses", ())

    def _velocities(self, velocities: Sequence[ArrayLike]) -> NDArray[np.float64]:
        return self._joined(list(velocities), "velocities", (3,))

    def _joined(self, each: list[Any], name: str, columns: tuple[int, ...]) -> NDArray[np.float64]:
        if len(each) != len(self._slices):
            raise invalid(f"{len(each)} {name} for {len(self._slices)} replicas")
        sizes = [atoms.stop - atoms.start for atoms in self._slices]
        parts = [
            floats(part, f"{name}[{replica}]", size, *columns)
            for replica, (part, size) in enumerate(zip(each, sizes, strict=True))
        ]
        return np.concatenate(parts) if parts else np.empty((0, *columns))


def _per_replica(value: ArrayLike | None, count: int, name: str) -> NDArray[np.float64]:
    array = np.asarray(value, dtype=np.float64)
    return floats(np.full(count, array) if array.ndim == 0 else array, name, count)
