"""The command line: what it prints, and its exit status."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from convert_support import DATA, read_model, shared

from flashschnet.cli import main
from flashschnet.info import cost, lines


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = int(stop.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


def test_convert_says_what_it_wrote_and_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "m.safetensors"
    status, out, err = run(capsys, "convert", str(DATA / "spk2_gaussian_cosine.pt"), str(target), "--types", "O,Zr")
    assert (status, err) == (0, "")
    assert "note: SchNetPack files carry no units: Angstrom and eV were assumed\n" in out
    assert f"wrote {target} (SchNetPack 2.1.1; " in out
    assert [t["name"] for t in read_model(target)[0]["types"]] == ["O", "Zr"]


def test_options_reach_the_converter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "m.safetensors"
    status, _, _ = run(
        capsys, "convert", str(DATA / "pyg_schnet_state.pt"), str(target), "--from", "pyg", "--cutoff", "4",
        "--units", "nm,kJ/mol", "--scale", "2", "--shift=-1.5", "--readout", "mean",
    )  # fmt: skip
    description, _ = read_model(target)
    network = description["network"]
    assert status == 0
    assert description["units"] == {"length": "nm", "energy": "kJ/mol"}
    assert (network["cutoff"], network["scale"], network["shift"]) == (4, 2, -1.5)
    assert network["energy_aggregation"] == "mean"


def test_failures_are_one_line_and_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "convert", str(tmp_path / "absent.pt"), str(tmp_path / "m"))
    assert (status, out) == (1, "")
    assert err == f"flashschnet: cannot read {tmp_path / 'absent.pt'}: No such file or directory\n"
    status, _, err = run(capsys, "convert", str(DATA / "pyg_schnet_state.pt"), str(tmp_path / "m"))
    assert status == 1
    assert err.count("\n") == 1
    assert "give it with --cutoff" in err


@pytest.mark.parametrize(
    "arguments", [[], ["convert"], ["convert", "a.pt"], ["convert", "a", "b", "--cutoff", "x"], ["nonsense"], ["info"]]
)
def test_wrong_command_lines_are_one_line_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--help"], ["convert", "--help"], ["info", "--help"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, *arguments)
    assert status == 0
    assert "usage: flashschnet" in out


def test_structures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = shared("models/cln_5b_structures_mlcg.pt")
    status, out, _ = run(capsys, "convert", str(source), "--structures", str(tmp_path / "s.xyz"))
    assert status == 0
    assert out == f"wrote {tmp_path / 's.xyz'}\n"


def description(tmp_path: Path) -> dict[str, Any]:
    main(["convert", str(DATA / "spk2_gaussian_cosine.pt"), str(tmp_path / "m.safetensors"), "--types", "O,Zr"])
    return read_model(tmp_path / "m.safetensors")[0]


def test_info_in_words(tmp_path: Path) -> None:
    text = lines(description(tmp_path), "m.safetensors", 1234, 20)
    assert text[:12] == [
        "file        m.safetensors",
        "units       Angstrom, eV; masses in u",
        "types       O (8), Zr (40)",
        "network     SchNet, 2 interaction blocks, 12 features, 10 filters",
        "cutoff      4 Angstrom",
        "basis       9 Gaussian functions, no envelope",
        "filters     9-10-10, cosine envelope to 4 Angstrom",
        "activation  shifted softplus, SiLU in the readout",
        "messages    sum over neighbours",
        "readout     12-6-1",
        "energy      sum over atoms of 1 x readout + 0.375 + reference energy of the type",
        "parameters  1,234",
    ]
    assert text[12] == (
        "cost        846 + 420 n multiply-adds an atom with n neighbours (9,246 for n = 20; filters from tables: 120 n)"
    )


def test_the_cost_is_counted_by_hand(tmp_path: Path) -> None:
    needs = cost(description(tmp_path)["network"])
    assert needs.atom == 2 * (12 * 10 + 10 * 12 + 12 * 12) + 12 * 6 + 6
    assert needs.neighbour == 2 * (9 * 10 + 10 * 10 + 10 + 10)


def test_info_reads_through_the_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "m.safetensors"
    status, out, _ = run(capsys, "convert", str(DATA / "pyg_schnet.pt"), str(file))
    assert status == 0
    # The converter shows the file to the library, too.
    assert "checked by the library" in out
    status, out, _ = run(capsys, "info", str(file))
    assert status == 0
    assert re.search(
        r"^tables +\d+ intervals in single precision, measured error \S+; auto uses \w+ filters$", out, re.M
    )
    status, out, err = run(capsys, "info", "absent")
    assert (status, out) == (1, "")
    assert err == "flashschnet: cannot read absent: No such file or directory (os error 2)\n"


def test_info_names_the_gpu_or_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "m.safetensors"
    run(capsys, "convert", str(DATA / "pyg_schnet.pt"), str(file))
    status, out, err = run(capsys, "info", str(file), "--device", "cuda")
    if status == 0:
        assert re.search(r"^GPU +\S.*, \d+ GB, compute capability \d+\.\d$", out, re.M)
        assert re.search(r"^kernel +receive: \d+ registers, \d+ bytes shared, \d+ bytes local$", out, re.M)
    else:
        assert err.startswith("flashschnet: not supported: device cuda: ")
    status, out, _ = run(capsys, "info", str(file), "--device", "cpu")
    assert status == 0
    assert "GPU" not in out


def test_a_file_the_library_does_not_take_is_not_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Model:
        def __init__(self, path: str) -> None:
            raise ValueError(f"{path}: no good")

    package = types.ModuleType("flashschnet")
    package.Model = Model  # type: ignore[attr-defined]
    package.__path__ = sys.modules["flashschnet"].__path__
    monkeypatch.setitem(sys.modules, "flashschnet", package)
    target = tmp_path / "m.safetensors"
    target.write_bytes(b"old")
    status, out, err = run(capsys, "convert", str(DATA / "pyg_schnet.pt"), str(target))
    assert (status, out) == (1, "")
    assert err == f"flashschnet: the converted file does not load: {target}: no good\n"
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
