"""Runs from configuration files: what they accept, what they write, and that nothing is lost to a signal."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import modelfile
import numpy as np
import pytest

import flashschnet
from flashschnet import cli

yaml = pytest.importorskip("yaml", reason="pip install flashschnet[simulate]")
pytest.importorskip("mdtraj", reason="pip install flashschnet[simulate]")
pytest.importorskip("tqdm", reason="pip install flashschnet[simulate]")

from flashschnet.simulate import Config, ConfigError, RunFolder, simulate  # noqa: E402

#: How often a run is killed. 50 take some ten minutes, most of it for writing thousands of exports.
KILLS = int(os.environ.get("FLASHSCHNET_KILLS", "5"))

XYZ = """3
Properties=species:S:1:pos:R:3:types:I:1:masses:R:1 name=bent
X 0.0 0.0 0.0 1 12.0
X 1.2 0.0 0.0 1 12.0
X 1.2 1.6 0.0 2 14.0
"""


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """Four replicas of a molecule of three beads."""
    (tmp_path / "bent.xyz").write_text(XYZ)
    return {
        "model_file": str(modelfile.write_bonds(tmp_path / "bonds.safetensors")),
        "structure_file": str(tmp_path / "bent.xyz"),
        "temperatures": [300.0],
        "replicas": 4,
        "simulation": {
            "dt": 0.002,
            "friction": 1.0,
            "n_timesteps": 200,
            "save_interval": 10,
            "export_interval": 50,
            "random_seed": 3,
        },
    }


def written(tmp_path: Path, config: dict[str, Any]) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def run(tmp_path: Path, config: dict[str, Any], *arguments: str, out: str = "run") -> RunFolder:
    folder = tmp_path / out
    status = cli.main(["simulate", str(written(tmp_path, config)), "--out", str(folder), "--quiet", *arguments])
    assert status == 0
    return RunFolder(folder)


def contents(folder: RunFolder) -> tuple[list[Any], list[dict[str, str]]]:
    """All frames of all replicas, and all rows of the tables."""
    replicas = len(folder.description()["replicas"])
    return [folder.trajectory(r).xyz for r in range(replicas)], list(folder.energies())


def assert_same(one: RunFolder, other: RunFolder) -> None:
    (frames, rows), (expected, expected_rows) = contents(one), contents(other)
    for a, b in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert rows == expected_rows
    assert one.read_checkpoint() == other.read_checkpoint()


def test_writes_frames_and_energies(tmp_path: Path, config):
    folder = run(tmp_path, config)
    assert [path.name for path in folder.exports()] == [f"step-{step:012d}" for step in (50, 100, 150, 200)]
    frames, rows = contents(folder)
    assert [each.shape for each in frames] == [(20, 3, 3)] * 4
    assert len(rows) == 20 * 4
    last = rows[-1]
    assert (last["step"], last["replica"], last["frozen"]) == ("200", "3", "0")
    assert float(last["potential"]) == pytest.approx(sum(float(last[t]) for t in ("network", "bonds", "far")))
    # Frames are the positions that the energies were computed for.
    potential = flashschnet.Potential(config["model_file"])
    energy = potential.compute(10.0 * frames[3][-1].astype(float), [1, 1, 2]).energy
    assert energy == pytest.approx(float(last["potential"]), abs=1e-5)
    assert folder.description()["terms"] == ["network", "bonds", "far"]
    with pytest.raises(ConfigError, match="--restart goes on with it, --overwrite begins anew"):
        simulate(Config.of(config), folder.path)
    again = run(tmp_path, config, "--overwrite")
    np.testing.assert_array_equal(contents(again)[0], frames)


def test_goes_on_where_it_ended(tmp_path: Path, config):
    whole = run(tmp_path, config, out="whole")
    config["simulation"]["n_timesteps"] = 100
    run(tmp_path, config)
    config["simulation"]["n_timesteps"] = 200
    assert_same(run(tmp_path, config, "--restart"), whole)
    # Nothing is left to do.
    assert_same(run(tmp_path, config, "--restart"), whole)


def test_exchange(tmp_path: Path, config):
    config["temperatures"] = [300.0, 400.0, 500.0]
    config["replicas"] = 2
    config["simulation"] |= {"exchange_interval": 5, "save_forces": True}
    folder = run(tmp_path, config)
    described = folder.description()["replicas"]
    assert [round(each["temperature"]) for each in described] == [300, 300, 400, 400, 500, 500]
    frames, rows = contents(folder)
    assert len(frames) == 6
    assert {row["walker"] for row in rows} == set("012345")
    text = (folder.exports()[-1] / "exchanges.csv").read_text().splitlines()
    assert text[0] == "colder,warmer,attempts,accepted"
    assert [line.split(",")[:3] for line in text[1:]] == [
        ["0", "2", "20"], ["2", "4", "20"], ["1", "3", "20"], ["3", "5", "20"],
    ]  # fmt: skip
    assert np.load(folder.exports()[0] / "forces.npy").shape == (5, 18, 3)


def test_tables_in_parquet(tmp_path: Path, config):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install flashschnet[parquet]")
    config["temperatures"] = [300.0, 400.0]
    config["simulation"] |= {"exchange_interval": 5}
    expected = run(tmp_path, config)
    config["simulation"] |= {"table_format": "parquet", "n_timesteps": 100}
    run(tmp_path, config, out="other")
    # The rest in the other format; all of it is read as one.
    config["simulation"] |= {"table_format": "csv", "n_timesteps": 200}
    folder = run(tmp_path, config, "--restart", out="other")
    assert_same(folder, expected)
    first, last = folder.exports()[0], folder.exports()[-1]
    assert {path.suffix for path in first.glob("e*s.*")} == {".parquet"}
    assert {path.suffix for path in last.glob("e*s.*")} == {".csv"}
    table = parquet.read_table(first / "energies.parquet")
    assert table.num_rows == 5 * 8
    types = {name: str(table.schema.field(name).type) for name in ("step", "potential", "walker")}
    assert types == {"step": "int64", "potential": "double", "walker": "int64"}


def test_parquet_without_pyarrow_is_refused_before_anything_is_computed(tmp_path: Path, config, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    config["simulation"]["table_format"] = "parquet"
    assert cli.main(["simulate", str(written(tmp_path, config)), "--out", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("flashschnet: tables in Parquet need pyarrow (")
    assert said.endswith("): pip install 'flashschnet[parquet]' brings it\n")
    assert not (tmp_path / "run").exists()


def test_pdb_and_term_lists(tmp_path: Path, config):
    """A molecule that the model's file does not have."""
    lines = [
        f"ATOM  {i:5d}  CA  {name:3s} A{i:4d}    {x:8.3f}{0.7 * (i % 2):8.3f}{0.0:8.3f}  1.00  0.00           X"
        for i, name, x in ((1, "A", 0.0), (2, "B", 1.4), (3, "A", 2.8), (4, "A", 3.7))
    ]
    (tmp_path / "chain.pdb").write_text("\n".join([*lines, "END", ""]))
    terms = {"bonds": [[0, 1], [1, 2], [2, 3]], "far": []}
    (tmp_path / "chain.yaml").write_text(yaml.safe_dump({"terms": terms}))
    config |= {"structure_file": str(tmp_path / "chain.pdb"), "topology_file": str(tmp_path / "chain.yaml")}
    folder = run(tmp_path, config)
    trajectory = folder.trajectory(0)
    assert [atom.residue.name for atom in trajectory.topology.atoms] == ["A", "B", "A", "A"]
    del config["topology_file"]
    text = refused(tmp_path, config)
    assert "has 4 atoms of types that none of 1 topologies has" in text


def test_excluded_pairs(tmp_path: Path, config):
    """A network that leaves bonded pairs out must be told of them."""
    config["model_file"] = str(modelfile.write_random(tmp_path / "m.safetensors", excluded_bonds=1))
    (tmp_path / "bent.xyz").write_text(XYZ.replace(" 2 14.0", " 6 14.0"))
    assert "the excluded pairs must be given" in refused(tmp_path, config)
    (tmp_path / "pairs.yaml").write_text(yaml.safe_dump({"excluded": [[0, 1]]}))
    config["topology_file"] = str(tmp_path / "pairs.yaml")
    config["simulation"] |= {"dtype": "double", "n_timesteps": 10, "export_interval": 10, "dt": 1e-5}
    folder = run(tmp_path, config)
    frame = 10.0 * folder.trajectory(0).xyz[-1].astype(float)
    potential = flashschnet.Potential(config["model_file"], precision="double")
    expected = potential.compute(frame, [1, 1, 6], excluded=[[0, 1]]).energy
    assert float(list(folder.energies())[-4]["potential"]) == pytest.approx(expected, abs=1e-4)
    assert potential.compute(frame, [1, 1, 6], excluded=[]).energy != pytest.approx(expected, abs=1e-3)


def refused(tmp_path: Path, config: dict[str, Any], *arguments: str) -> str:
    """What the command says to a configuration that it does not take: one line."""
    path = written(tmp_path, config)
    command = [sys.executable, "-m", "flashschnet", "simulate", str(path), "--out", str(tmp_path / "no"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"modle_file": "x"}, "modle_file: is not a key of a simulation; did you mean model_file?"),
        (
            {"simulation.n_timestep": 5},
            "simulation.n_timestep: is not a key of a simulation; did you mean n_timesteps?",
        ),
        ({"simulation.dt": -1}, "simulation.dt: is -1, must be a number above 0"),
        ({"simulation.dt": "1e-x"}, "simulation.dt: is '1e-x', must be a number above 0"),
        ({"simulation.n_timesteps": 1.5}, "simulation.n_timesteps: is 1.5, must be a whole number from 1 on"),
        (
            {"simulation.n_timesteps": 15},
            "simulation.n_timesteps: is 15, must be a multiple of save_interval, 10",
        ),
        ({"simulation.dtype": "half"}, "simulation.dtype: is 'half', must be one of single, double"),
        ({"simulation.device": "tpu"}, "simulation.device: is 'tpu', must be one of auto, cpu, cuda, gpu"),
        ({"simulation.save_forces": 1}, "simulation.save_forces: is 1, must be true or false"),
        ({"simulation.table_format": "xlsx"}, "simulation.table_format: is 'xlsx', must be one of csv, parquet"),
        (
            {"simulation.sim_subroutine": "f"},
            "simulation.sim_subroutine: is 'f', which is not supported: a file cannot hold a function of Python; "
            "flashschnet.Simulation runs between them",
        ),
        (
            {"simulation.class_path": "mlcg.simulation.OverdampedSimulation"},
            "simulation.dt: stands beside class_path: put it into init_args",
        ),
        ({"betas": [1.0]}, "betas: one of betas and temperatures must be given"),
        ({"temperatures": []}, "temperatures: is [], must be a number or a list of numbers"),
        ({"replicas": 0}, "replicas: is 0, must be a whole number from 1 on"),
        ({"simulation": 3}, "simulation is not the simulation's keys (names and values)"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, config, change, text):
    for key, value in change.items():
        section, _, name = key.rpartition(".")
        (config[section] if section else config)[name] = value
    with pytest.raises(ConfigError) as caught:
        Config.of(config, "run.yaml")
    assert str(caught.value) == f"run.yaml: {text}"


def test_the_command_says_so_in_one_line(tmp_path: Path, config):
    config["simulation"]["colour"] = "red"
    assert "simulation.colour: is not a key of a simulation; there are" in refused(tmp_path, config)
    del config["simulation"]["colour"]
    config["model_file"] = str(tmp_path / "missing.safetensors")
    assert refused(tmp_path, config).endswith("missing.safetensors: No such file or directory (os error 2)")
    config["model_file"] = str(tmp_path / "bonds.safetensors")
    config["temperatures"] = [300.0, 310.0]
    assert "2 betas or temperatures for 1 structures" in refused(tmp_path, config)


@pytest.mark.parametrize("missing", ["yaml", "tqdm", "mdtraj"])
def test_a_missing_package_is_named(tmp_path: Path, config, capsys, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    assert cli.main(["simulate", str(written(tmp_path, config)), "--out", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().err
    assert missing in said
    assert said.endswith("pip install 'flashschnet[simulate]' brings what simulations need\n")
    assert said.count("\n") == 1


def test_mlcg_wraps_its_keys(config):
    inner = config["simulation"]
    config["simulation"] = {"class_path": "mlcg.simulation.PTSimulation", "init_args": inner}
    assert Config.of(config).exchange_interval == 100
    config["simulation"]["class_path"] = "mlcg.simulation.OverdampedSimulation"
    with pytest.raises(ConfigError, match="'OverdampedSimulation' is not supported; LangevinSimulation, PTSimulation"):
        Config.of(config)


def test_mlcgs_own_files(shared: Path, tmp_path: Path):
    config = {
        "model_file": str(shared / "models" / "cln_ca_mlcg.pt"),
        "betas": [1.6773985789045691],
        "simulation": {
            "create_checkpoints": True, "device": "cpu", "dt": 0.004, "dtype": "single", "export_interval": 10,
            "friction": 1.0, "log_interval": 10, "log_type": "write", "n_timesteps": 20, "random_seed": 1,
            "read_checkpoint_file": False, "save_energies": True, "save_forces": False, "save_interval": 5,
            "specialize_priors": True,
        },
    }  # fmt: skip
    folder = run(tmp_path, config)
    frames, rows = contents(folder)
    assert [each.shape for each in frames] == [(4, 10, 3)] * 2
    assert [float(row["target_K"]) for row in rows] == pytest.approx([300.0] * len(rows), abs=0.01)
    assert len(folder.log_file.read_text().splitlines()) == 2


def test_pictures(tmp_path: Path, config, capsys):
    pytest.importorskip("matplotlib", reason="pip install flashschnet[simulate]")
    config["temperatures"] = [300.0, 400.0]
    config["simulation"] |= {"exchange_interval": 5}
    folder = run(tmp_path, config)
    capsys.readouterr()
    assert cli.main(["plot", str(folder.path), "--skip", "0.5"]) == 0
    names = ["energy", "temperature", "rmsd", "gyration", "surface"]
    expected = [folder.path / "pictures" / f"{name}.png" for name in names]
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("wrote")] == [
        f"wrote {path}" for path in expected
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in expected)
    assert (
        cli.main(["plot", str(folder.path), "--format", "svg", "--out", str(tmp_path), "--distances", "0-1,1-2"]) == 0
    )
    assert all("<svg" in (tmp_path / f"{name}.svg").read_text() for name in names)
    # What is measured is what mdtraj reads, in Å.
    trajectory = folder.trajectory(0)
    centred = 10 * (trajectory.xyz - trajectory.xyz.mean(axis=1, keepdims=True))
    gyration = np.sqrt((centred**2).sum(axis=2).mean(axis=1))
    from flashschnet.simulate.plot import _Shapes

    shapes = _Shapes(folder, folder.description(), None)
    np.testing.assert_allclose(shapes.gyration[0], gyration, rtol=1e-4)
    assert shapes.rmsd[0].shape == (20,)
    assert 0 < shapes.rmsd[0][0] < shapes.rmsd[0].max() < 20


def test_surface_over_slow_coordinates(tmp_path: Path, config, capsys):
    pytest.importorskip("deeptime", reason="pip install flashschnet[tica]")
    folder = run(tmp_path, config)
    lag = 2 * config["simulation"]["save_interval"] * config["simulation"]["dt"]
    capsys.readouterr()
    assert cli.main(["plot", str(folder.path), "--tica", str(lag), "--format", "svg"]) == 0
    picture = folder.path / "pictures" / "tica.svg"
    assert f"wrote {picture}" in capsys.readouterr().out
    assert "<svg" in picture.read_text()
    assert cli.main(["plot", str(folder.path), "--tica", "1000"]) == 1
    assert "the lag of TICA is 1000 ps, must be at least" in capsys.readouterr().err


def test_tica_finds_the_slow_coordinate():
    pytest.importorskip("deeptime", reason="pip install flashschnet[tica]")
    mdtraj = pytest.importorskip("mdtraj")
    from flashschnet.simulate.surface import by_tica

    # Of three beads on a line one jumps far and quickly, the other a little and slowly.
    rng, frames = np.random.default_rng(4), 4000
    quick, slow = rng.normal(0, 0.1, frames), 0.02 * np.sign(np.sin(2 * np.pi * np.arange(frames) / 400))
    xyz = np.zeros((frames, 3, 3))
    xyz[:, 1, 0], xyz[:, 2, 0] = 1.0 + slow + rng.normal(0, 0.001, frames), 2.0 + quick
    topology = mdtraj.Topology()
    residue = topology.add_residue("X", topology.add_chain())
    for name in "ABC":
        topology.add_atom(name, mdtraj.element.virtual, residue)
    described = {
        "exchange": False, "save_interval": 1, "timestep": 1.0,
        "energy_in_eV": 0.0433641, "units": {"energy": "kcal/mol"},
    }  # fmt: skip
    figure = by_tica([mdtraj.Trajectory(xyz, topology)], 300.0, described, 10.0)
    label = figure.axes[0].get_xlabel()
    # It changes sides every 200 frames, so that 1 of 20 has within 10: a time of −10 / ln(1 − 2/20).
    assert float(label.removeprefix("TICA 1 (").removesuffix(" ps)")) == pytest.approx(94.9, rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["{run}", "--distances", "0-1"], 2, "--distances 0-1: give two pairs of atoms, such as 0-9,2-7"),
        (["{run}", "--distances", "0-1,1-7"], 1, "there is no distance between atoms 1 and 7 of 3"),
        (["{run}", "--skip", "1"], 2, "--skip 1.0: must be at least 0 and below 1"),
        (["nowhere"], 1, "nowhere is not the folder of a run"),
    ],
)
def test_pictures_that_cannot_be_drawn(tmp_path: Path, config, capsys, arguments, status, text):
    folder = run(tmp_path, config)
    capsys.readouterr()
    try:
        found = cli.main(["plot", *(word.replace("{run}", str(folder.path)) for word in arguments)])
    except SystemExit as error:
        found = error.code
    assert (found, text in capsys.readouterr().err) == (status, True)


def start(tmp_path: Path, config: dict[str, Any], out: str) -> subprocess.Popen[str]:
    path = written(tmp_path, config)
    options = ["--out", str(tmp_path / out), "--restart", "--quiet"]
    command = [sys.executable, "-m", "flashschnet", "simulate", str(path), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(folder: Path, process: subprocess.Popen[str]) -> None:
    """Until something has been exported."""
    while process.poll() is None and not (folder / "checkpoint").exists():
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_save_and_stop(tmp_path: Path, config, number):
    config["simulation"]["n_timesteps"] = 20_000
    whole = run(tmp_path, config, out="whole")
    process = start(tmp_path, config, "run")
    wait_for(tmp_path / "run", process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.fail("the run ended before the signal: it is too short for this machine")
    assert process.returncode == 128 + number, said
    folder = RunFolder(tmp_path / "run")
    done = int(folder.exports()[-1].name.removeprefix("step-"))
    assert 0 < done < 20_000
    assert_same(run(tmp_path, config, "--restart"), whole)


def test_nothing_is_lost_to_kills(tmp_path: Path, config):
    """Killed at random moments and gone on with, a run is what it would have been."""
    chance = random.Random(1)
    config["simulation"] |= {"n_timesteps": 6000 * KILLS, "export_interval": 20}
    process = start(tmp_path, config, "killed")
    began = time.monotonic()
    wait_for(tmp_path / "killed", process)
    ready = time.monotonic() - began
    killed = 0
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.0, 0.5))
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        # No file is left that cannot be read.
        for replica in range(4):
            assert len(RunFolder(tmp_path / "killed").trajectory(replica)) % 2 == 0
        process = start(tmp_path, config, "killed")
        time.sleep(chance.uniform(0.0, 1.2 * ready))
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert killed > KILLS // 2, f"{killed} of {KILLS} runs were killed: the others had ended"
    whole = run(tmp_path, config, out="whole")
    assert_same(RunFolder(tmp_path / "killed"), whole)
