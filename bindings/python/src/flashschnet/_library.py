"""Loading the shared library. What it offers is read from its C header; nothing of that is written here again."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from cffi import FFI

from . import errors

__all__ = ["check", "ffi", "lib", "string", "struct", "text"]

_VARIABLE = "FLASHSCHNET_LIBRARY"
_PACKAGE = Path(__file__).resolve().parent
#: As installed, and as in a source tree whose library is named by the environment.
_HEADERS = (_PACKAGE / "_lib" / "flashschnet.h", *(top / "include" / "flashschnet.h" for top in _PACKAGE.parents[3:4]))


def _declarations(header: str) -> str:
    """The part of a C header that cffi reads: no comments, nothing for C++, no preprocessor but numbers."""
    header = re.sub(r"^#ifdef __cplusplus$.*?^#endif[^\n]*$", "", header, flags=re.DOTALL | re.MULTILINE)
    header = re.sub(r"//[^\n]*", "", header)
    return re.sub(r"^#(?!define \w+ \d+$)[^\n]*$", "", header, flags=re.MULTILINE)


def _path() -> str:
    if named := os.environ.get(_VARIABLE):
        return named
    for suffix in (".so", ".dylib"):
        path = _PACKAGE / "_lib" / f"libflashschnet{suffix}"
        if path.is_file():
            return str(path)
    raise ImportError(
        f"flashschnet: the shared library is not in {_PACKAGE / '_lib'}. Install the package (pip install "
        f"./bindings/python), or set {_VARIABLE} to the path of libflashschnet.so"
    )


def _load() -> tuple[FFI, Any]:
    header = next((path for path in _HEADERS if path.is_file()), None)
    if header is None:
        raise ImportError("flashschnet: flashschnet.h is missing from the package; install it again")
    ffi = FFI()
    ffi.cdef(_declarations(header.read_text(encoding="utf-8")))
    path = _path()
    try:
        lib = ffi.dlopen(path)
        version = lib.fsn_abi_version()
    except (OSError, AttributeError) as error:
        raise ImportError(f"flashschnet: {path} is not a FlashSchNet library: {error}") from error
    if version != lib.FSN_ABI_VERSION:
        raise ImportError(
            f"flashschnet: {path} has binary interface {version}, this package was made for "
            f"{lib.FSN_ABI_VERSION}; install both from the same source"
        )
    return ffi, lib


ffi, lib = _load()

_CLASSES: dict[int, type[errors.Error]] = {
    lib.FSN_INVALID_ARGUMENT: errors.InvalidArgument,
    lib.FSN_IO_ERROR: errors.FileError,
    lib.FSN_MODEL_ERROR: errors.ModelError,
    lib.FSN_UNSUPPORTED: errors.Unsupported,
    lib.FSN_OUT_OF_MEMORY: errors.OutOfMemory,
    lib.FSN_NUMERICAL_ERROR: errors.NumericalError,
    lib.FSN_CALLBACK_ERROR: errors.CallbackError,
    lib.FSN_DEVICE_ERROR: errors.DeviceError,
    lib.FSN_AGAIN: errors.Again,
    lib.FSN_INTERNAL_ERROR: errors.InternalError,
}


def check(status: int) -> None:
    """Raise the exception that belongs to ``status``, with the library's text, unless it is success."""
    if status != lib.FSN_SUCCESS:
        raise _CLASSES.get(status, errors.Error)(text(lib.fsn_last_error()))


def struct(name: str) -> Any:
    """A new struct that knows its size; everything else is zero."""
    new = ffi.new(f"{name} *")
    new.size = ffi.sizeof(name)
    return new


def text(pointer: Any) -> str:
    """A C string of the library."""
    return str(ffi.string(pointer), "utf-8", "replace")


def string(value: object, name: str) -> bytes:
    """``value`` as a C string: a path as the file system spells it, anything else by its text."""
    encoded = os.fsencode(value) if isinstance(value, (str, bytes, os.PathLike)) else str(value).encode()
    if b"\0" in encoded:
        raise errors.InvalidArgument(f"invalid argument: {name} has a null character")
    return encoded
