"""Writing the model file: safetensors with the description and checksums in its metadata."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ConvertError
from .model import Model
from .tensors import Tensor

__all__ = ["FORMAT_VERSION", "describe", "sha256", "write"]

FORMAT_VERSION = 1
_FLOATS = ("F64", "F32", "F16", "BF16")
_WIDTHS = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2}


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def describe(model: Model, provenance: dict[str, str]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The description of ``model`` and the bytes of its tensors."""
    blobs = {name: _bytes(name, model.tensors[name]) for name in sorted(model.tensors)}
    description: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "units": {"length": model.units[0], "energy": model.units[1]},
        "types": model.types,
        "network": model.network,
        "excluded_bonds": model.excluded_bonds,
        "priors": model.priors,
        "structures": model.structures,
        "provenance": provenance,
        "checksums": {name: _crc(blob) for name, blob in blobs.items()},
    }
    return description, blobs


def write(
    model: Model, provenance: dict[str, str], path: Path, check: Callable[[Path], None] = lambda _: None
) -> dict[str, Any]:
    """Write ``model`` to ``path``, all of it or nothing, and return its description.

    ``check`` is given the finished file before it takes the name ``path``; if it raises, ``path`` is left as it was.
    """
    description, blobs = describe(model, provenance)
    text = json.dumps(description, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    header: dict[str, Any] = {
        "__metadata__": {"flashschnet": text, "flashschnet_crc32": _crc(text.encode())},
    }
    # Widest numbers first, so that every tensor starts at a multiple of its width.
    order = sorted(blobs, key=lambda name: (-_WIDTHS[model.tensors[name].dtype], name))
    position = 0
    for name in order:
        end = position + len(blobs[name])
        header[name] = {
            "dtype": model.tensors[name].dtype,
            "shape": list(model.tensors[name].shape),
            "data_offsets": [position, end],
        }
        position = end
    head = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise ConvertError(f"cannot write {path}: {error.strerror or error}") from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(struct.pack("<Q", len(head)))
            file.write(head)
            for tensor in order:
                file.write(blobs[tensor])
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        check(temporary)
        temporary.replace(path)
    except OSError as error:
        raise ConvertError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return description


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _crc(data: bytes) -> str:
    return f"{zlib.crc32(data):08x}"


def _bytes(name: str, tensor: Tensor) -> bytes:
    if tensor.dtype not in _WIDTHS:
        raise ConvertError(f"tensor {name}: numbers of type {tensor.dtype} are not supported")
    if tensor.dtype in _FLOATS and not np.isfinite(tensor.float64()).all():
        raise ConvertError(f"tensor {name} holds numbers that are not finite")
    return np.ascontiguousarray(tensor.data).tobytes()
