"""Files that lie, are damaged or try to run something get one clear line, and nothing runs."""

from __future__ import annotations

import builtins
import os
import pickle
import pickletools
import random
import struct
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from convert_support import DATA, FIXTURES, pickled, rewrite, storage_pickle, torch_zip

from flashschnet.convert import ConvertError, convert
from flashschnet.convert.archive import TorchArchive
from flashschnet.convert.tensors import load


def refused(path: Path, target: Path) -> str:
    with pytest.raises(ConvertError) as caught:
        convert(path, target)
    message = str(caught.value)
    assert "\n" not in message
    assert not target.exists()
    return message


class Exploit:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (os.system, f"{os.system.__module__}.system"),
        (builtins.eval, "builtins.eval"),
        (builtins.exec, "builtins.exec"),
        (builtins.getattr, "builtins.getattr"),
        (builtins.__import__, "builtins.__import__"),
        (subprocess.Popen, "subprocess.Popen"),
        (pickle.loads, "_pickle.loads"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_exploits_are_named_and_do_not_run(function: Any, named: str, protocol: int, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    command = f"touch {victim}"
    code = f"__import__('os').system({command!r})"
    argument = {"system": command, "Popen": ["touch", str(victim)]}.get(getattr(function, "__name__", ""), code)
    if function is pickle.loads:
        argument = pickle.dumps(Exploit(os.system, command))
    payload = pickled(Exploit(function, argument), protocol)
    path = torch_zip(tmp_path / "evil.pt", payload)
    if protocol <= 2:
        # Old protocols call things by their names in Python 2.
        names = [argument for opcode, argument, _ in pickletools.genops(payload) if opcode.name == "GLOBAL"]
        named = names[0].replace(" ", ".")
    message = refused(path, tmp_path / "m.safetensors")
    assert message == f"refusing to load {path}: it names {named}, which is not data"
    assert not victim.exists()
    # The proof that the file was dangerous: Python's own unpickler runs it.
    if function is os.system:
        pickle.loads(payload)
        assert victim.exists()


def test_an_exploit_inside_a_real_model_does_not_run(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    call = pickled(Exploit(os.system, f"touch {victim}"))[2:-1]

    def insert(data: bytes) -> bytes:
        # A value that is made and thrown away again, before the model itself.
        return data[:2] + call + b"0" + data[2:]

    for name in FIXTURES:
        path = rewrite(DATA / f"{name}.pt", tmp_path / "evil.pt", insert)
        assert "which is not data" in refused(path, tmp_path / "m.safetensors")
    assert not victim.exists()


@pytest.mark.parametrize(
    "names",
    [
        ("torch.serialization", "os.system"),
        ("torch", "os.system"),
        ("numpy.testing._private.utils", "runstring.__globals__.sys"),
        ("torch.hub", "sys.modules"),
        ("operator", "attrgetter"),
        ("functools", "reduce"),
        ("shutil", "rmtree"),
        ("runpy", "run_path"),
        ("socket", "socket"),
        ("ctypes", "CDLL"),
        ("importlib", "import_module"),
        ("code", "interact"),
        ("torchx", "load"),
    ],
)
def test_names_outside_the_list_are_refused_in_every_spelling(names: tuple[str, str], tmp_path: Path) -> None:
    module, name = names
    stack = b"\x80\x04" + b"".join(b"\x8c" + bytes([len(n)]) + n.encode() for n in names) + b"\x93."
    for payload in (f"c{module}\n{name}\n.".encode(), f"(i{module}\n{name}\n.".encode(), stack):
        path = torch_zip(tmp_path / "evil.pt", payload)
        assert refused(path, tmp_path / "m") == f"refusing to load {path}: it names {module}.{name}, which is not data"


def test_calls_of_permitted_names_yield_records_only(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    payload = pickled(("x",))[:-1] + b"0ctorch\nload\n(X" + struct.pack("<I", 1) + b"atR."
    with TorchArchive(torch_zip(tmp_path / "a.pt", payload)) as archive:
        value = load(archive)
    assert type(value).__name__ == "Call"
    assert value.function.path == "torch.load"
    assert value.arguments == ("a",)
    assert not victim.exists()
    assert "a call of torch.load" in refused(tmp_path / "a.pt", tmp_path / "m")


@pytest.mark.parametrize("code", [b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00", b"Px\n", b"\x97", b"\x98"])
def test_instructions_without_a_place_are_refused(code: bytes, tmp_path: Path) -> None:
    path = torch_zip(tmp_path / "a.pt", b"\x80\x02" + code + b".")
    assert "has no place in a saved model" in refused(path, tmp_path / "m")


# Tensors that do not fit their storage.


def tensor_file(path: Path, content: bytes = bytes(16), **arguments: Any) -> Path:
    return torch_zip(path, storage_pickle(**arguments), {"0": content})


def test_a_tensor_that_fits_is_read(tmp_path: Path) -> None:
    path = tensor_file(tmp_path / "a.pt", struct.pack("<4f", 1, 2, 3, 4), size=(2, 2), stride=(1, 2))
    with TorchArchive(path) as archive:
        assert load(archive).data.tolist() == [[1.0, 3.0], [2.0, 4.0]]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"count": 5}, "has 16 bytes and not 20"),
        ({"count": 1 << 60}, "has 16 bytes and not"),
        ({"size": (5,)}, "does not fit its storage"),
        ({"offset": 1}, "does not fit its storage"),
        ({"offset": 1 << 62, "size": (1,)}, "does not fit its storage"),
        ({"stride": (2,)}, "does not fit its storage"),
        ({"stride": (1 << 62,)}, "does not fit its storage"),
        ({"size": (1 << 40,), "stride": (0,)}, "does not fit its storage"),
        ({"size": (-1,)}, "its pickle is damaged"),
        ({"stride": (-1,)}, "its pickle is damaged"),
        ({"offset": -4}, "its pickle is damaged"),
        ({"size": (2, 2)}, "its pickle is damaged"),
        ({"size": (1,) * 65, "stride": (1,) * 65}, "its pickle is damaged"),
        ({"key": "7"}, "the data of tensor storage '7' is missing"),
        ({"key": "../data.pkl"}, "is missing"),
        ({"kind": "ComplexFloatStorage"}, "tensors of type ComplexFloatStorage are not supported"),
        ({"kind": "QInt8Storage"}, "tensors of type QInt8Storage are not supported"),
    ],
)
def test_tensors_are_held_against_the_file(arguments: dict[str, Any], text: str, tmp_path: Path) -> None:
    assert text in refused(tensor_file(tmp_path / "a.pt", **arguments), tmp_path / "m")


# Archives.


def test_compressed_members_are_refused_before_unpacking(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", storage_pickle())
        archive.writestr("m/data/0", bytes(1 << 24))
    assert "is compressed, which torch.save never does" in refused(path, tmp_path / "m")


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    path = torch_zip(tmp_path / "a.pt", storage_pickle(), {str(n): bytes(64) for n in range(8)})
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        data[at + 20 : at + 28] = struct.pack("<II", 1 << 20, 1 << 20)
        at = data.find(b"PK\x01\x02", at + 1)
    path.write_bytes(data)
    assert "claim more bytes than the file has" in refused(path, tmp_path / "m")


def test_archives_of_other_kinds_are_told_apart(tmp_path: Path) -> None:
    target = tmp_path / "m"
    script = torch_zip(tmp_path / "s.pt", pickled({}), **{"constants.pkl": b"x"})
    assert "is a TorchScript archive" in refused(script, target)
    big = torch_zip(tmp_path / "b.pt", pickled({}), byteorder=b"big")
    assert "was written on a big-endian machine" in refused(big, target)
    other = tmp_path / "o.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme.txt", "x")
    assert "a zip archive, but not one written by torch.save" in refused(other, target)
    (tmp_path / "t.pt").write_bytes(b"hello")
    assert "is not a file written by torch.save" in refused(tmp_path / "t.pt", target)
    assert "cannot read" in refused(tmp_path / "absent.pt", target)
    assert "cannot read" in refused(tmp_path, target)


def test_the_old_format_is_told_with_the_line_that_saves_it_again(tmp_path: Path) -> None:
    path = tmp_path / "old.pt"
    path.write_bytes(pickled(0x1950A86A20F9469CFC6C) + pickled(1001))
    assert refused(path, tmp_path / "m") == (
        f"{path} is in the format torch wrote before 1.6; save it again with "
        'torch.save(torch.load("old.pt", weights_only=False), "old.pt.zip.pt")'
    )


# Pickles that are made to hurt.


def test_deep_nesting(tmp_path: Path) -> None:
    for payload in (
        b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
        b"\x80\x02)" + b"\x85" * 200_000 + b".",
        b"\x80\x02}" + b"K\x01}" * 100_000 + b"s" * 100_000 + b".",
    ):
        refused(torch_zip(tmp_path / "a.pt", payload), tmp_path / "m")


def test_deep_modules(tmp_path: Path) -> None:
    layer = (
        b"cmlcg.nn.gradients\nSumOut\n)\x81}X" + struct.pack("<I", 8) + b"_modules}X" + struct.pack("<I", 6) + b"models"
    )
    payload = b"\x80\x02" + layer * 20_000 + b"N" + b"ssb" * 20_000 + b"."
    refused(torch_zip(tmp_path / "a.pt", payload), tmp_path / "m")


def test_keys_that_double_at_every_level(tmp_path: Path) -> None:
    payload = b"\x80\x02}(K\x01K\x01\x86" + b"2\x86" * 64 + b"K\x01u."
    assert "too many parts" in refused(torch_zip(tmp_path / "a.pt", payload), tmp_path / "m")


def test_a_module_that_contains_itself(tmp_path: Path) -> None:
    text = b"X" + struct.pack("<I", 8) + b"_modules" + b"}X" + struct.pack("<I", 5) + b"model"
    for name in (
        "mlcg.nn.gradients\nSumOut",
        "mlcg.nn.gradients\nGradientsOut",
        "schnetpack.model\nNeuralNetworkPotential",
    ):
        payload = b"\x80\x02c" + name.encode() + b"\n)\x81q\x00}" + text + b"h\x00ssb."
        refused(torch_zip(tmp_path / "a.pt", payload), tmp_path / "m")


@pytest.mark.parametrize("name", ["torch.nn.modules.container\nModuleDict", "torch_geometric.nn.models.schnet\nSchNet"])
def test_parts_that_are_reached_along_very_many_ways(name: str, tmp_path: Path) -> None:
    """Every module holds the next one twice: few bytes, and 2⁶⁰ ways through them."""

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    inner = b"cmlcg.nn.gradients\nSumOut\n)\x81}" + text("_modules") + b"}ssb"
    for _ in range(60):
        parts = text("_modules") + b"}" + text("a") + b"h\x00s" + text("b") + b"h\x00ss"
        inner += b"q\x000c" + name.encode() + b"\n)\x81}" + parts + b"b"
    refused(torch_zip(tmp_path / "a.pt", b"\x80\x02" + inner + b"."), tmp_path / "m")
    for framework in ("schnetpack0", "schnetpack2", "pyg", "mlcg"):
        with pytest.raises(ConvertError):
            convert(tmp_path / "a.pt", tmp_path / "m", framework=framework)


def test_huge_memo_and_length_claims(tmp_path: Path) -> None:
    for payload in (
        b"\x80\x02]r\xff\xff\xff\x7f.",
        b"\x80\x02j\xff\xff\xff\x7f.",
        b"\x80\x02X\xff\xff\xff\x7fabc.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
        b"\x80\x02\x8b\xff\xff\xff\x7fabc.",
        b"\x80\x02" + b"I" + b"9" * 100_000 + b"\n.",
        b"",
        b".",
        b"\x80\x02R.",
        b"\x80\x02(t",
        b"\x80\x02NNb.",
        b"\x80\x02}(K\x01u.",
        b"\x80\x02K\x01K\x02a.",
    ):
        refused(torch_zip(tmp_path / "a.pt", payload), tmp_path / "m")


@pytest.mark.parametrize("name", FIXTURES)
def test_truncated_files(name: str, tmp_path: Path) -> None:
    data = (DATA / f"{name}.pt").read_bytes()
    path = tmp_path / "cut.pt"
    for length in [0, 1, 2, 100, len(data) // 3, len(data) // 2, len(data) - 30, len(data) - 1]:
        path.write_bytes(data[:length])
        refused(path, tmp_path / "m")


@pytest.mark.parametrize("name", ["spk2_gaussian_cosine", "pyg_schnet", "pyg_schnet_state", "spk1_sum_coupled"])
def test_flipped_bits_are_found_or_change_nothing(name: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"cutoff": 4.0} if name.endswith("state") else {}
    data = (DATA / f"{name}.pt").read_bytes()
    convert(DATA / f"{name}.pt", tmp_path / "good", **options)
    good = (tmp_path / "good").read_bytes().split(b'"provenance')[0]
    generator = random.Random(3)
    path, target = tmp_path / "flipped.pt", tmp_path / "m"
    found = 0
    for _ in range(120):
        flipped = bytearray(data)
        flipped[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        path.write_bytes(flipped)
        target.unlink(missing_ok=True)
        try:
            convert(path, target, **options)
        except ConvertError:
            found += 1
        else:
            # Bytes that say nothing: padding, times, attributes.
            assert target.read_bytes().split(b'"provenance')[0][8:] == good[8:]
    assert found > 30


@pytest.mark.parametrize("name", ["spk2_gaussian_cosine", "pyg_schnet", "pyg_schnet_state", "spk1_sum_coupled"])
def test_flipped_bits_inside_the_pickle_never_escape(name: str, tmp_path: Path) -> None:
    """With the zip's checksum made right again, the pickle itself is what is wrong."""
    generator = random.Random(5)
    options: dict[str, Any] = {"cutoff": 4.0} if name.endswith("state") else {}

    def flip(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        return bytes(changed)

    for _ in range(150):
        path = rewrite(DATA / f"{name}.pt", tmp_path / "flipped.pt", flip)
        try:
            convert(path, tmp_path / "m", **options)
        except ConvertError as error:
            assert "\n" not in str(error)  # noqa: PT017
