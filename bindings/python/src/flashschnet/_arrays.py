"""From what a caller has to arrays the library can read, copied only where type or layout ask for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._library import ffi
from .errors import InvalidArgument

__all__ = ["floats", "integers", "invalid", "pairs", "pointer", "switches"]

_INT32 = np.iinfo(np.int32)
_ELEMENTS = {"f8": "double[]", "i4": "int32_t[]", "u8": "size_t[]", "b1": "uint8_t[]"}


def floats(value: ArrayLike, name: str, *shape: int | str) -> NDArray[np.float64]:
    """``value`` in float64 and C order, if it is real numbers of this shape; names stand for any length."""
    array = _array(value, name)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be real numbers, not {_kind(value, array)}")
    _check_shape(array, name, shape)
    return np.require(array, np.float64, ["C", "A"])


def integers(value: ArrayLike, name: str, *shape: int | str) -> NDArray[np.int32]:
    """``value`` in int32 and C order, if it is integers of this shape that fit."""
    array = _array(value, name)
    if array.dtype.kind not in "iu" and array.size > 0:
        raise TypeError(f"{name} must be integers, not {_kind(value, array)}")
    _check_shape(array, name, shape)
    if array.dtype != np.int32 and array.size > 0:
        for extreme in (array.min(), array.max()):
            if not _INT32.min <= extreme <= _INT32.max:
                raise invalid(f"{name}: {extreme} does not fit 32 bits")
    return np.require(array, np.int32, ["C", "A"])


def pairs(value: ArrayLike, name: str) -> NDArray[np.int32]:
    """Pairs of atoms; an empty list is no pairs."""
    array = _array(value, name)
    return integers(array.reshape(0, 2) if array.shape == (0,) else array, name, "pairs", 2)


def switches(value: ArrayLike, name: str) -> NDArray[np.bool_]:
    """One truth value for all three directions, or one for each."""
    array = _array(value, name)
    if array.dtype.kind not in "biu" or (array.dtype.kind != "b" and not np.isin(array, (0, 1)).all()):
        raise TypeError(f"{name} must be True or False, or three of them, not {value!r}")
    if array.shape not in ((), (1,), (3,)):
        raise invalid(f"{name} must be one truth value or three, not of shape {array.shape}")
    return np.require(np.broadcast_to(array.astype(np.bool_), (3,)), np.bool_, ["C", "A"])


def pointer(array: NDArray[Any] | None) -> Any:
    """The array's memory, for as long as the result lives; null for None."""
    if array is None:
        return ffi.NULL
    return ffi.from_buffer(_ELEMENTS[array.dtype.str[1:]], array)


def invalid(reason: str) -> InvalidArgument:
    """The error for an argument the library cannot be shown, in its own form."""
    return InvalidArgument(f"invalid argument: {reason}")


def _array(value: ArrayLike, name: str) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise invalid(f"{name} is not a rectangular array") from error


def _kind(value: ArrayLike, array: NDArray[Any]) -> str:
    return "None" if value is None else str(array.dtype)


def _check_shape(array: NDArray[Any], name: str, shape: tuple[int | str, ...]) -> None:
    wanted = zip(array.shape, shape, strict=False)
    if array.ndim != len(shape) or any(isinstance(want, int) and have != want for have, want in wanted):
        text = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise invalid(f"{name} must have shape ({text}), not {array.shape}")
