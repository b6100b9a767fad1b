"""FlashSchNet: SchNet neural force fields with minimal data movement.

>>> potential = flashschnet.Potential("model.safetensors")
>>> results = potential.compute(positions, types, cell)
>>> results.energy, results.forces

Everything is in the model's own units; :class:`flashschnet.ase.FlashSchNetCalculator` is in eV and Å.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# The function takes the name of the folder it is in; `from flashschnet.convert import …` still finds the latter.
from .convert import ConvertError, convert
from .errors import (
    Again,
    CallbackError,
    DeviceError,
    Error,
    FileError,
    InternalError,
    InvalidArgument,
    ModelError,
    NumericalError,
    OutOfMemory,
    Unsupported,
)

if TYPE_CHECKING:
    from . import ase
    from .model import AtomType, Model, Units
    from .neighbors import NeighborList, neighbor_list
    from .potential import Exchange, Gpu, Potential
    from .results import Results
    from .simulation import Simulation

    __version__: str

__all__ = [
    "Again",
    "AtomType",
    "CallbackError",
    "ConvertError",
    "DeviceError",
    "Error",
    "Exchange",
    "FileError",
    "Gpu",
    "InternalError",
    "InvalidArgument",
    "Model",
    "ModelError",
    "NeighborList",
    "NumericalError",
    "OutOfMemory",
    "Potential",
    "Results",
    "Simulation",
    "Units",
    "Unsupported",
    "__version__",
    "ase",
    "convert",
    "neighbor_list",
]

#: What needs the shared library is loaded when it is first used: models can be converted without it.
_LAZY = {
    "AtomType": ".model",
    "Exchange": ".potential",
    "Gpu": ".potential",
    "Model": ".model",
    "NeighborList": ".neighbors",
    "Potential": ".potential",
    "Results": ".results",
    "Simulation": ".simulation",
    "Units": ".model",
    "neighbor_list": ".neighbors",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(import_module(_LAZY[name], __name__), name)
    elif name == "ase":
        value = import_module(".ase", __name__)
    elif name == "__version__":
        library = import_module("._library", __name__)
        value = library.text(library.lib.fsn_version())
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
