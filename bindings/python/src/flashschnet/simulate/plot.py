"""The pictures that people look at first: ``flashschnet plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .config import ConfigError
from .folder import RunFolder
from .surface import by_distances, by_tica

__all__ = ["plot"]


def plot(
    run: RunFolder,
    out: Path,
    *,
    form: str = "png",
    reference: Path | None = None,
    skip: float = 0.0,
    distances: tuple[tuple[int, int], tuple[int, int]] | None = None,
    tica: float | None = None,
) -> list[Path]:
    """Draw energies, temperatures, RMSD, radius of gyration and a free-energy surface of a run.

    Parameters
    ----------
    run
        The run's folder.
    out
        Where pictures go.
    form
        ``"png"`` or ``"svg"``.
    reference
        A PDB file that RMSDs are to; by default where each replica started.
    skip
        The part of the run, from its beginning, that distributions leave out.
    distances
        Two pairs of atoms, counted from 0, whose distances the surface is over; by default the ends of the chain, and
        the atoms a quarter of its length from them.
    tica
        A lag in ps: a second surface, over the two slowest coordinates of time-lagged independent component analysis;
        needs deeptime.

    Raises
    ------
    ConfigError
        If there is no run, nothing has been exported, a structure does not fit, or the lag does not.
    """
    import matplotlib

    matplotlib.use("Agg")
    described = run.description()
    if not run.exports():
        raise ConfigError(f"{run.path}: nothing has been exported yet")
    out.mkdir(parents=True, exist_ok=True)
    pictures = []

    def save(name: str, figure: Any) -> None:
        path = out / f"{name}.{form}"
        figure.tight_layout()
        figure.savefig(path, dpi=150)
        matplotlib.pyplot.close(figure)
        pictures.append(path)

    table = _Table(run)
    if table:
        save("energy", _energy(table, described))
        save("temperature", _temperature(table, described))
    shapes = _Shapes(run, described, reference)
    save("rmsd", _traces(shapes, shapes.rmsd, "RMSD to the reference / Å" if reference else "RMSD to the start / Å"))
    save("gyration", _distribution(shapes, skip))
    lowest = min(shapes.targets)
    coldest = [t for t, target in zip(shapes.trajectories, shapes.targets, strict=True) if target == lowest]
    # Of the same molecule as the first of them.
    alike = [t[int(skip * len(t)) :] for t in coldest if t.n_atoms == coldest[0].n_atoms]
    save("surface", by_distances(alike, lowest, described, distances))
    if tica is not None:
        save("tica", by_tica(alike, lowest, described, tica))
    return pictures


class _Table:
    """The rows of the tables of energies as arrays (frames, replicas); empty if they were not saved."""

    def __init__(self, run: RunFolder) -> None:
        rows = list(run.energies())
        self.columns: dict[str, NDArray[np.float64]] = {}
        if rows:
            replicas = len(run.description()["replicas"])
            for name in rows[0]:
                self.columns[name] = np.array([float(row[name]) for row in rows]).reshape(-1, replicas)

    def __bool__(self) -> bool:
        return bool(self.columns)

    @property
    def time(self) -> NDArray[np.float64]:
        """In ps."""
        return self.columns["time_ps"][:, 0]


class _Shapes:
    """What is measured of the frames of each replica."""

    def __init__(self, run: RunFolder, described: dict[str, Any], reference: Path | None) -> None:
        import mdtraj

        self.trajectories = [run.trajectory(replica) for replica in range(len(described["replicas"]))]
        frames = len(self.trajectories[0])
        self.time = np.arange(1, frames + 1) * described["save_interval"] * described["timestep"]
        self.targets = [replica["temperature"] for replica in described["replicas"]]
        self.rmsd, self.gyration = [], []
        for replica, trajectory in enumerate(self.trajectories):
            start = mdtraj.load_pdb(str(reference or run.topology(replica)), no_boxchk=True, standard_names=False)
            if start.n_atoms != trajectory.n_atoms:
                raise ConfigError(f"{reference} has {start.n_atoms} atoms, replica {replica} has {trajectory.n_atoms}")
            # mdtraj has nanometres, and shifts what it compares.
            self.rmsd.append(10 * mdtraj.rmsd(trajectory[:], start))
            self.gyration.append(10 * mdtraj.compute_rg(trajectory, masses=np.ones(trajectory.n_atoms)))


def _axes(columns: int = 1) -> tuple[Any, Any]:
    from matplotlib import pyplot

    return pyplot.subplots(1, columns, figsize=(5.5 * columns, 3.8), squeeze=False)


def _clock(axes: Any, time: Any) -> Any:
    """Times in ps as they are shown: in ns where a run is as long."""
    long = time[-1] >= 1000
    axes.set_xlabel("time / ns" if long else "time / ps")
    return time / 1000 if long else time


def _lines(axes: Any, time: Any, values: Any) -> None:
    """One thin line a replica, and their mean where there are several."""
    rows, time = np.asarray(values), _clock(axes, time)
    axes.plot(time, rows, linewidth=0.6, alpha=0.5 if rows.shape[1] < 9 else 0.25, color="tab:blue")
    if rows.shape[1] > 1:
        axes.plot(time, rows.mean(axis=1), linewidth=1.5, color="black", label=f"mean of {rows.shape[1]} replicas")
        axes.legend(loc="best", fontsize="small")


def _energy(table: _Table, described: dict[str, Any]) -> Any:
    figure, axes = _axes(2)
    unit = described["units"]["energy"]
    _lines(axes[0, 0], table.time, table.columns["potential"])
    axes[0, 0].set_ylabel(f"potential energy / {unit}")
    time = _clock(axes[0, 1], table.time)
    for term in described["terms"]:
        axes[0, 1].plot(time, table.columns[term].mean(axis=1), linewidth=1, label=term)
    axes[0, 1].set(ylabel=f"energy by term, mean / {unit}")
    if len(described["terms"]) <= 12:
        axes[0, 1].legend(fontsize="small")
    return figure


def _temperature(table: _Table, described: dict[str, Any]) -> Any:
    from matplotlib import colormaps

    figure, axes = _axes()
    measured, targets = table.columns["temperature_K"], table.columns["target_K"][0]
    rungs, time = np.unique(targets), _clock(axes[0, 0], table.time)
    for number, target in enumerate(rungs):
        color = colormaps["plasma"](0.85 * number / max(1, len(rungs) - 1))
        mean = measured[:, targets == target].mean(axis=1)
        label = f"{target:.0f} K: mean {mean.mean():.1f} K" if len(rungs) <= 10 else None
        axes[0, 0].plot(time, mean, linewidth=0.8, color=color, label=label)
        axes[0, 0].axhline(target, linewidth=0.8, linestyle="--", color=color)
    axes[0, 0].set(ylabel="kinetic temperature / K")
    axes[0, 0].legend(fontsize="small")
    return figure


def _traces(shapes: _Shapes, values: list[Any], label: str) -> Any:
    figure, axes = _axes()
    _lines(axes[0, 0], shapes.time, np.stack(values, axis=1))
    axes[0, 0].set_ylabel(label)
    return figure


def _distribution(shapes: _Shapes, skip: float) -> Any:
    figure, axes = _axes(2)
    gyration = np.stack(shapes.gyration, axis=1)
    _lines(axes[0, 0], shapes.time, gyration)
    axes[0, 0].set_ylabel("radius of gyration / Å")
    axes[0, 1].hist(gyration[int(skip * len(gyration)) :].ravel(), bins=50, density=True, color="tab:blue")
    axes[0, 1].set(xlabel="radius of gyration / Å", ylabel="density / 1/Å")
    return figure
