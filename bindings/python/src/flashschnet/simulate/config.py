"""The configuration of a run: mlcg's simulation files, and a few keys of our own."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Config", "ConfigError"]


class ConfigError(ValueError):
    """What is wrong with a configuration; the text names the file and the key."""


@dataclass
class Config:
    """A run, checked. Time is in ps, temperature in K; β is in the inverse of the model's unit of energy."""

    model_file: Path
    structure_file: Path | None = None
    topology_file: Path | None = None
    #: Either of the two, one value for all replicas or a list.
    betas: list[float] = field(default_factory=list)
    temperatures: list[float] = field(default_factory=list)
    #: Copies of each structure, at the same temperature and with random numbers of their own.
    replicas: int = 1
    dt: float = 5e-4
    friction: float = 1e-3
    n_timesteps: int = 100
    save_interval: int = 10
    export_interval: int | None = None
    exchange_interval: int = 0
    integrator: str = "langevin"
    random_seed: int | None = None
    device: str = "cpu"
    dtype: str = "single"
    filters: str = "auto"
    threads: int | None = None
    skin: float | None = None
    save_forces: bool = False
    save_energies: bool = True
    table_format: str = "csv"
    read_checkpoint_file: bool | Path = False
    log_interval: int | None = None
    log_type: str = "write"
    filename: Path | None = None
    tqdm_refresh: float = 1.0

    @classmethod
    def load(cls, path: str | Path) -> Config:
        """Read a YAML file; names of files in it are relative to the working directory, as in mlcg.

        Raises
        ------
        ConfigError
            If it cannot be read, a key is unknown or a value makes no sense.
        """
        import yaml

        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
        return cls.of(content, str(path))

    @classmethod
    def of(cls, content: Any, where: str = "configuration") -> Config:
        """The configuration in the mappings of a YAML file; ``where`` stands for the file in error texts."""
        reader = _Reader(where)
        top = reader.mapping(content, "", "a configuration")
        values = reader.values(top, "", _TOP)
        section = reader.mapping(top.get("simulation", {}), "simulation", "the simulation's keys")
        if "class_path" in section or "init_args" in section:
            section = reader.unwrapped(section)
        values |= reader.values(section, "simulation.", _SIMULATION)
        if "model_file" not in values:
            reader.fail("model_file", "is missing")
        config = cls(**values)
        config._check(reader)
        return config

    @property
    def exports(self) -> int:
        """Steps between two exports."""
        return self.export_interval or self.n_timesteps

    def _check(self, reader: _Reader) -> None:
        if bool(self.betas) == bool(self.temperatures):
            reader.fail("betas", "one of betas and temperatures must be given")
        if self.integrator == "langevin" and self.friction <= 0:
            reader.fail("simulation.friction", f"is {self.friction}, must be positive")
        for name, interval, of in (
            ("n_timesteps", self.n_timesteps, self.save_interval),
            ("export_interval", self.exports, self.save_interval),
            ("log_interval", self.log_interval or 0, self.save_interval),
        ):
            if interval % of:
                reader.fail(f"simulation.{name}", f"is {interval}, must be a multiple of save_interval, {of}")
        if self.exchange_interval and self.integrator != "langevin":
            reader.fail("simulation.exchange_interval", "exchange of replicas needs the integrator langevin")


class _Reader:
    """Values of a configuration, each checked."""

    def __init__(self, where: str) -> None:
        self.where = where

    def fail(self, key: str, reason: str) -> None:
        raise ConfigError(f"{self.where}: {key}: {reason}")

    def mapping(self, value: Any, key: str, what: str) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise ConfigError(f"{self.where}: {key or 'the file'} is not {what} (names and values)")
        return dict(value)

    def unwrapped(self, section: dict[str, Any]) -> dict[str, Any]:
        """What is within ``class_path`` and ``init_args``."""
        unknown = set(section) - {"class_path", "init_args"}
        if unknown:
            self.fail(f"simulation.{min(unknown)}", "stands beside class_path: put it into init_args")
        name = str(section.get("class_path", "")).rpartition(".")[2]
        inner = self.mapping(section.get("init_args") or {}, "simulation.init_args", "the simulation's keys")
        if name not in _CLASSES:
            self.fail("simulation.class_path", f"{name!r} is not supported; {', '.join(_CLASSES)} are")
        return _CLASSES[name] | inner

    def values(
        self, given: dict[str, Any], prefix: str, known: dict[str, Callable[[Any], Any] | None]
    ) -> dict[str, Any]:
        values = {}
        for key, value in given.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known))}"
                self.fail(f"{prefix}{key}", f"is not a key of a simulation{hint}")
            read = known[key]
            if read is None:
                continue
            try:
                result = read(value)
            except ValueError as error:
                self.fail(f"{prefix}{key}", f"is {value!r}, {error}")
            if result is not _NOTHING:
                values[key] = result
        return values


#: Keys of mlcg that there is nothing to do for are read to this.
_NOTHING = object()


def _number(minimum: float = 0.0, *, above: bool = True) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        # YAML reads 1e-3 as a text.
        try:
            number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < minimum or (above and number == minimum):
            raise ValueError(f"must be a number {'above' if above else 'from'} {minimum:g}{'' if above else ' on'}")
        return number

    return read


def _count(minimum: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise ValueError(f"must be a whole number from {minimum} on")
        return int(value)

    return read


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: _NOTHING if value is None else read(value)


def _numbers(value: Any) -> list[float]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ValueError("must be a number or a list of numbers")
    return [_number()(entry) for entry in values]


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError("must be the name of a file")
    return Path(value).expanduser()


def _one_of(*names: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return str(value)

    return read


def _device(value: Any) -> str:
    name = str(value).partition(":")[0]
    return _one_of("auto", "cpu", "cuda", "gpu")(name)


def _checkpoint(value: Any) -> bool | Path:
    return value if isinstance(value, bool) else _path(value)


def _ignored(value: Any) -> Any:
    return _NOTHING


def _unsupported(why: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if value:
            raise ValueError(f"which is not supported: {why}")
        return _NOTHING

    return read


_TOP: dict[str, Callable[[Any], Any] | None] = {
    "model_file": _path,
    "structure_file": _optional(_path),
    "topology_file": _optional(_path),
    "betas": _optional(_numbers),
    "temperatures": _optional(_numbers),
    "replicas": _count(1),
    "profile": _unsupported("a profile of PyTorch"),
    "simulation": None,
}

_FUNCTION = _unsupported("a file cannot hold a function of Python; flashschnet.Simulation runs between them")
_SIMULATION: dict[str, Callable[[Any], Any] | None] = {
    "dt": _number(),
    "friction": _number(),
    "n_timesteps": _count(1),
    "save_interval": _count(1),
    "export_interval": _optional(_count(1)),
    "exchange_interval": _count(1),
    "integrator": _one_of("langevin", "verlet"),
    "random_seed": _optional(_count(0)),
    "device": _device,
    "dtype": _one_of("single", "double"),
    "filters": _one_of("auto", "exact", "table"),
    "threads": _optional(_count(1)),
    "skin": _optional(_number(above=False)),
    "save_forces": _switch,
    "save_energies": _switch,
    "table_format": _one_of("csv", "parquet"),
    "read_checkpoint_file": _optional(_checkpoint),
    "log_interval": _optional(_count(1)),
    "log_type": _one_of("print", "write"),
    "filename": _optional(_path),
    "tqdm_refresh": _number(),
    # Always so: checkpoints are written, priors specialised, energies written by term.
    "create_checkpoints": _ignored,
    "specialize_priors": _ignored,
    "compile": _ignored,
    "save_energy_components": _ignored,
    "energy_components": _ignored,
    "save_force_components": _unsupported("forces by term"),
    "force_components": _ignored,
    "sim_subroutine": _FUNCTION,
    "sim_subroutine_interval": _FUNCTION,
    "save_subroutine": _FUNCTION,
}

#: mlcg's classes of simulations, and what they mean here.
_CLASSES: dict[str, dict[str, Any]] = {
    "LangevinSimulation": {"integrator": "langevin"},
    "PTSimulation": {"integrator": "langevin", "exchange_interval": 100},
    "NVESimulation": {"integrator": "verlet"},
}
