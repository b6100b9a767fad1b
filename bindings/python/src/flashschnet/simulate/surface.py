"""Free-energy surfaces −kT ln p of frames over two coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..simulation import BOLTZMANN_IN_EV
from .config import ConfigError

__all__ = ["by_distances", "by_tica"]

#: Bins in each direction.
_BINS = 60
#: Energies are shown up to so many k·T.
_HIGHEST = 8.0
#: Atoms, spread over the molecule, whose distances TICA is given: enough for a shape, few enough for a matrix.
_MOST_ATOMS = 32


def by_distances(
    trajectories: list[Any],
    temperature: float,
    described: dict[str, Any],
    distances: tuple[tuple[int, int], tuple[int, int]] | None,
) -> Any:
    """A figure of the surface over two distances."""
    atoms = trajectories[0].n_atoms
    if distances is None:
        quarter = atoms // 4
        distances = ((0, atoms - 1), (quarter, atoms - 1 - quarter))
    for pair in distances:
        if not all(0 <= atom < atoms for atom in pair) or pair[0] == pair[1]:
            raise ConfigError(f"there is no distance between atoms {pair[0]} and {pair[1]} of {atoms}")
    samples = _distances(trajectories, distances)
    labels = tuple("distance {}–{} / Å".format(*pair) for pair in distances)
    return _draw(samples, temperature, described, labels, "")


def by_tica(trajectories: list[Any], temperature: float, described: dict[str, Any], lag: float) -> Any:
    """A figure of the surface over the two slowest coordinates that TICA finds in the distances between atoms.

    Pérez-Hernández et al., J. Chem. Phys. 2013, 139, 015102; Schwantes, Pande, J. Chem. Theory Comput. 2013, 9, 2000.
    """
    try:
        from deeptime.decomposition import TICA
    except ImportError as error:
        raise ConfigError("TICA needs deeptime: pip install 'flashschnet[tica]'") from error
    if described["exchange"]:
        raise ConfigError("TICA needs trajectories without jumps, and replicas of this run exchanged theirs")
    interval = described["save_interval"] * described["timestep"]
    frames = min(len(trajectory) for trajectory in trajectories)
    steps = round(lag / interval)
    if not 1 <= steps < frames // 2:
        raise ConfigError(
            f"the lag of TICA is {lag:g} ps, must be at least {interval:g} ps, which is between frames, and less than "
            f"half of the {frames * interval:g} ps of each replica"
        )
    atoms = trajectories[0].n_atoms
    chosen = np.unique(np.linspace(0, atoms - 1, min(atoms, _MOST_ATOMS)).round().astype(int))
    pairs = [(int(i), int(j)) for number, i in enumerate(chosen) for j in chosen[number + 1 :]]
    if len(pairs) < 2:
        raise ConfigError(f"TICA needs two distances or more, and {atoms} atoms have {len(pairs)}")
    features = _distances(trajectories, pairs)
    model = TICA(lagtime=steps, dim=2).fit_from_timeseries(features).fetch_model()
    scales = interval * model.timescales(lagtime=steps)
    samples = [model.transform(part) for part in features]
    labels = tuple(f"TICA {number + 1} ({scale:.3g} ps)" for number, scale in enumerate(scales[:2]))
    return _draw(samples, temperature, described, labels, f", lag {steps * interval:g} ps")


def _distances(trajectories: list[Any], pairs: Any) -> list[NDArray[np.float64]]:
    """(frames, pairs) of each trajectory, in Å; mdtraj has nanometres."""
    import mdtraj

    return [10.0 * mdtraj.compute_distances(t, pairs, periodic=False).astype(np.float64) for t in trajectories]


def _draw(
    parts: list[NDArray[np.float64]], temperature: float, described: dict[str, Any], labels: tuple[str, ...], note: str
) -> Any:
    from matplotlib import pyplot

    samples = np.concatenate(parts)
    counts, x, y = np.histogram2d(samples[:, 0], samples[:, 1], bins=_BINS)
    with np.errstate(divide="ignore"):
        energy = -np.log(counts / counts.max())
    unit = BOLTZMANN_IN_EV * temperature / described["energy_in_eV"]
    figure, axes = pyplot.subplots(figsize=(5.5, 3.8))
    shown = np.ma.masked_where(counts == 0, np.minimum(energy, _HIGHEST)) * unit
    mesh = axes.pcolormesh(x, y, shown.T, cmap="viridis")
    figure.colorbar(mesh, ax=axes, label=f"free energy / {described['units']['energy']}")
    axes.set(xlabel=labels[0], ylabel=labels[1])
    axes.set_title(f"{len(parts)} replicas at {temperature:.0f} K, {len(samples)} frames{note}", fontsize="medium")
    return figure
