"""What goes wrong, one class for each kind; the texts are the core's."""

from __future__ import annotations

__all__ = [
    "Again",
    "CallbackError",
    "DeviceError",
    "Error",
    "FileError",
    "InternalError",
    "InvalidArgument",
    "ModelError",
    "NumericalError",
    "OutOfMemory",
    "Unsupported",
]


class Error(RuntimeError):
    """Any failure of the library."""


class InvalidArgument(Error, ValueError):
    """An argument is not what the function accepts."""


class FileError(Error, OSError):
    """A file could not be read."""


class ModelError(Error):
    """A model file is truncated, damaged or inconsistent; the text names file and field."""


class Unsupported(Error, NotImplementedError):
    """The request is valid, but this build, engine or device does not offer it."""


class OutOfMemory(Error, MemoryError):
    """Memory could not be had."""


class NumericalError(Error, ArithmeticError):
    """A result is not finite."""


class CallbackError(Error):
    """A callback returned an error."""


class DeviceError(Error):
    """A GPU failed while it was in use; the potential is of no use any more."""


class Again(Error):
    """What was enqueued on a GPU has to be computed once more."""


class InternalError(Error):
    """A defect in the library itself."""
