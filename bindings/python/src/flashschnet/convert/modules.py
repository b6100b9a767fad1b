"""Looking at the stand-ins of saved ``torch.nn`` modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .errors import ConvertError, brief
from .tensors import SparseTensor, Tensor
from .unpickle import Call, Global, Instance

__all__ = ["Module", "activation_name", "as_module", "is_module"]


#: Modules share parts: what is written once can be reached along very many ways.
_MAX_MODULES = 100_000


class Module:
    """One saved module: its class's name, parts, weights and attributes."""

    def __init__(self, instance: Instance, where: str) -> None:
        self.instance = instance
        self.where = where
        self._state: dict[Any, Any] = instance.state

    @property
    def path(self) -> str:
        """The full dotted name of its class."""
        return self.instance.cls.path

    @property
    def package(self) -> str:
        """The package its class comes from."""
        return self.instance.cls.module.split(".")[0]

    @property
    def name(self) -> str:
        """The name of its class."""
        return self.instance.cls.name

    def children(self) -> dict[str, Module]:
        """Its parts in order."""
        parts = self._state.get("_modules")
        if not isinstance(parts, dict):
            return {}
        return {
            str(key): Module(part, f"{self.where}.{key}" if self.where else str(key))
            for key, part in parts.items()
            if is_module(part)
        }

    def child(self, name: str) -> Module:
        """The part of that name; an error if it is not there."""
        try:
            return self.children()[name]
        except KeyError:
            raise ConvertError(f"{self.label} has no part {name!r}") from None

    def find(self, name: str) -> Module | None:
        """The part of that name, if it is there."""
        return self.children().get(name)

    def tensors(self) -> dict[str, Tensor | SparseTensor]:
        """Its own parameters and buffers."""
        found: dict[str, Tensor | SparseTensor] = {}
        for group in ("_parameters", "_buffers"):
            values = self._state.get(group)
            if isinstance(values, dict):
                found.update((str(k), v) for k, v in values.items() if isinstance(v, (Tensor, SparseTensor)))
        return found

    def tensor(self, name: str) -> Tensor:
        """The parameter or buffer of that name; an error if it is not there."""
        value = self.tensors().get(name)
        if isinstance(value, Tensor):
            return value
        raise ConvertError(f"{self.label} has no tensor {name!r}")

    def optional(self, name: str) -> Tensor | None:
        """The parameter or buffer of that name, if it is there and not None."""
        value = self.tensors().get(name)
        return value if isinstance(value, Tensor) else None

    def attribute(self, name: str, default: Any = None) -> Any:
        """A plain attribute."""
        return self._state.get(name, default)

    def text(self, name: str, default: str = "") -> str:
        """An attribute that is text; ``default`` if it is not there or None."""
        value = self._state.get(name)
        if value is None:
            return default
        if isinstance(value, str):
            return value
        raise ConvertError(f"{self.label}: {name} is {brief(value)} where text belongs")

    def texts(self, name: str) -> list[str]:
        """An attribute that is a list of texts."""
        value = self._state.get(name)
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return value
        raise ConvertError(f"{self.label}: {name} is {brief(value)} where a list of names belongs")

    def flag(self, name: str, default: bool = False) -> bool:
        """An attribute that is true or false; ``default`` if it is not there or None."""
        value = self._state.get(name)
        if value is None:
            return default
        if isinstance(value, int):
            return bool(value)
        raise ConvertError(f"{self.label}: {name} is {brief(value)} where true or false belongs")

    def number(self, name: str) -> float:
        """A number: an attribute, or a parameter or buffer of one element."""
        value = self.tensors().get(name, self._state.get(name))
        if isinstance(value, Tensor):
            return value.item()
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        raise ConvertError(f"{self.label} has no number {name!r}")

    def walk(self) -> Iterator[Module]:
        """The module and all within it, each once."""
        seen: set[int] = set()
        pending = [self]
        while pending:
            module = pending.pop()
            if id(module.instance) in seen:
                continue
            seen.add(id(module.instance))
            yield module
            pending.extend(reversed(module.children().values()))

    def state_dict(self) -> dict[str, Tensor]:
        """All its parameters and buffers by their dotted names, as in torch's ``state_dict``."""
        result: dict[str, Tensor] = {}
        pending, visited = [(self, "", 0)], 0
        while pending:
            module, prefix, depth = pending.pop()
            visited += 1
            if depth > 64 or visited > _MAX_MODULES:
                raise ConvertError(f"{self.label} is nested too deeply")
            for key, value in module.tensors().items():
                if isinstance(value, Tensor):
                    result[prefix + key] = value
            for key, part in module.children().items():
                pending.append((part, f"{prefix}{key}.", depth + 1))
        return result

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"{self.name} ({self.where})" if self.where else self.name


def is_module(value: Any) -> bool:
    """Whether ``value`` stands for a saved module."""
    return (
        isinstance(value, Instance)
        and isinstance(value.state, dict)
        and isinstance(value.state.get("_modules", {}), dict)
        and ("_modules" in value.state or "_parameters" in value.state)
    )


def as_module(value: Any, where: str = "") -> Module:
    """``value`` as a module; an error if it stands for none."""
    if not is_module(value):
        raise ConvertError(f"{where or 'the file'} is not a saved module")
    return Module(value, where)


#: Activations by the last part of their names: functions and modules alike.
_ACTIVATIONS = {
    "shifted_softplus": "shifted_softplus",
    "ShiftedSoftplus": "shifted_softplus",
    "silu": "silu",
    "SiLU": "silu",
    "Swish": "silu",
    "swish": "silu",
    "tanh": "tanh",
    "Tanh": "tanh",
    "Identity": "identity",
}


def activation_name(value: Any, where: str) -> str:
    """The format's name of an activation, ``identity`` for none; an error naming one that is not supported."""
    if value is None:
        return "identity"
    if isinstance(value, Module):
        if value.name == "ShiftedSoftplus":
            for parameter in ("alpha", "beta"):
                tensor = value.optional(parameter)
                if tensor is not None and (tensor.float64() != 1.0).any():
                    raise ConvertError(f"{where}: ShiftedSoftplus with {parameter} other than 1 is not supported")
        name = value.name
    elif is_module(value):
        return activation_name(Module(value, where), where)
    elif isinstance(value, Global):
        name = value.name
    elif isinstance(value, (Call, Instance)):
        name = value.function.name if isinstance(value, Call) else value.cls.name
    else:
        name = type(value).__name__
    if name not in _ACTIVATIONS:
        raise ConvertError(f"{where}: activation {name} is not supported (shifted softplus, tanh and SiLU are)")
    return _ACTIVATIONS[name]
