"""Which framework wrote a file."""

from __future__ import annotations

from typing import Any

from . import mlcg, pyg, schnetpack0, schnetpack2
from .errors import ConvertError, brief
from .modules import Module, is_module
from .tensors import Tensor
from .unpickle import Call, Instance

__all__ = ["FRAMEWORKS", "recognise"]

#: In the order in which they are tried.
_MODULES = {"schnetpack2": schnetpack2, "schnetpack0": schnetpack0, "mlcg": mlcg, "pyg": pyg}
FRAMEWORKS = tuple(_MODULES)


def recognise(payload: Any) -> str:
    """The framework's name; an error that says what the file holds if it is none of them."""
    for name, module in _MODULES.items():
        if module.recognise(payload):
            return name
    raise ConvertError(
        f"the file holds {_describe(payload)}, which is not a SchNet of SchNetPack, mlcg or PyTorch Geometric"
    )


def _describe(payload: Any) -> str:
    if is_module(payload):
        return f"a {Module(payload, '').path}"
    if isinstance(payload, Instance):
        return f"a {payload.cls.path}"
    if isinstance(payload, Call):
        return f"a call of {payload.function.path}"
    if isinstance(payload, Tensor):
        return "a tensor"
    if isinstance(payload, dict):
        if "pytorch-lightning_version" in payload:
            return "a Lightning checkpoint (convert the model saved beside it, such as best_model)"
        keys = ", ".join(brief(key) for key in list(payload)[:4])
        return f"a dictionary ({keys}{', ...' if len(payload) > 4 else ''})"
    return f"a {type(payload).__name__}"
