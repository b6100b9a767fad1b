"""Tensors and numpy arrays out of a pickle: views of storages, each checked before it is built."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .archive import TorchArchive
from .errors import ConvertError, brief
from .unpickle import Global, Reducer, Unpickler

__all__ = ["SparseTensor", "Tensor", "load"]

#: Names of element types: safetensors' name, numpy type. BF16 is kept as its raw 16 bits.
_DTYPES = {
    "float64": ("F64", "<f8"),
    "float32": ("F32", "<f4"),
    "float16": ("F16", "<f2"),
    "bfloat16": ("BF16", "<u2"),
    "int64": ("I64", "<i8"),
    "int32": ("I32", "<i4"),
    "int16": ("I16", "<i2"),
    "int8": ("I8", "i1"),
    "uint8": ("U8", "u1"),
    "bool": ("BOOL", "?"),
}
_ALIASES = {
    "double": "float64",
    "float": "float32",
    "half": "float16",
    "long": "int64",
    "int": "int32",
    "short": "int16",
}
_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",
}
#: A view that repeats elements may have this many of them and no more.
_MAX_EXPANDED = 1 << 24
_MAX_DIMENSIONS = 64


@dataclass(eq=False, repr=False)
class Tensor:
    """A tensor: its element type by safetensors' name, and its elements (BF16 as raw 16 bits)."""

    dtype: str
    data: np.ndarray[Any, Any]
    #: Where it lies, for telling whether two names mean the same weights.
    place: tuple[Any, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Its dimensions."""
        return tuple(self.data.shape)

    def float64(self) -> np.ndarray[Any, Any]:
        """Its elements as double precision numbers."""
        if self.dtype == "BF16":
            return (self.data.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
        return self.data.astype(np.float64)

    def integers(self) -> np.ndarray[Any, Any]:
        """Its elements as 64-bit integers; an error if they are not integers."""
        if self.data.dtype.kind not in "iu" or self.dtype == "BF16":
            raise ConvertError(f"a tensor of {self.dtype} stands where integers belong")
        return self.data.astype(np.int64)

    def item(self) -> float:
        """Its only element."""
        if self.data.size != 1:
            raise ConvertError(f"a tensor of shape {list(self.shape)} stands where one number belongs")
        return float(self.float64().reshape(()))

    def view(self, data: np.ndarray[Any, Any]) -> Tensor:
        """A tensor of the same type with these elements, taken from this one."""
        return Tensor(self.dtype, np.ascontiguousarray(data))


@dataclass(eq=False, repr=False)
class SparseTensor:
    """A tensor in coordinate form: where it is not zero, and its values there."""

    indices: Tensor
    values: Tensor
    shape: tuple[int, ...]


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    count: int


class _Scalar:
    """A numpy array or dtype under construction."""

    def __init__(self, code: str) -> None:
        self.code = code

    def build(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] == ">":
            raise ConvertError("a numpy value of a big-endian machine")


class _Loader:
    def __init__(self, archive: TorchArchive) -> None:
        self._archive = archive
        self._label = str(archive.path)
        self._bytes: dict[str, bytes] = {}

    def load(self) -> Any:
        reducers: dict[str, Reducer] = {
            "torch._utils._rebuild_tensor": self._rebuild,
            "torch._utils._rebuild_tensor_v2": self._rebuild,
            "torch._utils._rebuild_tensor_v3": self._rebuild_v3,
            "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
            "torch._utils._rebuild_parameter_with_state": lambda tensor, *_: tensor,
            "torch._utils._rebuild_sparse_tensor": self._rebuild_sparse,
            "torch.serialization._get_layout": lambda name: name,
            "torch.Size": lambda *sizes: tuple(sizes[0]) if sizes else (),
            "numpy.dtype": lambda code, *_: _Scalar(code),
            **{f"numpy.{package}.multiarray.scalar": self._scalar for package in ("core", "_core")},
        }
        unpickler = Unpickler(self._label, reducers, self._persistent)
        return unpickler.load(self._archive.pickle())

    def _persistent(self, reference: Any) -> _Storage:
        if not (isinstance(reference, tuple) and len(reference) >= 5 and reference[0] == "storage"):
            raise ValueError("a reference that is not to a tensor's storage")
        kind, key, count = reference[1], reference[2], reference[4]
        if not isinstance(kind, Global) or kind.name not in _STORAGES:
            raise ConvertError(f"{self._label}: tensors of type {getattr(kind, 'name', brief(kind))} are not supported")
        if not isinstance(key, str) or not isinstance(count, int) or count < 0:
            raise ValueError("a storage without key or size")
        return _Storage(key, _STORAGES[kind.name], count)

    def _rebuild(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
        if not isinstance(storage, _Storage):
            raise ValueError("a tensor without storage")
        return self._view(storage, storage.dtype, offset, size, stride)

    def _rebuild_v3(
        self, storage: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any, *_: Any
    ) -> Tensor:
        if not isinstance(storage, _Storage) or not isinstance(dtype, Global):
            raise ValueError("a tensor without storage")
        return self._view(storage, _ALIASES.get(dtype.name, dtype.name), offset, size, stride)

    def _view(self, storage: _Storage, dtype: str, offset: Any, size: Any, stride: Any) -> Tensor:
        if dtype not in _DTYPES:
            raise ConvertError(f"{self._label}: tensors of type {dtype} are not supported")
        name, code = _DTYPES[dtype]
        width = np.dtype(code).itemsize
        present = self._archive.storage_size(storage.key)
        declared = storage.count * np.dtype(_DTYPES[storage.dtype][1]).itemsize
        if present != declared:
            raise ConvertError(
                f"{self._label} is damaged: tensor storage {storage.key!r} has {present} bytes and not {declared}"
            )
        elements = present // width
        numbers = [offset, *size, *stride]
        if not all(isinstance(number, int) and number >= 0 for number in numbers) or len(size) != len(stride):
            raise ValueError("a tensor of impossible shape")
        if len(size) > _MAX_DIMENSIONS:
            raise ValueError("a tensor of too many dimensions")
        count = math.prod(size)
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if count else 0
        if (count and last >= elements) or count > max(elements, _MAX_EXPANDED):
            raise ConvertError(
                f"{self._label} is damaged: a tensor of shape {list(size)} does not fit its storage {storage.key!r}"
            )
        if not count:
            return Tensor(name, np.zeros(size, np.dtype(code)))
        if storage.key not in self._bytes:
            self._bytes[storage.key] = self._archive.storage(storage.key)
        flat = np.frombuffer(self._bytes[storage.key], np.dtype(code), elements)[offset:]
        view = np.lib.stride_tricks.as_strided(flat, size, [s * width for s in stride], writeable=False)
        return Tensor(name, view, (storage.key, offset, tuple(size), tuple(stride)))

    def _rebuild_sparse(self, layout: Any, data: Any) -> SparseTensor:
        if not isinstance(layout, str) or layout != "torch.sparse_coo":
            raise ConvertError(f"{self._label}: tensors of layout {brief(layout)} are not supported")
        indices, values, shape = data[0], data[1], tuple(data[2])
        if not isinstance(indices, Tensor) or not isinstance(values, Tensor):
            raise ValueError("a sparse tensor without values")
        where = indices.integers()
        if where.ndim != 2 or values.data.shape != where.shape[1:] or len(where) != len(shape):
            raise ValueError("a sparse tensor of impossible shape")
        if where.size and ((where < 0).any() or (where >= np.array(shape)[:, None]).any()):
            raise ValueError("a sparse tensor with values outside its shape")
        return SparseTensor(indices, values, shape)

    def _scalar(self, dtype: Any, data: Any) -> Any:
        if not isinstance(dtype, _Scalar) or not isinstance(data, bytes) or len(data) > 16:
            raise ValueError("a numpy number without value")
        if dtype.code[:1] not in ("i", "u", "f", "b") or not dtype.code[1:].isdigit():
            raise ConvertError(f"{self._label}: numpy values of type {brief(dtype.code)} are not supported")
        return np.frombuffer(data, np.dtype("<" + dtype.code), 1)[0].item()


def load(archive: TorchArchive) -> Any:
    """The object in ``archive``: plain Python values, :class:`Tensor`, and stand-ins for everything else."""
    return _Loader(archive).load()
