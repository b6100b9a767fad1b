"""What is said to model files that are damaged or inconsistent: each text whole, all of them the core's."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import modelfile
import numpy as np
import pytest

import flashschnet
from flashschnet import FileError, ModelError

NO_CONTAINER = "container: is not a whole safetensors file: "


def network(**fields):
    return lambda description, tensors: description["network"].update(fields)


def top(**fields):
    return lambda description, tensors: description.update(fields)


def first_type(**fields):
    return lambda description, tensors: description["types"][1].update(fields)


def tensor(name, dtype=None, shape=None, values=None):
    def change(description, tensors):
        old = tensors[name]
        blob = old[2] if values is None else np.asarray(values, "<f8").tobytes()
        tensors[name] = (dtype or old[0], shape or old[1], blob)

    return change


def renamed(old, new):
    def change(description, tensors):
        tensors[new] = tensors.pop(old)

    return change


def not_a_number(description, tensors):
    values = np.frombuffer(tensors["embedding"][2], "<f8").copy()
    values[17] = np.nan
    tensor("embedding", values=values)(description, tensors)


#: Changes to a sound file, with all checksums right again, and what is said.
PARTS = {
    "missing tensor": (lambda d, t: t.pop("blocks.1.dense.bias"), "blocks.1.dense.bias: is missing"),
    "extra tensor": (
        lambda d, t: t.update({"blocks.2.in2f.weight": t["blocks.1.in2f.weight"]}),
        "blocks.2.in2f.weight: is not part of the described model",
    ),
    "misspelt tensor": (renamed("readout.1.bias", "readout.1.biases"), "readout.1.bias: is missing"),
    "NaN": (not_a_number, "embedding: element 17 is NaN, must be finite"),
    "wrong shape": (
        tensor("embedding", shape=[12, 3]),
        "embedding: has shape [12, 3], the description asks for [3, 12]",
    ),
    "wrong dimensions": (
        tensor("embedding", shape=[36]),
        "embedding: has shape [36], the description asks for [3, 12]",
    ),
    "wrong type": (tensor("embedding", dtype="I64"), "embedding: has type I64, must be one of F64, F32, F16, BF16"),
    "zero width": (tensor("basis.widths", values=np.zeros(9)), "basis.widths: element 0 is 0, must be positive"),
    "other version": (top(format_version=2), "format_version: is 2, this library reads 1"),
    "no types": (top(types=[]), "types: is empty"),
    "nothing to compute": (top(network=None), "network: is null and there are no priors: nothing to compute"),
    "type twice": (first_type(index=1), "types[1].index: 1 occurs twice"),
    "name twice": (first_type(name="H"), 'types[1].name: "H" occurs twice'),
    "name with a space": (first_type(name="C A"), 'types[1].name: "C A" is empty or has white space'),
    "negative type": (first_type(index=-1), "types[1].index: is -1, must not be negative"),
    "negative mass": (first_type(mass=-1.0), "types[1].mass: is -1, must be positive and finite"),
    "negative cutoff": (network(cutoff=-1.0), "network.cutoff: is -1, must be positive and finite"),
    "no blocks": (network(blocks=0), "network.blocks: is 0, must be 1 to 256"),
    "too many blocks": (network(blocks=300), "network.blocks: is 300, must be 1 to 256"),
    "one block more": (network(blocks=3), "blocks.2.in2f.weight: is missing"),
    "too wide": (network(features=10**9), "network.features: is 1000000000, must be 1 to 65536"),
    "wider than it is": (network(features=13), "embedding: has shape [3, 12], the description asks for [3, 13]"),
    "long envelope": (
        network(filter_envelope={"kind": "cosine", "cutoff": 9.0}),
        "network.filter_envelope.cutoff: is 9, beyond the network's cutoff 4",
    ),
    "no filter network": (
        network(filter_network={"hidden": [], "bias": [True]}),
        "network.filter_network.hidden: is empty, a filter network has at least two layers",
    ),
    "too few biases": (
        network(readout={"hidden": [6], "bias": [True]}),
        "network.readout.bias: has 1 entries for 2 layers",
    ),
    "unknown field": (
        top(colour="red"),
        "description: unknown field `colour`, expected one of `format_version`, `units`, `types`, `network`, "
        "`excluded_bonds`, `priors`, `structures`, `provenance`, `checksums` at line 1 column N",
    ),
    "missing field": (
        lambda d, t: d["network"].pop("cutoff"),
        "description: missing field `cutoff` at line 1 column N",
    ),
    "unknown activation": (
        network(activation="relu"),
        "description: unknown variant `relu`, expected one of `shifted_softplus`, `tanh`, `silu` at line 1 column N",
    ),
    "unknown unit": (
        top(units={"length": "inch", "energy": "eV"}),
        "description: unknown variant `inch`, expected one of `Angstrom`, `Bohr`, `nm` at line 1 column N",
    ),
    "text for a number": (
        network(cutoff="4"),
        'description: invalid type: string "4", expected f64 at line 1 column N',
    ),
}

#: Changes to the checksums, and what is said.
SUMS = {
    "wrong": (
        lambda d, t: d["checksums"].update(embedding="deadbeef"),
        'embedding: is damaged: CRC-32 is HEX, the description says "deadbeef"',
    ),
    "missing": (lambda d, t: d["checksums"].pop("embedding"), 'checksums: does not name "embedding"'),
    "extra": (
        lambda d, t: d["checksums"].update(ghost="deadbeef"),
        'checksums: names "ghost", which is not in the file',
    ),
}

#: Changes to the bytes, and what is said.
BYTES = {
    "empty": (lambda data: b"", NO_CONTAINER + "it has 0 bytes"),
    "text": (
        lambda data: b"Not a model at all.\n" * 9,
        NO_CONTAINER + "its header should have N bytes, the file has 172 after the length",
    ),
    "one byte short": (
        lambda data: data[:-1],
        NO_CONTAINER + 'tensor "reference_energies" is bytes N to N of N, after one that ends at N',
    ),
    "one byte more": (lambda data: data + b"\0", NO_CONTAINER + "its tensors end at byte N of N after the header"),
    "cut in the header": (
        lambda data: data[:100],
        NO_CONTAINER + "its header should have N bytes, the file has 92 after the length",
    ),
    "endless header": (
        lambda data: struct.pack("<Q", 2**62) + data[8:],
        NO_CONTAINER + "its header should have N bytes, the file has N after the length",
    ),
    "another safetensors file": (
        lambda data: struct.pack("<Q", 2) + b"{}",
        'metadata key "flashschnet": is missing: not a FlashSchNet model; flashschnet convert makes one',
    ),
    "wrong checksum": (
        lambda data: modelfile.build(*modelfile.parse(data), crc="00000000"),
        'description: is damaged: CRC-32 is HEX, the file says "00000000"',
    ),
    "not JSON": (
        lambda data: modelfile.build("{", modelfile.parse(data)[1]),
        "description: EOF while parsing an object at line 1 column N",
    ),
}


def said(data):
    """What is said to these bytes, without numbers that depend on details of the file."""
    with pytest.raises(ModelError) as error:
        flashschnet.Model.from_bytes(data, "model")
    text = re.sub(r"CRC-32 is [0-9a-f]{8},", "CRC-32 is HEX,", str(error.value))
    text = re.sub(r"column \d+", "column N", text)
    # Lengths and places in the file.
    return re.sub(r"\b\d{4,}\b(?=[^:]*$)", "N", text) if NO_CONTAINER in text else text


@pytest.fixture(scope="module")
def sound(model_file: Path) -> bytes:
    return model_file.read_bytes()


@pytest.mark.parametrize(("change", "text"), list(PARTS.values()), ids=list(PARTS))
def test_parts(sound, change, text):
    assert said(modelfile.rebuilt(sound, change)) == f"model: {text}"


@pytest.mark.parametrize(("change", "text"), list(SUMS.values()), ids=list(SUMS))
def test_checksums(sound, change, text):
    assert said(modelfile.rebuilt(sound, change, sums=False)) == f"model: {text}"


@pytest.mark.parametrize(("change", "text"), list(BYTES.values()), ids=list(BYTES))
def test_bytes(sound, change, text):
    assert said(change(sound)) == f"model: {text}"


def test_the_file_is_sound_until_it_is_changed(sound):
    assert flashschnet.Model.from_bytes(modelfile.rebuilt(sound, lambda d, t: None)).blocks == 2


def test_every_flipped_bit_is_noticed(sound):
    random = np.random.default_rng(0)
    (header,) = struct.unpack("<Q", sound[:8])
    for place in [*random.integers(0, 8 + header, 150), *random.integers(8 + header, len(sound), 150)]:
        damaged = bytearray(sound)
        damaged[place] ^= 1 << int(random.integers(8))
        try:
            model = flashschnet.Model.from_bytes(bytes(damaged))
        except ModelError as error:
            assert str(error).startswith("model in memory: ")  # noqa: PT017
        else:
            # White space and the like: what counts is untouched.
            assert model.description == modelfile.parse(sound)[0]


def test_every_truncation_is_noticed(sound):
    for length in np.random.default_rng(1).integers(0, len(sound), 200):
        with pytest.raises(ModelError):
            flashschnet.Model.from_bytes(sound[:length])


def test_files(tmp_path):
    missing, bad = tmp_path / "missing.safetensors", tmp_path / "bad.safetensors"
    bad.write_bytes(b"bad")
    for path, kind, text in [
        (missing, FileError, f"cannot read {missing}: No such file or directory (os error 2)"),
        (tmp_path, FileError, f"cannot read {tmp_path}: it is not a regular file"),
        (Path("/dev/null"), FileError, "cannot read /dev/null: it is not a regular file"),
        (bad, ModelError, f"{bad}: {NO_CONTAINER}it has 3 bytes"),
    ]:
        for load in (flashschnet.Model, flashschnet.Potential):
            with pytest.raises(kind) as error:
                load(path)
            assert str(error.value) == text
    with pytest.raises(OSError, match="No such file"):
        flashschnet.Model(missing)
