"""The coarse-grained model in examples/chignolin: forces, their errors, temperature, and its page's run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

import flashschnet

EXAMPLE = ROOT / "examples" / "chignolin"


@pytest.fixture(scope="module")
def model() -> flashschnet.Model:
    return flashschnet.Model(EXAMPLE / "chignolin.safetensors")


@pytest.fixture(scope="module")
def held_out() -> dict[str, np.ndarray]:
    with np.load(EXAMPLE / "data" / "held-out.npz") as data:
        return {name: data[name] for name in data.files}


def types(model: flashschnet.Model, held_out: dict[str, np.ndarray]) -> list[int]:
    by_name = {kind.name: kind.index for kind in model.types}
    return [by_name[name] for name in held_out["residues"].tolist()]


def test_forces_are_the_slope_of_the_energy(model: flashschnet.Model, held_out: dict[str, np.ndarray]) -> None:
    potential = flashschnet.Potential(model, precision="double", filters="exact")
    kinds, start, step = types(model, held_out), held_out["positions"][700].astype(float), 1e-4
    forces = potential.compute(start, kinds).forces
    moved = start + step * np.concatenate([np.eye(30), -np.eye(30)]).reshape(60, 10, 3)
    energies = np.array([result.energy for result in potential.compute_batch(moved, kinds)])
    slopes = (energies[30:] - energies[:30]) / (2 * step)
    # What the third derivative leaves of a central difference.
    np.testing.assert_allclose(forces.ravel(), slopes, rtol=0, atol=1e-5)


def test_network_explains_forces_that_it_has_not_seen(
    model: flashschnet.Model, held_out: dict[str, np.ndarray]
) -> None:
    kinds = types(model, held_out)
    left = {}
    for priors in ("on", "off"):
        potential = flashschnet.Potential(model, priors=priors)
        results = potential.compute_batch(held_out["positions"].astype(float), kinds)
        left[priors] = np.stack([result.forces for result in results])
    whole, network = left["on"], left["off"]
    copies = held_out["copy"]
    error = {"model": held_out["forces"] - whole, "priors": held_out["forces"] - (whole - network)}
    squares = {name: (values**2).mean(axis=(1, 2)) for name, values in error.items()}
    gain = squares["priors"] - squares["model"]
    by_copy = np.array([gain[copies == copy].mean() for copy in np.unique(copies)])
    # Copies of the molecule are independent.
    assert by_copy.mean() > 4 * by_copy.std(ddof=1) / np.sqrt(len(by_copy))


def test_replicas_keep_their_temperature_and_stay_whole(
    model: flashschnet.Model, held_out: dict[str, np.ndarray]
) -> None:
    starts = held_out["positions"][held_out["temperature"] == 350.0][:: 1500 // 64][:64].astype(float)
    simulation = flashschnet.Simulation(
        model, list(starts), types(model, held_out), temperature=350.0, timestep=0.004, friction=20.0, seed=1
    )
    simulation.run(300)
    # A standard error of about 0.3 %: 1920 degrees of freedom, 100 times as long as their kinetic energy remembers.
    kinetic = []
    for _ in range(200):
        simulation.run(6)
        kinetic.append(simulation.temperatures.mean())
    assert simulation.frozen == {}
    assert np.mean(kinetic) == pytest.approx(350.0, rel=0.01)
    bonds = np.linalg.norm(np.diff(np.stack(simulation.positions), axis=1), axis=-1)
    assert 3.4 < bonds.min() < bonds.max() < 4.4


def test_run_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mdtraj")
    from flashschnet.simulate import Config, RunFolder, simulate

    monkeypatch.chdir(EXAMPLE)
    config = Config.load("chignolin.yaml")
    config.n_timesteps, config.save_interval, config.export_interval = 100, 50, 100
    assert simulate(config, tmp_path / "run", quiet=True) == 0
    run = RunFolder(tmp_path / "run")
    assert len(run.description()["replicas"]) == 64
    assert run.trajectory(63).xyz.shape == (2, 10, 3)
    assert {row["frozen"] for row in run.energies()} == {"0"}
