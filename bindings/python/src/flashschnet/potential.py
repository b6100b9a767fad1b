"""A model that computes."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _resident, _structures
from ._arrays import floats, integers, invalid, pointer
from ._library import check, ffi, lib, string, struct, text
from .model import Model
from .results import Outputs, Results

__all__ = ["Exchange", "Gpu", "Potential"]

#: A function that moves rows between atoms and their ghosts, in place: an array (atoms, width), float32 or float64.
Exchange = Callable[[NDArray[Any]], None]


@dataclass(frozen=True)
class Gpu:
    """A GPU, and what the kernels of a potential take of it."""

    name: str
    #: Bytes of its memory.
    memory: int
    compute_capability: float
    #: For each kernel its registers and memory, in words.
    kernels: Mapping[str, str]


class Potential:
    """A model on a device, with its workspace.

    May be used from any thread: threads that use the same potential wait for each other, two potentials work side by
    side. The interpreter's lock is released while the library computes.

    Parameters
    ----------
    model
        A model, or the path of a model file.
    device
        ``"cpu"``, ``"cuda"``, or ``"auto"``: the fastest device that is there.
    precision
        ``"single"``, ``"double"`` or ``"half"``.
    filters
        ``"exact"``: the filter network at every pair; ``"table"``: a table of the filters and their derivatives;
        ``"auto"``: what is fastest within the engine's error bound.
    threads
        By default ``OMP_NUM_THREADS``, else as many as the machine offers.
    skin
        Extra radius of the potential's own neighbour lists, in the model's unit of length, so that a list serves until
        an atom has moved half of it. By default 1 Å; 0: a new list in every call.
    priors
        ``"on"``: the priors of a coarse-grained model are part of every energy and force; ``"off"``: the network alone.

    Raises
    ------
    InvalidArgument
        A choice that makes no sense; the text lists what is accepted.
    Unsupported
        A choice that this build or machine does not offer.
    FileError, ModelError
        As for :class:`Model`.
    """

    def __init__(
        self,
        model: Model | str | os.PathLike[str],
        device: str = "auto",
        precision: str = "single",
        filters: str = "auto",
        threads: int | None = None,
        skin: float | None = None,
        priors: str = "on",
    ) -> None:
        self.model = model if isinstance(model, Model) else Model(model)
        self._choices = (device, precision, filters, threads, skin, priors)
        self._added: list[tuple[list[int], dict[str, NDArray[np.int32]], str]] = []
        options = struct("fsn_options")
        keys = ("device", "precision", "filters", "threads", "skin", "priors")
        for key, value in zip(keys, self._choices, strict=True):
            if value is not None:
                check(lib.fsn_options_set(options, key.encode(), string(value, key)))
        place = ffi.new("fsn_potential **")
        check(lib.fsn_potential_new(self.model._handle, options, place))
        # Freed when the last user is done with it: a call that is under way in another thread holds on to it.
        self._handle = ffi.gc(place[0], lib.fsn_potential_free)
        self._domain = (0, 0, 0)
        self._domain_lock = threading.Lock()
        for note in self.notes:
            # That there is no GPU is no news on most machines.
            if note.startswith("filters"):
                warnings.warn(f"{self.model.name}: {note}", stacklevel=2)

    @property
    def device(self) -> str:
        """The device in use."""
        return text(self._info().device)

    @property
    def gpu(self) -> Gpu | None:
        """The GPU in use, if it is one."""
        info = self._info()
        name = text(info.gpu) if info.gpu else ""
        if not name:
            return None
        kernels = dict(line.split(": ", 1) for line in text(info.kernels).splitlines())
        return Gpu(name, int(info.gpu_memory), info.compute_capability / 10, kernels)

    @property
    def precision(self) -> str:
        """The precision in use."""
        return text(self._info().precision)

    @property
    def filters(self) -> str:
        """How filters are evaluated: ``"exact"`` or ``"table"``."""
        return text(self._info().filters)

    @property
    def table_intervals(self) -> int:
        """Intervals of the tables; 0 where filters are exact."""
        return int(self._info().table_intervals)

    @property
    def table_bound(self) -> float:
        """Error of the tables, as measured when they were made; 0 where filters are exact.

        The largest of a filter or its slope, in the 2-norm over channels, relative to the root mean square over
        distances nearby.
        """
        return float(self._info().table_bound)

    @property
    def notes(self) -> list[str]:
        """What ``"auto"`` decided against and why: that there is no GPU, that tables would not be accurate enough.

        The latter is also a warning when the potential is made.
        """
        return text(self._info().notes).splitlines()

    @property
    def threads(self) -> int:
        """Threads in use."""
        return int(self._info().threads)

    @property
    def skin(self) -> float:
        """Skin of the potential's own neighbour lists, in the model's unit of length."""
        return float(self._info().skin)

    @property
    def list_builds(self) -> int:
        """How often its own neighbour list was built so far."""
        return int(self._info().list_builds)

    def compute(
        self,
        positions: ArrayLike,
        types: ArrayLike,
        cell: ArrayLike | None = None,
        pbc: ArrayLike | None = None,
        *,
        excluded: ArrayLike | None = None,
        topology: int | None = None,
        forces: bool = True,
        virial: bool = False,
        virials: bool = False,
    ) -> Results:
        """Compute one structure.

        Energy and energies of the atoms are always there. The neighbour list is kept from call to call and made anew
        when an atom has moved more than half the skin, or atoms, cell or periodicity have changed.

        Parameters
        ----------
        positions
            (atoms, 3), in the model's unit of length; they need not lie in the cell. Not copied if float64 in C order.
        types
            (atoms,), the model's own integers: atomic numbers or bead types. Not copied if int32.
        cell
            (3, 3), lattice vectors as rows.
        pbc
            Whether the directions are periodic, one value or three; by default they are if there is a cell.
        excluded
            (pairs, 2), pairs of atoms that are left out of the graph, with all their periodic images.
        topology
            For models with priors, which molecule this is: the number of a structure of the model's file or of
            :meth:`add_topology`. By default the one with these types. In a periodic structure priors join nearest
            images.
        forces, virial, virials
            What else to compute; ``virials`` are those of each atom.

        Raises
        ------
        InvalidArgument
            A shape that does not fit, a position that is not finite, an unknown type, two atoms at one point, a
            periodic cell without volume, …; the text names the atom.
        TypeError
            Arrays that are not numbers, types that are not integers.
        NumericalError
            An energy or force is not finite.
        """
        structures = _structures.single(positions, types, cell, pbc, excluded, topology)
        return self._compute(structures, forces, virial, virials)[0]

    def enqueue(
        self,
        positions: Any,
        types: Any,
        cells: Any = None,
        pbc: Any = None,
        *,
        offsets: Any = None,
        excluded: Any = None,
        topologies: Any = None,
        energies: Any = None,
        atom_energies: Any = None,
        forces: Any = None,
        virials: Any = None,
        atom_virials: Any = None,
        term_energies: Any = None,
        stream: Any = None,
    ) -> None:
        """Put the computation of structures whose arrays are on the GPU on a stream of CUDA, and return at once.

        Arrays are those of torch (on its CUDA device), CuPy or whatever else has ``__cuda_array_interface__``, in C
        order. Nothing is copied to the host. Results are written to the arrays given for them, when the stream gets
        there. The call waits only where memory has to grow: in the first call of each size. One that does not wait can
        be recorded in a CUDA graph. What goes wrong on the GPU leaves NaN in all results, and is reported by
        :meth:`check`.

        Parameters
        ----------
        positions
            (atoms, 3) float64, in the model's unit of length, of all structures one after the other.
        types
            (atoms,) int32
        cells
            (structures, 3, 3) float64, lattice vectors as rows.
        pbc
            (structures, 3) bool; by default all directions are periodic if there are cells.
        offsets
            (structures + 1,) int64: where each structure begins, and the end of the last; not needed for one.
        excluded
            (pairs, 2) int32, counted over the whole batch.
        topologies
            (structures,) int32: which term lists each structure has, −1 for those that fit its types.
        energies, atom_energies, forces, virials, atom_virials, term_energies
            Where results go: float64 of shape (structures,), (atoms,), (atoms, 3), (structures, 3, 3), (atoms, 3, 3),
            (structures, 1 + priors).
        stream
            A stream of torch or CuPy, or the number of one; by default CUDA's default stream. Arrays must stay until it
            is done with them.

        Raises
        ------
        InvalidArgument
            A shape that does not fit, an array that is not on the potential's GPU.
        TypeError
            What is no array on a GPU, or of another type.
        Unsupported
            The potential is not on a GPU, or a stream records what was not computed before.
        """
        given = _resident.structures(positions, types, cells, pbc, offsets, excluded, topologies)
        wanted = _resident.results(
            given.atoms,
            given.structures,
            1 + self._info().priors,
            energies=energies,
            atom_energies=atom_energies,
            forces=forces,
            virials=virials,
            atom_virials=atom_virials,
            term_energies=term_energies,
        )
        check(lib.fsn_potential_enqueue(self._handle, given, wanted, _resident.handle(stream)))

    def check(self, stream: Any = None) -> None:
        """Wait for a stream, and raise the first error in what was enqueued since the last check.

        Raises
        ------
        InvalidArgument, NumericalError
            As :meth:`compute`; all results since are NaN.
        Again
            The neighbour list had outgrown its memory, of which there will be more: enqueue, and record, the steps
            since the last check again.
        """
        check(lib.fsn_potential_check(self._handle, _resident.handle(stream)))

    def compute_batch(
        self,
        positions: Sequence[ArrayLike],
        types: Sequence[ArrayLike] | ArrayLike,
        cells: Sequence[ArrayLike | None] | ArrayLike | None = None,
        pbc: Sequence[ArrayLike] | ArrayLike | None = None,
        *,
        excluded: Sequence[ArrayLike] | ArrayLike | None = None,
        topologies: ArrayLike | None = None,
        forces: bool = True,
        virial: bool = False,
        virials: bool = False,
    ) -> list[Results]:
        """Compute independent structures in one call; as :meth:`compute`, with one entry a structure everywhere.

        What is the same for all structures may be given once: ``types`` (atoms,), ``cells`` (3, 3), ``pbc`` one value
        or three, ``excluded`` (pairs, 2).

        Parameters
        ----------
        positions
            A sequence of arrays (atoms, 3), or one array (structures, atoms, 3).
        types
            A sequence of arrays (atoms,).
        cells
            A sequence of arrays (3, 3), or None for a structure without a cell.
        pbc
            A sequence of one value or three each; by default the structures with a cell are periodic.
        excluded
            A sequence of arrays (pairs, 2), counted from 0 in each structure.
        topologies
            (structures,), as ``topology`` of :meth:`compute`, or one number for all; −1 finds it by the types.

        Returns
        -------
        list of Results
            One for each structure, with views of arrays of the whole batch.
        """
        structures = _structures.batch(positions, types, cells, pbc, excluded, topologies)
        return self._compute(structures, forces, virial, virials)

    def add_topology(self, types: ArrayLike, terms: Mapping[str, ArrayLike], name: str = "") -> int:
        """Add a molecule that the model's file does not have to those its priors can be evaluated for.

        Structures with the same types find it by themselves, unless another topology of these types has other terms.

        Parameters
        ----------
        types
            (atoms,), the model's own integers.
        terms
            For every prior of the model, (terms, atoms of a term): which atoms each term joins, counted from 0.
            Parameters are found by their types, in this order.
        name
            What the molecule is called in error texts.

        Returns
        -------
        int
            Its number, for ``topology`` of :meth:`compute`.

        Raises
        ------
        InvalidArgument
            The text names the prior, term, atom or type.
        Unsupported
            A model without priors, or priors that are off.
        """
        kinds = integers(types, "types", "atoms")
        lists = {}
        for prior, value in terms.items():
            array = np.asarray(value)
            lists[prior] = integers(
                array.reshape(0, 1) if array.size == 0 else array, f"terms[{prior!r}]", "terms", "atoms"
            )
        request = struct("fsn_topology")
        request.atoms, request.lists = len(kinds), len(lists)
        names = [ffi.new("char[]", string(prior, "prior")) for prior in lists]
        arrays = [pointer(array) for array in lists.values()]
        memory = [
            ffi.new("char[]", string(name, "name")),
            pointer(kinds),
            ffi.new("char *[]", names),
            ffi.new("size_t[]", [len(array) for array in lists.values()]),
            ffi.new("int32_t *[]", arrays),
        ]
        request.name, request.types, request.priors, request.counts, request.terms = memory
        for prior, array in lists.items():
            self._check_width(prior, array)
        number = ffi.new("int32_t *")
        check(lib.fsn_potential_add_topology(self._handle, request, number))
        self._added.append((kinds.tolist(), lists, name))
        return int(number[0])

    def _check_width(self, prior: str, terms: NDArray[np.int32]) -> None:
        for number, known in enumerate(self.model.priors):
            entry = struct("fsn_prior")
            check(lib.fsn_model_get_prior(self.model._handle, number, entry))
            if known == prior and len(terms) and terms.shape[1] != entry.atoms:
                raise invalid(f"terms[{prior!r}] must have shape (terms, {entry.atoms}), not {terms.shape}")

    def set_neighbors(
        self,
        offsets: ArrayLike,
        neighbors: ArrayLike,
        *,
        atoms: int | None = None,
        owners: ArrayLike | None = None,
        base: int = 0,
    ) -> None:
        """Take over a neighbour list for :meth:`compute_domain`; a copy is made.

        Parameters
        ----------
        offsets
            (owned + 1,): neighbours of owned atom i are ``neighbors[offsets[i]:offsets[i + 1]]``.
        neighbors
            Indices of owned or ghost atoms, counted from ``base``: for every owned atom all its neighbours within the
            cutoff or more, each pair in both rows, periodic images as ghost atoms.
        atoms
            Number of owned and ghost atoms; by default that of ``owners``, or no ghosts.
        owners
            (atoms,): which atom each one is a copy of: itself for owned ones, an owned one, or for ghosts of an atom
            that is elsewhere one of them, which is its own owner. None: no ghost is a copy of another atom here.
        base
            What atoms are counted from: 0 or 1.

        Raises
        ------
        InvalidArgument
            The text names the entry at fault; the list set before is kept.
        """
        bounds = integers(offsets, "offsets", "owned + 1")
        entries = integers(neighbors, "neighbors", "pairs")
        copies = None if owners is None else integers(owners, "owners", "atoms")
        if len(bounds) == 0 or bounds[0] != 0 or bounds[-1] != len(entries) or (np.diff(bounds) < 0).any():
            raise invalid(f"offsets must rise from 0 to the number of neighbors, {len(entries)}")
        owned = len(bounds) - 1
        if atoms is None:
            atoms = owned if copies is None else len(copies)
        if atoms < owned:
            raise invalid(f"{owned} owned atoms of {atoms} in all")
        if copies is not None and len(copies) != atoms:
            raise invalid(f"{len(copies)} owners for {atoms} atoms")
        exchanged = atoms
        if copies is not None:
            exchanged = owned + int((copies[owned:] == np.arange(owned, atoms) + base).sum())
        rows = bounds.astype(np.uintp)
        request = struct("fsn_neighbors")
        request.owned, request.atoms, request.base = owned, atoms, base
        memory = [pointer(array) for array in (rows, entries, copies)]
        request.offsets, request.neighbors, request.owners = memory
        with self._domain_lock:
            check(lib.fsn_potential_set_neighbors(self._handle, request))
            self._domain = (owned, atoms, exchanged)

    def compute_domain(
        self,
        positions: ArrayLike,
        types: ArrayLike,
        *,
        forward: Exchange | None = None,
        forces: bool = True,
        virial: bool = False,
        virials: bool = False,
    ) -> Results:
        """Compute owned atoms and their ghosts with the list of :meth:`set_neighbors`.

        Parameters
        ----------
        positions, types
            (atoms, 3) and (atoms,), owned atoms first, then ghosts.
        forward
            A function that gets an array (rows, width), of owned atoms and then of each ghost that is its own owner, or
            of each ghost without ``owners``, and fills the rows of ghosts in place from those of the atoms that they
            are copies of. Not needed if all ghosts are copies of owned atoms. The array is not valid after the call.
            The function must not use this potential.
        forces, virial, virials
            As in :meth:`compute`; ghosts have none. Only with neither ``owners`` nor ``forward``, as networks of one
            block may be computed, ghosts have some, to be added to their owners'.

        Returns
        -------
        Results
            ``energy`` is the sum over owned atoms, ``energies`` are theirs; forces and virials are of all atoms.

        Raises
        ------
        InvalidArgument, NumericalError
            As in :meth:`compute`.
        Exception
            What ``forward`` raised.
        """
        where = floats(positions, "positions", "atoms", 3)
        what = integers(types, "types", "atoms")
        if len(what) != len(where):
            raise invalid(f"{len(what)} types for {len(where)} positions")
        raised: list[BaseException] = []

        def exchange(_context: Any, rows: Any, width: int, element_size: int) -> int:
            assert forward is not None
            try:
                memory = ffi.buffer(rows, exchanged * width * element_size)
                forward(np.frombuffer(memory, f"f{element_size}").reshape(exchanged, width))
            except BaseException as error:
                raised.append(error)
                return 1
            return 0

        request = struct("fsn_domain")
        request.atoms = len(where)
        callback = ffi.NULL if forward is None else ffi.callback("fsn_exchange", exchange)
        memory = [pointer(where), pointer(what), callback]
        request.positions, request.types, request.forward = memory
        with self._domain_lock:
            owned, atoms, exchanged = self._domain
            outputs = Outputs(1, owned, atoms, forces, virial, virials)
            status = lib.fsn_potential_compute_domain(self._handle, request, outputs.struct)
            if raised:
                raise raised[0]
            check(status)
        return outputs.of(0, slice(None))

    def close(self) -> None:
        """Free what the potential holds; it cannot be used afterwards. Calls in other threads finish first."""
        self._handle = ffi.NULL

    def _compute(self, structures: _structures.Structures, forces: bool, virial: bool, virials: bool) -> list[Results]:
        terms = ("network", *(self.model.priors if self._info().priors else ()))
        outputs = Outputs(len(structures), structures.atoms, structures.atoms, forces, virial, virials, terms)
        check(lib.fsn_potential_compute(self._handle, structures.struct, outputs.struct))
        return [outputs.of(s, atoms) for s, atoms in enumerate(structures.slices())]

    def _info(self) -> Any:
        info = struct("fsn_potential_info")
        check(lib.fsn_potential_get_info(self._handle, info))
        return info

    def __enter__(self) -> Potential:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._handle == ffi.NULL:
            return f"<flashschnet.Potential {self.model.name!r}, closed>"
        info = self._info()
        return (
            f"<flashschnet.Potential {self.model.name!r}: {text(info.device)}, {text(info.precision)}, "
            f"{text(info.filters)} filters, {info.threads} threads>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy has its own workspace, so that both can compute at once.
        return _copy, (self.model, self._choices, self._added)


def _copy(model: Model, choices: tuple[Any, ...], added: list[tuple[list[int], dict[str, Any], str]]) -> Potential:
    """A potential with the same topologies."""
    potential = Potential(model, *choices)
    for topology in added:
        potential.add_topology(*topology)
    return potential
