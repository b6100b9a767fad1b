"""mlcg's priors: tables by type and, once specialised to structures, one row of parameters a term."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import ConvertError, brief
from .mlcg_structures import Structure
from .model import int_tensor
from .modules import Module
from .tensors import SparseTensor, Tensor

__all__ = ["PriorSet"]

_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class _Kind:
    """How one of mlcg's priors is written."""

    kind: str
    atoms: int
    #: Our parameter: mlcg's names for it, in tables and in specialised rows.
    parameters: tuple[tuple[str, tuple[str, ...]], ...]


_HARMONIC = (("k", ("k",)), ("x0", ("x_0", "x0")), ("v0", ("V0", "v_0")))
_BOND = _Kind("harmonic_bond", 2, _HARMONIC)
_ANGLE = _Kind("harmonic_angle_cos", 3, _HARMONIC)
_IMPROPER = _Kind("harmonic_improper", 4, _HARMONIC)
_FOURIER = _Kind("fourier_dihedral", 4, (("sin", ("k1s",)), ("cos", ("k2s",)), ("v0", ("v_0",))))
_KINDS = {
    "HarmonicBonds": _BOND,
    "GeneralBonds": _BOND,
    "HarmonicAngles": _ANGLE,
    "GeneralAngles": _ANGLE,
    "HarmonicAnglesRaw": _Kind("harmonic_angle", 3, _HARMONIC),
    "HarmonicImpropers": _IMPROPER,
    "ShiftedPeriodicHarmonicImpropers": _IMPROPER,
    "Dihedral": _FOURIER,
    "Repulsion": _Kind("repulsion", 2, (("sigma", ("sigma",)),)),
    "QuarticRawAngles": _Kind("quartic_angle", 3, (("polynomial", ("ks",)), ("v0", ("v_0", "v_0s")))),
}
_FOURIER_PARAMETERS = ("sin", "cos")


def _base_name(module: Module) -> str:
    """The name without the Static that mlcg puts before it when a prior is specialised to structures."""
    return module.name.removeprefix("Static")


@dataclass
class _Prior:
    name: str
    kind: _Kind
    module: Module
    #: Type tuples (per type) or None (per term).
    tuples: list[tuple[int, ...]] | None
    #: Our parameter: [rows] or [rows, degrees].
    values: dict[str, Tensor]
    degrees: int
    #: Atoms of each term, structure by structure; None if the file has no term lists.
    terms: list[np.ndarray[Any, Any]] | None


class PriorSet:
    """The priors of a file, together with the term lists of its structures."""

    def __init__(
        self,
        modules: list[tuple[str, Module]],
        structures: list[Structure],
        periodic_impropers: bool,
        notes: list[str],
    ) -> None:
        self._structures = structures
        self._periodic_impropers = periodic_impropers
        self._notes = notes
        self._priors = [self._read(name, module) for name, module in modules]
        names = [prior.name for prior in self._priors]
        if len(set(names)) != len(names):
            raise ConvertError(f"two priors are called {max(names, key=names.count)!r}")

    @staticmethod
    def knows(module: Module) -> bool:
        """Whether a module is a prior this converter can write."""
        return module.package == "mlcg" and _base_name(module) in _KINDS

    @staticmethod
    def supported() -> list[str]:
        """The names of the priors that can be written."""
        return sorted(_KINDS)

    def types_used(self) -> Iterable[int]:
        """Every type that occurs in a table."""
        for prior in self._priors:
            for key in prior.tuples or ():
                yield from key

    def write(self, kept: set[int]) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
        """The ``priors`` array and its tensors, with the table rows of the ``kept`` types."""
        entries: list[dict[str, Any]] = []
        tensors: dict[str, Tensor] = {}
        for prior in self._priors:
            prefix = f"priors.{prior.name}"
            values = prior.values
            if prior.tuples is not None:
                rows = [i for i, key in enumerate(prior.tuples) if set(key) <= kept]
                if len(rows) < len(prior.tuples):
                    values = {name: value.view(value.data[rows]) for name, value in values.items()}
                tuples = [prior.tuples[i] for i in rows]
                tensors[f"{prefix}.types"] = int_tensor(tuples, (len(tuples), prior.kind.atoms))
            for name, value in values.items():
                tensors[f"{prefix}.{name}"] = value
            count = len(next(iter(values.values())).data)
            entry: dict[str, Any] = {
                "name": prior.name,
                "kind": prior.kind.kind,
                "lookup": "per_term" if prior.tuples is None else "per_type",
                "terms": prior.terms is not None,
                "count": count,
            }
            if prior.degrees:
                entry["degrees"] = prior.degrees
            if prior.terms is not None:
                offsets = np.cumsum([0, *(len(part) for part in prior.terms)])
                tensors[f"{prefix}.atoms"] = int_tensor(np.concatenate(prior.terms), (offsets[-1], prior.kind.atoms))
                tensors[f"{prefix}.offsets"] = int_tensor(offsets)
            entries.append(entry)
        return entries, tensors

    # Reading one prior.

    def _read(self, name: str, module: Module) -> _Prior:
        if not _NAME.fullmatch(name):
            raise ConvertError(f"prior name {name!r} holds more than letters, digits, '_' and '-'")
        kind = _KINDS[_base_name(module)]
        terms = self._terms(name, kind)
        if module.name.startswith("Static"):
            if terms is None:
                raise ConvertError(
                    f"prior {name!r} ({module.name}) has a row of parameters for every term of the structures it was "
                    "made for, and they are not in the file; name their file with --terms"
                )
            tuples, raw = None, {n: self._rows(module, n, aliases) for n, aliases in kind.parameters}
            rows = sum(len(part) for part in terms)
            found = {len(value.data) for value in raw.values() if value is not None}
            if found != {rows}:
                raise ConvertError(
                    f"prior {name!r} has parameters for {max(found, default=0)} terms, but its structures list {rows}"
                )
        else:
            tuples = self._tuples(name, module, kind, terms)
            raw = {n: self._table(module, n, aliases, tuples) for n, aliases in kind.parameters}
            rows = len(tuples)
        values, degrees = self._arrange(name, kind, raw, rows)
        if kind is _IMPROPER:
            self._check_improper(name, module, values)
        return _Prior(name, kind, module, tuples, values, degrees, terms)

    def _terms(self, name: str, kind: _Kind) -> list[np.ndarray[Any, Any]] | None:
        if not self._structures:
            return None
        lists = [structure.terms.get(name) for structure in self._structures]
        if all(part is None for part in lists):
            self._notes.append(f"the structures have no term list {name!r}")
            return None
        result = []
        for structure, part in zip(self._structures, lists, strict=True):
            if part is None:
                raise ConvertError(f"structure {structure.name!r} has no term list {name!r}, which others have")
            if not len(part):
                part = part.reshape(0, kind.atoms)
            if part.shape[1] != kind.atoms:
                raise ConvertError(f"structure {structure.name!r}: terms of {name!r} join {part.shape[1]} atoms")
            result.append(part)
        return result

    def _tuples(
        self, name: str, module: Module, kind: _Kind, terms: list[np.ndarray[Any, Any]] | None
    ) -> list[tuple[int, ...]]:
        """The type tuples of a table: those it was made for, those that are not zero, those its terms need."""
        found: dict[tuple[int, ...], None] = {}
        keys = module.attribute("allowed_interaction_keys")
        for key in keys if isinstance(keys, list) else ():
            if not isinstance(key, tuple) or len(key) != kind.atoms:
                raise ConvertError(f"prior {name!r} has a type tuple that is not of {kind.atoms} types")
            found[tuple(_type_number(part, name) for part in key)] = None
        size = None
        for _, aliases in kind.parameters:
            table = _find(module, aliases)
            if table is None:
                continue
            shape = table.shape[-kind.atoms :]
            if len(table.shape) not in (kind.atoms, kind.atoms + 1) or len(set(shape)) != 1:
                raise ConvertError(f"prior {name!r} has a table of shape {list(table.shape)}")
            size = shape[0] if size is None else min(size, shape[0])
            for key in _nonzero(table)[:, -kind.atoms :].tolist():
                found[tuple(key)] = None
        if size is None:
            raise ConvertError(f"prior {name!r} has no table of parameters")
        absent: list[tuple[int, ...]] = []
        for structure, part in zip(self._structures, terms or (), strict=terms is not None):
            for key in np.unique(structure.types[part].reshape(-1, kind.atoms), axis=0).tolist():
                if tuple(key) not in found:
                    found[tuple(key)] = None
                    absent.append(tuple(key))
        for key in found:
            if min(key) < 0 or max(key) >= size:
                raise ConvertError(f"prior {name!r}: types {key} are not in its table of {size} types")
        if absent:
            self._notes.append(
                f"prior {name!r} was not made for the types {absent[0]} that a structure asks of it; "
                "mlcg takes zero parameters, and so does the file"
            )
        return list(found)

    @staticmethod
    def _rows(module: Module, _: str, aliases: tuple[str, ...]) -> Tensor | None:
        value = _find(module, aliases)
        if isinstance(value, SparseTensor):
            raise ConvertError(f"{module.label}: parameters of terms in sparse form are not supported")
        return value

    @staticmethod
    def _table(module: Module, name: str, aliases: tuple[str, ...], tuples: list[tuple[int, ...]]) -> Tensor | None:
        table = _find(module, aliases)
        if table is None:
            return None
        where: tuple[Any, ...] = tuple(np.array(tuples, dtype=np.int64).reshape(len(tuples), -1).T)
        if isinstance(table, Tensor):
            if name in (*_FOURIER_PARAMETERS, "polynomial"):
                return table.view(table.data[(slice(None), *where)].T)
            return table.view(table.data[where])
        return _gather(table, tuples)

    def _arrange(
        self, name: str, kind: _Kind, raw: dict[str, Tensor | None], rows: int
    ) -> tuple[dict[str, Tensor], int]:
        """Give every parameter its shape; parameters a prior does not have are zero."""
        given = [value for value in raw.values() if value is not None]
        values: dict[str, Tensor] = {}
        degrees = 0
        for parameter, value in raw.items():
            if value is None:
                # Harmonic tables have no offset; in every other prior it is a parameter like the rest.
                if parameter != "v0" or kind.parameters != _HARMONIC:
                    raise ConvertError(f"prior {name!r} has no parameter {parameter!r}")
                value = given[0].view(np.zeros(rows, given[0].data.dtype))
            if parameter in _FOURIER_PARAMETERS:
                if value.data.ndim != 2:
                    raise ConvertError(f"prior {name!r}: {parameter!r} has shape {list(value.shape)}")
                degrees = value.shape[1]
            elif parameter == "polynomial":
                if value.data.ndim != 2 or value.shape[1] != 4:
                    raise ConvertError(f"prior {name!r} is a polynomial of another degree than 4")
                for column, coefficient in enumerate("dcba"):
                    values[coefficient] = value.view(value.data[:, column])
                continue
            elif value.data.ndim > 1:
                # Specialised offsets come with as many equal columns as there are degrees; mlcg takes the first.
                value = value.view(value.data.reshape(rows, -1)[:, 0]) if rows else value.view(value.data.reshape(-1))
            values[parameter] = value
        if any(len(value.data) != rows for value in values.values()):
            raise ConvertError(f"prior {name!r} has parameters of different lengths")
        return values, degrees

    def _check_improper(self, name: str, module: Module, values: dict[str, Tensor]) -> None:
        """Refuse what differs: mlcg does not wrap φ − x0, the file does, and only for x0 = 0 are they the same."""
        centre = values["x0"].float64()
        used = values["k"].float64() != 0
        if (centre[used] != 0).any():
            if not self._periodic_impropers:
                raise ConvertError(
                    f"prior {name!r} ({module.name}) jumps where its angle leaves (-pi, pi], because mlcg does not "
                    "take the difference to x0 periodically; --periodic-impropers writes the periodic term instead"
                )
            self._notes.append(f"prior {name!r} is taken periodically, which mlcg does not do")
        if _base_name(module) == "ShiftedPeriodicHarmonicImpropers":
            values["x0"] = Tensor("F64", np.ascontiguousarray(centre + np.pi))


def _find(module: Module, aliases: tuple[str, ...]) -> Tensor | SparseTensor | None:
    tensors = module.tensors()
    for alias in aliases:
        if alias in tensors:
            return tensors[alias]
    return None


def _nonzero(table: Tensor | SparseTensor) -> np.ndarray[Any, Any]:
    if isinstance(table, SparseTensor):
        return table.indices.integers().T
    return np.argwhere(table.data != 0)


def _gather(table: SparseTensor, tuples: list[tuple[int, ...]]) -> Tensor:
    """The values of a sparse table at these type tuples; values given twice for a place add up, as in torch."""
    where = table.indices.integers()
    row_of = {key: row for row, key in enumerate(tuples)}
    by_degree = len(where) > (len(tuples[0]) if tuples else 0)
    shape = (len(tuples), table.shape[0]) if by_degree else (len(tuples),)
    result = np.zeros(shape, table.values.data.dtype)
    for column, value in zip(where.T.tolist(), table.values.data, strict=True):
        key = tuple(column[1:] if by_degree else column)
        if by_degree:
            result[row_of[key], column[0]] += value
        else:
            result[row_of[key]] += value
    return table.values.view(result)


def _type_number(value: Any, name: str) -> int:
    if isinstance(value, Tensor):
        return int(value.item())
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ConvertError(f"prior {name!r} has {brief(value)} where a type belongs")
