"""Dynamics of replicas from Python. What the core does is tested there; here it is that all of it can be reached."""

from __future__ import annotations

from pathlib import Path

import modelfile
import numpy as np
import pytest
from conftest import Precision
from structures import crystal

import flashschnet
from flashschnet import InvalidArgument, Simulation
from flashschnet.simulation import BOLTZMANN_IN_EV


def made(model: flashschnet.Model, count: int = 3, **choices) -> Simulation:
    starts = [crystal(seed) for seed in range(count)]
    given = {"temperature": 300.0, "timestep": 0.0005, "friction": 5.0, "seed": 3, **choices}
    return Simulation(
        flashschnet.Potential(model, precision="double"),
        [start.positions for start in starts],
        [start.types for start in starts],
        [start.cell for start in starts],
        **given,
    )


def test_steps_and_state(model: flashschnet.Model):
    simulation = made(model)
    assert (len(simulation), simulation.step) == (3, 0)
    drawn = [np.array(crystal(r).types) * 2.0 @ (v**2).sum(axis=1) / 2 for r, v in enumerate(simulation.velocities)]
    np.testing.assert_allclose(simulation.kinetic_energies, np.array(drawn) / 9648.533212331, rtol=1e-10)
    np.testing.assert_array_equal(simulation.positions[1], crystal(1).positions)
    found = flashschnet.Potential(model, precision="double").compute(*crystal(1))
    assert simulation.energies[1] == pytest.approx(found.energy, rel=1e-12)
    np.testing.assert_allclose(simulation.forces[1], found.forces, atol=1e-10)
    simulation.run(10)
    assert simulation.step == 10
    assert not np.array_equal(simulation.positions[1], crystal(1).positions)
    assert simulation.terms == {"network": pytest.approx(simulation.energies)}
    # In the middle of the step, half a step before the velocities.
    kinetic = []
    for replica, (velocities, forces) in enumerate(zip(simulation.velocities, simulation.forces, strict=True)):
        masses = np.array(crystal(replica).types) * 2.0
        middle = velocities - 0.5 * 0.0005 * 9648.533212331 * forces / masses[:, None]
        kinetic.append(masses @ (middle**2).sum(axis=1) / 2 / 9648.533212331)
    np.testing.assert_allclose(simulation.kinetic_energies, kinetic, rtol=1e-10)
    np.testing.assert_allclose(simulation.temperatures, simulation.kinetic_energies / (12 * BOLTZMANN_IN_EV))
    np.testing.assert_allclose(simulation.targets, 300.0)
    assert (simulation.frozen, simulation.exchanges, simulation.walkers.tolist()) == ({}, [], [0, 1, 2])


def test_checkpoints(model: flashschnet.Model):
    one, other = made(model), made(model)
    one.run(20)
    other.restore(one.checkpoint())
    assert other.step == 20
    for simulation in (one, other):
        simulation.run(20)
    np.testing.assert_array_equal(one.positions, other.positions)
    np.testing.assert_array_equal(one.velocities, other.velocities)
    with pytest.raises(InvalidArgument) as caught:
        other.restore(one.checkpoint()[:-1])
    assert str(caught.value) == "invalid argument: the checkpoint is damaged or cut off"
    with pytest.raises(InvalidArgument, match="another simulation: its temperatures differ"):
        made(model, temperature=[1.0, 2.0, 3.0]).restore(one.checkpoint())


def test_exchange(model: flashschnet.Model):
    start = crystal(0)
    simulation = Simulation(
        flashschnet.Potential(model, precision="double"), [start.positions] * 4, start.types, start.cell,
        temperature=[300.0, 330.0, 300.0, 330.0], timestep=0.0005, friction=1.0, exchange_interval=5,
        ladders=[0, 0, 1, 1], masses=np.full(len(start.types), 12.0),
    )  # fmt: skip
    simulation.run(50)
    assert [(pair.colder, pair.warmer, pair.attempts) for pair in simulation.exchanges] == [(0, 1, 10), (2, 3, 10)]
    assert sorted(simulation.walkers.tolist()) == [0, 1, 2, 3]


def test_verlet_conserves_energy(model: flashschnet.Model):
    simulation = made(model, 1, integrator="verlet", temperature=50.0, friction=None, timestep=1e-5)
    total = simulation.energies + simulation.kinetic_energies
    simulation.run(200)
    assert simulation.energies + simulation.kinetic_energies == pytest.approx(total, abs=1e-6)


def test_a_blown_up_replica(model: flashschnet.Model):
    fast = [np.zeros((8, 3)), np.full((8, 3), 1e9), np.zeros((8, 3))]
    simulation = made(model, velocities=fast)
    simulation.run(2)
    assert set(simulation.frozen) == {1}
    assert simulation.frozen[1].step == 1
    assert simulation.frozen[1].reason.startswith("atom 0 moves by ")
    np.testing.assert_array_equal(simulation.positions[1], crystal(1).positions)


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ({"integrator": "leapfrog"}, "integrator is 'leapfrog', must be one of langevin, verlet"),
        ({"friction": None}, "friction is missing: Langevin dynamics needs it"),
        ({"temperature": None}, "one of temperature and thermal_energy must be given"),
        ({"thermal_energy": 1.0}, "one of temperature and thermal_energy must be given"),
        ({"temperature": [1.0]}, "temperature must have shape (3,), not (1,)"),
        (
            {"temperature": -1.0},
            "thermal energy of replica 0 is -0.00008617333262145179, must be positive and finite",
        ),
        ({"timestep": 0.0}, "timestep is 0, must be positive and finite"),
        ({"seed": -1}, "seed is -1, must be from 0 to 2**64 - 1"),
        ({"streams": [0, 1, -2]}, "streams must not be negative"),
        ({"streams": [0, 1, 1]}, "two replicas have the stream 1 of random numbers"),
        ({"exchange_interval": -1}, "exchange_interval is -1, must not be negative"),
        ({"exchange_interval": 1}, "replicas 0 and 1 cannot exchange: they have different types"),
        ({"largest_step": 0.0}, "largest step is -1, must be positive and finite"),
        ({"masses": [np.ones(8)] * 2}, "2 masses for 3 replicas"),
        ({"velocities": [np.zeros((8, 3))] * 2}, "2 velocities for 3 replicas"),
        ({"masses": [np.ones(8), np.ones(7), np.ones(8)]}, "masses[1] must have shape (8,), not (7,)"),
    ],
)
def test_choices_that_make_no_sense(model: flashschnet.Model, choices, text):
    with pytest.raises(InvalidArgument) as caught:
        made(model, **choices)
    assert str(caught.value) == f"invalid argument: {text}"


def test_chignolin_keeps_its_temperature(shared: Path, tmp_path: Path, precision: Precision):
    if precision.name == "double":
        pytest.skip("what the arithmetic is does not matter here")
    reference = np.load(shared / "reference" / "cln_ca.npz")
    target = tmp_path / "model.safetensors"
    flashschnet.convert(shared / "models" / "cln_ca_mlcg.pt", target)
    simulation = Simulation(
        flashschnet.Potential(target, **precision.choices), [reference["positions"][0]] * 64, reference["types"],
        temperature=300.0, timestep=0.004, friction=20.0, seed=1,
    )  # fmt: skip
    simulation.run(200)
    # A standard error of about 0.4%: 1920 degrees of freedom, 60 times as long as their kinetic energy remembers.
    kinetic = []
    for _ in range(250):
        simulation.run(6)
        kinetic.append(simulation.temperatures.mean())
    assert simulation.frozen == {}
    assert np.mean(kinetic) == pytest.approx(300.0, rel=0.01)
    assert set(simulation.terms) == {"network", *simulation.potential.model.priors}


def test_units_of_the_model(tmp_path: Path):
    path = modelfile.write_random(tmp_path / "m.safetensors", units=("nm", "kJ/mol"))
    start = crystal(0)
    model = flashschnet.Model(path)
    one = Simulation(path, [start.positions], start.types, start.cell, temperature=300.0, timestep=1e-5, friction=1.0)
    other = Simulation(
        path, [start.positions], start.types, start.cell,
        thermal_energy=300.0 * BOLTZMANN_IN_EV / model.energy_in_ev, timestep=1e-5, friction=1.0,
    )  # fmt: skip
    for simulation in (one, other):
        simulation.run(3)
    np.testing.assert_array_equal(one.positions, other.positions)
    # kJ/mol per u is (nm/ps)².
    masses = np.array(start.types) * 2.0
    middle = one.velocities[0] - 0.5e-5 * one.forces[0] / masses[:, None]
    kinetic = masses @ (middle**2).sum(axis=1) / 2
    assert one.kinetic_energies[0] == pytest.approx(kinetic, rel=1e-12)
