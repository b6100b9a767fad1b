"""The loop of a run: steps, frames, exports, progress, signals."""

from __future__ import annotations

import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..convert import convert
from ..model import Model
from ..potential import Potential
from ..simulation import BOLTZMANN_IN_EV, Simulation
from .config import Config, ConfigError
from .folder import Frames, RunFolder
from .molecules import Molecule, TopologyFile, read
from .tables import check_format

__all__ = ["simulate"]

#: How long the loop is deaf to signals, at most, once it knows how long a step takes.
_PATIENCE = 0.25


def simulate(
    config: Config,
    folder: str | Path | None = None,
    *,
    text: str = "",
    restart: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Make a run, or go on with one.

    Parameters
    ----------
    config
        The configuration.
    folder
        Where the run is written; by default the configuration's ``filename``.
    text
        The configuration as it was given, to be kept with the run.
    restart
        Go on from the checkpoint in the folder, or begin if there is none yet.
    overwrite
        Begin anew in the place of a run that is there.
    quiet
        No progress bar.

    Returns
    -------
    int
        0, or the number of the signal that ended it; the run is then saved, to be gone on with.

    Raises
    ------
    ConfigError, flashschnet.Error, ConvertError
        What is wrong, in one line.
    """
    target = folder or config.filename
    if target is None:
        raise ConfigError("name the folder to write to, or give simulation.filename")
    check_format(config.table_format)
    run = RunFolder(target)
    restart = restart or config.read_checkpoint_file is not False
    if run.exists() and not restart and not overwrite:
        raise ConfigError(f"{run.path} holds a run: --restart goes on with it, --overwrite begins anew")
    run.path.mkdir(parents=True, exist_ok=True)
    goes_on = restart and run.exists()
    setup = _Setup(config, run, int(run.description()["seed"]) if goes_on else None)
    if goes_on:
        checkpoint = run.read_checkpoint()
    else:
        run.begin(setup.description(), text, setup.molecules, setup.model.length_in_angstrom)
        checkpoint = None
    if isinstance(config.read_checkpoint_file, Path):
        try:
            checkpoint = config.read_checkpoint_file.read_bytes()
        except OSError as error:
            raise ConfigError(f"cannot read {config.read_checkpoint_file}: {error.strerror or error}") from error
    if checkpoint is not None:
        setup.simulation.restore(checkpoint)
    run.drop_after(setup.simulation.step)
    return _Loop(config, run, setup, quiet).run()


class _Setup:
    """Model, replicas and simulation of a configuration."""

    def __init__(self, config: Config, run: RunFolder, seed: int | None) -> None:
        self.config = config
        self.model = _model(config, run)
        topology = TopologyFile() if config.topology_file is None else TopologyFile.load(config.topology_file)
        source = config.structure_file or config.model_file
        self.molecules = read(source, self.model, topology)
        _different_names(self.molecules)
        precision = {"single": "single", "double": "double"}[config.dtype]
        self.potential = Potential(self.model, config.device, precision, config.filters, config.threads, config.skin)
        if topology.terms is not None:
            if len(self.molecules) != 1:
                raise ConfigError(
                    f"{config.topology_file}: terms are of one molecule, {source} has {len(self.molecules)}"
                )
            molecule = self.molecules[0]
            self.potential.add_topology(molecule.types, topology.terms, molecule.name)
        self.replicas, self.ladders = self._replicas()
        given = config.random_seed
        self.seed = seed if seed is not None else (given if given is not None else secrets.randbits(63))
        self.simulation = self._simulation()

    def description(self) -> dict[str, Any]:
        """What ``run.json`` says."""
        targets = self.simulation.targets.tolist()
        return {
            "format": 1,
            "seed": self.seed,
            "units": {"length": "Angstrom", "energy": self.model.units.energy, "time": "ps", "temperature": "K"},
            "energy_in_eV": self.model.energy_in_ev,
            "timestep": self.config.dt,
            "steps": self.config.n_timesteps,
            "save_interval": self.config.save_interval,
            "terms": list(self.simulation.terms),
            "exchange": bool(self.config.exchange_interval),
            "replicas": [
                {"structure": molecule.name, "temperature": temperature}
                for (molecule, _), temperature in zip(self.replicas, targets, strict=True)
            ],
        }

    def _replicas(self) -> tuple[list[tuple[Molecule, float]], list[int] | None]:
        """Molecule and k·T of each replica, and with exchange the ladder it is on, in mlcg's order."""
        config = self.config
        unit = BOLTZMANN_IN_EV / self.model.energy_in_ev
        thermal = [unit * t for t in config.temperatures] or [1.0 / beta for beta in config.betas]
        starts = [molecule for molecule in self.molecules for _ in range(config.replicas)]
        if config.exchange_interval:
            if len(thermal) < 2:
                raise ConfigError("exchange of replicas needs two or more betas or temperatures")
            return (
                [(molecule, energy) for energy in thermal for molecule in starts],
                [number for _ in thermal for number in range(len(starts))],
            )
        if len(thermal) == len(self.molecules) > 1:
            thermal = [energy for energy in thermal for _ in range(config.replicas)]
        if len(thermal) == 1:
            thermal *= len(starts)
        if len(thermal) != len(starts):
            raise ConfigError(
                f"{len(thermal)} betas or temperatures for {len(self.molecules)} structures with {config.replicas} "
                "replicas of each: give one, one for each structure, or one for each replica"
            )
        return list(zip(starts, thermal, strict=True)), None

    def _simulation(self) -> Simulation:
        config = self.config
        masses, excluded = None, None
        if all(molecule.excluded is not None for molecule, _ in self.replicas):
            excluded = [molecule.excluded for molecule, _ in self.replicas]
        if any(molecule.masses is not None for molecule, _ in self.replicas):
            of_type = {kind.index: kind.mass for kind in self.model.types}
            masses = [_masses(molecule, of_type) for molecule, _ in self.replicas]
        return Simulation(
            self.potential,
            [molecule.positions for molecule, _ in self.replicas],
            [molecule.types for molecule, _ in self.replicas],
            thermal_energy=[energy for _, energy in self.replicas],
            timestep=config.dt,
            friction=config.friction if config.integrator == "langevin" else None,
            integrator=config.integrator,
            masses=masses,
            excluded=excluded,  # type: ignore[arg-type]
            seed=self.seed,
            exchange_interval=config.exchange_interval,
            ladders=self.ladders,
        )


def _model(config: Config, run: RunFolder) -> Model:
    """The model, converted if need be."""
    source = config.model_file
    if source.suffix == ".safetensors":
        return Model(source)
    if not source.is_file():
        raise ConfigError(f"cannot read {source}: there is no such file")
    terms = config.structure_file
    lends = terms is not None and terms != source and terms.suffix in (".pt", ".pth")
    convert(source, run.model_file, terms=terms if lends else None)
    return Model(run.model_file)


def _masses(molecule: Molecule, of_type: dict[int, float | None]) -> Any:
    if molecule.masses is not None:
        return molecule.masses
    masses = [of_type.get(int(kind)) for kind in molecule.types]
    if None in masses:
        raise ConfigError(
            f"{molecule.name} has no masses, and the model has none for type {molecule.types[masses.index(None)]}"
        )
    return masses


def _different_names(molecules: list[Molecule]) -> None:
    """Names that files can have, no two the same."""
    seen: set[str] = set()
    for number, molecule in enumerate(molecules):
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in molecule.name).strip(".") or "structure"
        molecule.name = name if name not in seen else f"{name}-{number}"
        seen.add(molecule.name)


class _Loop:
    """Runs a simulation to its end, or until a signal."""

    def __init__(self, config: Config, run: RunFolder, setup: _Setup, quiet: bool) -> None:
        self._config, self._run, self._setup, self._quiet = config, run, setup, quiet
        self._simulation = setup.simulation
        self._frames = Frames()
        self._signal = 0
        self._told: set[int] = set()
        self._angstrom = setup.model.length_in_angstrom

    def run(self) -> int:
        config, simulation = self._config, self._simulation
        from tqdm import tqdm

        began, first = time.monotonic(), simulation.step
        bar = tqdm(
            total=config.n_timesteps, initial=first, unit="step", disable=self._quiet, mininterval=config.tqdm_refresh
        )
        chunk, saved = 1, first
        gpu = self._setup.potential.gpu
        if gpu is not None:
            self._say(bar, f"{len(simulation)} replicas move on {gpu.name}, with network and priors")
        with bar, self._signals():
            while simulation.step < config.n_timesteps and not self._signal:
                step = simulation.step
                steps = min(chunk, config.save_interval - step % config.save_interval, config.n_timesteps - step)
                started = time.monotonic()
                simulation.run(steps)
                each = (time.monotonic() - started) / steps
                chunk = max(1, int(_PATIENCE / max(each, 1e-9)))
                if simulation.step % config.save_interval == 0:
                    self._save()
                    if simulation.step % config.exports == 0:
                        self._export()
                        saved = simulation.step
                    if config.log_interval and simulation.step % config.log_interval == 0:
                        self._log(bar)
                bar.update(steps)
                bar.set_postfix_str(self._speed(simulation.step - first, time.monotonic() - began), refresh=False)
            if simulation.step != saved:
                self._export()
        self._say(bar, f"{simulation.step} of {config.n_timesteps} steps are in {self._run.path}")
        for pair in simulation.exchanges[:: max(1, len(self._setup.molecules) * config.replicas)]:
            if pair.attempts:
                self._say(
                    bar,
                    f"replicas {pair.colder} and {pair.warmer}: {pair.accepted} of {pair.attempts} exchanges accepted",
                )
        return self._signal

    def _save(self) -> None:
        simulation, frames = self._simulation, self._frames
        step, frozen = simulation.step, simulation.frozen
        scale = np.float64(self._angstrom)
        frames.positions.append([(scale * where).astype(np.float32) for where in simulation.positions])
        if self._config.save_forces:
            frames.forces.append(np.concatenate(simulation.forces).astype(np.float32))
        if self._config.save_energies:
            terms, walkers = simulation.terms, simulation.walkers
            columns = zip(
                simulation.targets,
                simulation.energies,
                simulation.kinetic_energies,
                simulation.temperatures,
                strict=True,
            )
            for replica, (target, potential, kinetic, temperature) in enumerate(columns):
                frames.energies.append(
                    {
                        "step": step,
                        "time_ps": step * self._config.dt,
                        "replica": replica,
                        "target_K": float(target),
                        "potential": float(potential),
                        "kinetic": float(kinetic),
                        "temperature_K": float(temperature),
                        **{name: float(values[replica]) for name, values in terms.items()},
                        "walker": int(walkers[replica]),
                        "frozen": int(replica in frozen),
                    }
                )
        for replica in frozen.keys() - self._told:
            self._told.add(replica)
            blow_up = frozen[replica]
            print(
                f"flashschnet: replica {replica} blew up in step {blow_up.step} and stands still: {blow_up.reason}",
                file=sys.stderr,
            )

    def _export(self) -> None:
        pairs = self._simulation.exchanges
        self._frames.exchanges = [pair._asdict() for pair in pairs]
        checkpoint = self._simulation.checkpoint()
        self._run.export(self._simulation.step, self._frames, checkpoint, self._config.table_format)
        self._frames = Frames()

    def _log(self, bar: Any) -> None:
        config = self._config
        line = f"{self._simulation.step} of {config.n_timesteps} steps ({time.strftime('%Y-%m-%d %H:%M:%S')})"
        if config.log_type == "print":
            self._say(bar, line)
        else:
            with self._run.log_file.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def _speed(self, steps: int, seconds: float) -> str:
        each = steps * self._config.dt / 1000 / max(seconds, 1e-9) * 86400
        replicas = len(self._simulation)
        return f"{each:.4g} ns/day each, {replicas * each:.4g} in all"

    @staticmethod
    def _say(bar: Any, line: str) -> None:
        bar.write(line)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end the loop after the step under way."""

        def note(number: int, _: Any) -> None:
            self._signal = number

        try:
            before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:
            # Not the main thread: signals are somebody else's.
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
