"""What the converter's tests share: reading model files and building archives by hand."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
DATA = REPOSITORY / "tests" / "data"
SHARED = REPOSITORY.parent / "shared"
FIXTURES = sorted(path.stem for path in DATA.glob("*.npz") if path.with_suffix(".pt").exists())

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I32": "<i4", "I64": "<i8"}


def shared(name: str) -> Path:
    """A file of the shared folder; the test is skipped where there is none."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is in the shared folder, which is not here")
    return path


def read_model(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A model file's description and tensors, with its checksums held against its bytes."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    assert set(metadata) == {"flashschnet", "flashschnet_crc32"}
    text = metadata["flashschnet"]
    assert metadata["flashschnet_crc32"] == f"{zlib.crc32(text.encode()):08x}"
    description = json.loads(text)
    tensors, position = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        start, end = entry["data_offsets"]
        assert start == position, "tensors must follow each other without gaps"
        position = end
        raw = data[8 + length + start : 8 + length + end]
        assert description["checksums"][name] == f"{zlib.crc32(raw):08x}"
        array = np.frombuffer(raw, _TYPES[entry["dtype"]])
        assert start % array.dtype.itemsize == 0
        tensors[name] = array.reshape(entry["shape"])
    assert 8 + length + position == len(data)
    assert set(description["checksums"]) == set(tensors)
    return description, tensors


def torch_zip(path: Path, data_pkl: bytes, storages: dict[str, bytes] | None = None, **extra: bytes) -> Path:
    """An archive like those of torch.save, from its parts."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("m/data.pkl", data_pkl)
        archive.writestr("m/byteorder", extra.get("byteorder", b"little"))
        for key, content in (storages or {}).items():
            archive.writestr(f"m/data/{key}", content)
        for name, content in extra.items():
            if name != "byteorder":
                archive.writestr(f"m/{name}", content)
    return path


def storage_pickle(
    *, kind: str = "FloatStorage", key: str = "0", count: int = 4, offset: int = 0,
    size: tuple[int, ...] = (4,), stride: tuple[int, ...] = (1,),
) -> bytes:  # fmt: skip
    """The pickle of one tensor, as torch.save writes it."""

    def number(value: int) -> bytes:
        return b"\x8a" + bytes([8]) + value.to_bytes(8, "little", signed=True)

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(number(v) for v in values) + b"t"

    def text(value: str) -> bytes:
        return b"X" + len(value).to_bytes(4, "little") + value.encode()

    storage = b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + number(count) + b"tQ"
    hooks = b"ccollections\nOrderedDict\n)R"
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("
        + storage + number(offset) + numbers(size) + numbers(stride) + b"\x89" + hooks + b"tR."
    )  # fmt: skip


def pickled(value: Any, protocol: int = 2) -> bytes:
    """Python's own pickle of a value."""
    buffer = io.BytesIO()
    pickle.Pickler(buffer, protocol).dump(value)
    return buffer.getvalue()


def rewrite(source: Path, target: Path, change: Any) -> Path:
    """A copy of a torch archive with its pickle changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name.endswith("/data.pkl") else content)
    return target


class Obj:
    """An object to be written by :func:`save`: its class's name and its state."""

    def __init__(self, cls: str, **state: Any) -> None:
        self.cls, self.state = cls, state


def module(cls: str, parts: dict[str, Any] | None = None, tensors: dict[str, Any] | None = None, **state: Any) -> Obj:
    """A module as torch keeps it."""
    return Obj(cls, _modules=parts or {}, _parameters={}, _buffers=tensors or {}, **state)


class Sparse:
    """A sparse tensor to be written by :func:`save`."""

    def __init__(self, dense: np.ndarray) -> None:
        self.where, self.shape = np.argwhere(dense).T.copy(), dense.shape
        self.values = dense[tuple(self.where)]


class _Emitter:
    def __init__(self) -> None:
        self.storages: dict[str, bytes] = {}

    def emit(self, value: Any) -> bytes:
        match value:
            case None:
                return b"N"
            case True:
                return b"\x88"
            case False:
                return b"\x89"
            case int():
                return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)
            case float():
                return b"G" + struct.pack(">d", value)
            case str():
                return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
            case list():
                return b"](" + b"".join(map(self.emit, value)) + b"e"
            case tuple():
                return b"(" + b"".join(map(self.emit, value)) + b"t"
            case dict():
                return b"}(" + b"".join(self.emit(part) for item in value.items() for part in item) + b"u"
            case Obj():
                return self.name(value.cls) + b")\x81" + self.emit(value.state) + b"b"
            case Sparse():
                layout = self.name("torch.serialization._get_layout") + self.emit(("torch.sparse_coo",)) + b"R"
                size = self.name("torch.Size") + self.emit((tuple(value.shape),)) + b"R"
                data = b"(" + self.emit(value.where) + self.emit(value.values) + size + b"\x88t"
                return self.name("torch._utils._rebuild_sparse_tensor") + b"(" + layout + data + b"tR"
            case np.ndarray():
                kinds = {"f4": "FloatStorage", "f8": "DoubleStorage", "i8": "LongStorage", "f2": "HalfStorage"}
                kinds["u2"] = "BFloat16Storage"
                array = np.ascontiguousarray(value)
                key = str(len(self.storages))
                self.storages[key] = array.tobytes()
                kind = self.name("torch." + kinds[array.dtype.str[1:]])
                storage = (
                    b"(" + self.emit("storage") + kind + b"".join(map(self.emit, (key, "cpu", array.size))) + b"tQ"
                )
                strides = tuple(s // array.itemsize for s in array.strides)
                rest = b"".join(map(self.emit, (0, tuple(array.shape), strides, False, {})))
                return self.name("torch._utils._rebuild_tensor_v2") + b"(" + storage + rest + b"tR"
        if callable(value):
            return self.name(value())
        raise TypeError(type(value))

    @staticmethod
    def name(path: str) -> bytes:
        where, _, name = path.rpartition(".")
        return f"c{where}\n{name}\n".encode()


def save(path: Path, value: Any) -> Path:
    """Write ``value`` as torch.save would, with classes that need not exist."""
    emitter = _Emitter()
    return torch_zip(path, b"\x80\x02" + emitter.emit(value) + b".", emitter.storages)
