"""An interpreter of pickles that builds data and nothing else.

Python's own unpickler calls what the file names. This one knows the pickle opcodes, and where the file
names a class or function it puts down the name: :class:`Global`. Calling a name yields :class:`Call`,
making an object of a class yields :class:`Instance`; both are records. No module is imported, no code of
the file or of a framework runs, and names outside a short list of packages are refused altogether.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .errors import ConvertError

__all__ = ["Call", "Dict", "Global", "Instance", "Reducer", "Unpickler"]

#: Packages whose names a saved model may carry. Their code is never run.
_PACKAGES = frozenset(
    {
        "ase",
        "e3nn",
        "flashschnet",
        "lightning",
        "mlcg",
        "mlcg_tk",
        "numpy",
        "omegaconf",
        "pytorch_lightning",
        "schnetkit",
        "schnetpack",
        "torch",
        "torch_cluster",
        "torch_ema",
        "torch_geometric",
        "torch_scatter",
        "torch_sparse",
        "torchmetrics",
        "typing",
    }
)
_BUILTINS = frozenset(
    "bool bytearray bytes complex dict float frozenset int list long object range set slice str tuple type "
    "unicode".split()
)
#: Single names from packages that are otherwise refused: what frameworks' own models are seen to carry.
_NAMES = frozenset(
    {
        "_codecs.encode",
        "_operator.getitem",
        "argparse.Namespace",
        "collections.OrderedDict",
        "collections.defaultdict",
        "copyreg._reconstructor",
        "copy_reg._reconstructor",
        "functools.partial",
        "inspect._empty",
        "pathlib.Path",
        "pathlib.PosixPath",
        "pathlib.PurePosixPath",
        "pathlib.WindowsPath",
    }
    | {f"{module}.{name}" for module in ("builtins", "__builtin__") for name in _BUILTINS}
)
#: Parts of names that no model needs, wherever they hide ("torch.serialization.os.system").
_NEVER = frozenset(
    "builtins ctypes eval exec getattr importlib nt os pickle posix runpy shutil socket subprocess sys system".split()
)
_MAX_OPCODES = 20_000_000
_MAX_KEY_PARTS = 256


@dataclass(frozen=True)
class Global:
    """A name in the file: of a class or a function that is not there."""

    module: str
    name: str

    @property
    def path(self) -> str:
        """The full dotted name."""
        return f"{self.module}.{self.name}"


@dataclass(eq=False, repr=False)
class Call:
    """A call the file asked for and did not get."""

    function: Global
    arguments: tuple[Any, ...]
    state: Any = None


@dataclass(eq=False, repr=False)
class Instance:
    """An object of a class that is not there: its class's name and its state."""

    cls: Global
    arguments: tuple[Any, ...]
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)


class Dict(dict):  # type: ignore[type-arg]
    """An ordered dictionary; ``state`` is what the file attached to it."""

    state: Any = None


class _Mark:
    """The place on the stack where an opcode's arguments begin."""


_MARK = _Mark()
#: Calls to these names are carried out, by functions of this package.
Reducer = Callable[..., Any]


class Unpickler:
    """Interprets one pickle. ``reducers`` carry out the calls to the names they are listed under."""

    def __init__(
        self,
        label: str,
        reducers: dict[str, Reducer],
        persistent_load: Callable[[Any], Any] | None = None,
    ) -> None:
        self._label = label
        self._reducers: dict[str, Reducer] = {
            "collections.OrderedDict": _ordered_dict,
            "_codecs.encode": _encode,
            **reducers,
        }
        self._persistent_load = persistent_load
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def load(self, data: bytes) -> Any:
        """The object that ``data`` describes."""
        try:
            with warnings.catch_warnings():
                # Damaged texts make the reader of opcodes warn of escape sequences.
                warnings.simplefilter("ignore")
                return self._run(data)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, MemoryError) as error:
            raise self._error(f"its pickle is damaged ({error})") from error

    def _run(self, data: bytes) -> Any:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if count >= _MAX_OPCODES:
                raise self._error("its pickle is too long")
            if opcode.name == "STOP":
                return self._pop()
            step: Callable[[Any], None] | None = getattr(self, f"_op_{opcode.name.lower()}", None)
            if step is not None:
                step(argument)
            elif opcode.name in _CONSTANTS:
                self._stack.append(_CONSTANTS[opcode.name])
            elif opcode.name in _LITERALS:
                self._stack.append(argument)
            elif opcode.name not in _NOTHING:
                raise self._error(f"pickle instruction {opcode.name} has no place in a saved model")
        raise ValueError("it does not end")

    def _error(self, text: str) -> ConvertError:
        return ConvertError(f"{self._label}: {text}")

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("unexpected mark")
        return value

    def _top(self) -> Any:
        if self._stack[-1] is _MARK:
            raise ValueError("unexpected mark")
        return self._stack[-1]

    def _pop_mark(self) -> list[Any]:
        values: list[Any] = []
        while (value := self._stack.pop()) is not _MARK:
            values.append(value)
        values.reverse()
        return values

    def _name(self, module: Any, name: Any) -> Global:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name that is not text")
        parts = f"{module}.{name}".split(".")
        known = parts[0] in _PACKAGES and not _NEVER.intersection(parts)
        if not known and f"{module}.{name}" not in _NAMES:
            raise ConvertError(f"refusing to load {self._label}: it names {module}.{name}, which is not data")
        return Global(module, name)

    # Stack and memo.

    def _op_mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _op_pop(self, _: Any) -> None:
        self._stack.pop()

    def _op_pop_mark(self, _: Any) -> None:
        self._pop_mark()

    def _op_dup(self, _: Any) -> None:
        self._stack.append(self._top())

    def _op_put(self, index: int) -> None:
        self._memo[index] = self._top()

    _op_binput = _op_long_binput = _op_put

    def _op_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._top()

    def _op_get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    _op_binget = _op_long_binget = _op_get

    # Containers.

    def _op_empty_list(self, _: Any) -> None:
        self._stack.append([])

    def _op_list(self, _: Any) -> None:
        self._stack.append(self._pop_mark())

    def _op_append(self, _: Any) -> None:
        value = self._pop()
        _append(self._top(), [value])

    def _op_appends(self, _: Any) -> None:
        values = self._pop_mark()
        _append(self._top(), values)

    def _op_empty_tuple(self, _: Any) -> None:
        self._stack.append(())

    def _op_tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._pop_mark()))

    def _op_tuple1(self, _: Any) -> None:
        self._stack.append((self._pop(),))

    def _op_tuple2(self, _: Any) -> None:
        b, a = self._pop(), self._pop()
        self._stack.append((a, b))

    def _op_tuple3(self, _: Any) -> None:
        c, b, a = self._pop(), self._pop(), self._pop()
        self._stack.append((a, b, c))

    def _op_empty_dict(self, _: Any) -> None:
        self._stack.append(Dict())

    def _op_dict(self, _: Any) -> None:
        values = self._pop_mark()
        target = Dict()
        _set_items(target, values)
        self._stack.append(target)

    def _op_setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        _set_items(self._top(), [key, value])

    def _op_setitems(self, _: Any) -> None:
        values = self._pop_mark()
        _set_items(self._top(), values)

    def _op_empty_set(self, _: Any) -> None:
        self._stack.append([])

    _op_additems = _op_appends

    def _op_frozenset(self, _: Any) -> None:
        self._stack.append(self._pop_mark())

    # Names, objects and what the file attaches to them.

    def _op_global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._stack.append(self._name(module, name))

    def _op_stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self._stack.append(self._name(module, name))

    def _op_reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        self._stack.append(self._call(function, arguments))

    def _call(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise ValueError("a call of something that has no name")
        reducer = self._reducers.get(function.path)
        return Call(function, arguments) if reducer is None else reducer(*arguments)

    def _op_newobj(self, _: Any) -> None:
        arguments, cls = self._pop(), self._pop()
        self._new(cls, arguments)

    def _op_newobj_ex(self, _: Any) -> None:
        self._pop()
        arguments, cls = self._pop(), self._pop()
        self._new(cls, arguments)

    def _op_obj(self, _: Any) -> None:
        cls, *arguments = self._pop_mark()
        self._new(cls, tuple(arguments))

    def _op_inst(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._new(self._name(module, name), tuple(self._pop_mark()))

    def _new(self, cls: Any, arguments: Any) -> None:
        if not isinstance(cls, Global) or not isinstance(arguments, tuple):
            raise ValueError("an object of something that is not a class")
        self._stack.append(Instance(cls, arguments))

    def _op_build(self, _: Any) -> None:
        state = self._pop()
        target = self._top()
        if isinstance(target, (Instance, Call, Dict)):
            target.state = state
        else:
            build: Callable[[Any], None] | None = getattr(target, "build", None)
            if build is None:
                raise ValueError("state for something that has none")
            build(state)

    def _op_binpersid(self, _: Any) -> None:
        if self._persistent_load is None:
            raise ValueError("a reference to data outside the pickle")
        self._stack.append(self._persistent_load(self._pop()))


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING "
    "BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8".split()
)
_NOTHING = frozenset({"PROTO", "FRAME"})


def _append(target: Any, values: list[Any]) -> None:
    if isinstance(target, list):
        target.extend(values)
    elif isinstance(target, Instance):
        target.elements.extend(values)
    elif isinstance(target, Call):
        pass
    else:
        raise ValueError("elements for something that is not a list")


def _set_items(target: Any, values: list[Any]) -> None:
    if isinstance(target, Call):
        return
    items = target.items if isinstance(target, Instance) else target
    if not isinstance(items, dict) or len(values) % 2:
        raise ValueError("entries for something that is not a dictionary")
    for key, value in zip(values[::2], values[1::2], strict=True):
        _check_key(key)
        items[key] = value


def _check_key(key: Any) -> None:
    """Refuse keys whose hash could take forever: tuples of tuples of tuples that share their parts."""
    pending, parts = [key], 0
    while pending:
        part = pending.pop()
        parts += 1
        if parts > _MAX_KEY_PARTS:
            raise ValueError("a dictionary key of too many parts")
        if isinstance(part, tuple):
            pending.extend(part)


def _ordered_dict(pairs: Any = ()) -> Dict:
    result = Dict()
    for pair in pairs:
        key, value = pair
        _set_items(result, [key, value])
    return result


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes in an unknown encoding")
    return text.encode("latin1")
