"""Converting models of SchNetPack, mlcg and PyTorch Geometric to FlashSchNet's model file.

Needs numpy and nothing else: neither torch nor the framework that wrote the file. The file's pickle is read by an
interpreter that builds data only, so that a file from anywhere can be converted without running what it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import frameworks, mlcg, pyg, schnetpack0, schnetpack2, tensors, writer
from .archive import TorchArchive
from .errors import ConvertError
from .mlcg_structures import structures_of
from .model import Options
from .units import parse_units
from .xyz import write_xyz

__all__ = ["ConvertError", "Report", "convert"]

_CONVERTER = "flashschnet convert"
_CONVERTERS = {"schnetpack2": schnetpack2.convert, "schnetpack0": schnetpack0.convert, "pyg": pyg.convert}


@dataclass
class Report:
    """What a conversion did."""

    framework: str
    #: The model file's description, None if only structures were written.
    description: dict[str, Any] | None
    #: What the user should know about the result.
    notes: list[str] = field(default_factory=list)
    #: Whether the library has opened and checked the file.
    checked: bool = False


def convert(
    src: str | Path,
    dst: str | Path | None = None,
    *,
    framework: str = "auto",
    cutoff: float | None = None,
    types: str | None = None,
    units: str | tuple[str, str] | None = None,
    structures: str | Path | None = None,
    terms: str | Path | None = None,
    property: str | None = None,
    scale: float | None = None,
    shift: float | None = None,
    readout: str | None = None,
    excluded_bonds: int | None = None,
    periodic_impropers: bool = False,
) -> Report:
    """Convert the model in ``src`` to the model file ``dst``.

    Parameters
    ----------
    src
        A file written by ``torch.save``.
    dst
        The model file to write. It is written completely or not at all. May be None if ``structures`` is given.
    framework
        ``schnetpack2``, ``schnetpack0``, ``mlcg``, ``pyg``, or ``auto`` to recognise it.
    cutoff
        The cutoff radius, for files that do not carry it.
    types
        The elements or bead types to keep, such as ``"O,Zr"`` or ``"8,40"``; ``"1:ALA,2:CYS"`` also names bead types.
        By default all rows of the embedding.
    units
        Units of length and energy, such as ``"Angstrom,eV"``, for files that do not carry them.
    structures
        Write the structures in ``src`` (mlcg) to this file, as extended XYZ.
    terms
        A file with mlcg structures, whose term lists the model file is to carry.
    property
        Which output is the energy, for SchNetPack 2 models with several.
    scale, shift, readout
        For PyTorch Geometric state dictionaries: std and mean of the energy, and ``add`` or ``mean``.
    excluded_bonds
        Leave pairs of beads up to so many bonds apart out of the network's graph (mlcg).
    periodic_impropers
        Write harmonic impropers of mlcg as periodic terms.

    Raises
    ------
    ConvertError
        If the file cannot be converted; the message is one line and says why.
    """
    source = Path(src)
    target = None if dst is None else Path(dst)
    if target is None and structures is None:
        raise ConvertError("there is nothing to write: name the model file, or a file for the structures")
    for written in (target, None if structures is None else Path(structures)):
        if written is not None and any(_same(written, read) for read in (source, terms)):
            raise ConvertError(f"{written} is what is read: name another file to write")
    options = Options(
        cutoff=cutoff,
        types=types,
        units=parse_units(units),
        property=property,
        scale=scale,
        shift=shift,
        readout=readout,
        excluded_bonds=excluded_bonds,
        periodic_impropers=periodic_impropers,
    )
    _check_options(options)
    with TorchArchive(source) as archive:
        payload = tensors.load(archive)
    if framework != "auto" and framework not in frameworks.FRAMEWORKS:
        raise ConvertError(f"framework {framework!r} is not one of {', '.join(frameworks.FRAMEWORKS)}")
    with _one_line_errors(source):
        name = frameworks.recognise(payload) if framework == "auto" else framework
        own = structures_of(payload)
    if target is not None and name == "mlcg" and mlcg.holds_structures_only(payload):
        raise ConvertError(
            f"{source} holds {len(own)} structures and no model: write them with --structures OUT.xyz, "
            f"or give their term lists to a model with --terms {source.name}"
        )
    if structures is not None:
        if not own:
            raise ConvertError(f"{source} holds no structures")
        write_xyz(own, Path(structures))
    if target is None:
        return Report(name, None)
    if terms is not None:
        if name != "mlcg":
            raise ConvertError("--terms is for mlcg models")
        with TorchArchive(Path(terms)) as archive:
            lists = structures_of(tensors.load(archive))
        if not lists:
            raise ConvertError(f"{terms} holds no structures")
    else:
        lists = None
    with _one_line_errors(source):
        model = mlcg.convert(payload, options, lists) if name == "mlcg" else _CONVERTERS[name](payload, options)
    provenance = {
        "framework": model.framework,
        "source": source.name,
        "sha256": writer.sha256(source),
        "converter": _CONVERTER,
    }
    if model.notes:
        provenance["note"] = "; ".join(model.notes)
    report = Report(name, None, model.notes)

    def check(path: Path) -> None:
        report.checked = _check_with_library(path, target)

    report.description = writer.write(model, provenance, target, check)
    return report


@contextmanager
def _one_line_errors(source: Path) -> Iterator[None]:
    """Turn what a file of the wrong build sets off deep inside into one line; the messages name the file."""
    try:
        yield
    except ConvertError as error:
        text = str(error)
        raise ConvertError(text if text.startswith(("--", str(source))) else f"{source}: {text}") from error
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        raise ConvertError(f"{source} is not built as its framework builds models ({type(error).__name__})") from error


def _same(path: Path, other: str | Path | None) -> bool:
    return other is not None and path.resolve() == Path(other).resolve()


def _check_options(options: Options) -> None:
    for name in ("cutoff", "scale", "shift"):
        value = getattr(options, name)
        if value is not None and not (abs(value) < float("inf")):
            raise ConvertError(f"--{name} must be a finite number")
    if options.cutoff is not None and options.cutoff <= 0:
        raise ConvertError("--cutoff must be positive")
    if options.excluded_bonds is not None and options.excluded_bonds < 0:
        raise ConvertError("--excluded-bonds must not be negative")


def _check_with_library(path: Path, target: Path) -> bool:
    """Let the library open the file, where there is a library; its rules are the ones that count."""
    try:
        from flashschnet import Model
    except (ImportError, OSError):
        return False
    try:
        Model(str(path))
    except Exception as error:  # Whatever the library says, the file must not be left behind.
        text = str(error).replace(str(path), str(target))
        raise ConvertError(f"the converted file does not load: {text}") from error
    return True
