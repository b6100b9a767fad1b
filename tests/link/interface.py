"""The binary interface that a C header describes: sizes, offsets, numbers and functions, as its compiler has them."""

from __future__ import annotations

import re
from pathlib import Path

from cffi import FFI
from flashschnet._library import _declarations
from tree import run


def interface(header: Path, folder: Path) -> list[str]:
    """One line for each struct, field, constant and function."""
    text = header.read_text(encoding="utf-8")
    ffi = FFI()
    ffi.cdef(_declarations(text))
    typedefs, structs, _ = ffi.list_types()
    lines = []
    for name in sorted({*typedefs, *structs}):
        kind = ffi.typeof(name)
        if kind.kind != "struct" or not kind.fields:
            continue
        lines.append(f'printf("struct {name} %zu\\n", sizeof({name}));')
        for field, _ in kind.fields:
            place = f"offsetof({name}, {field}), sizeof((({name} *)0)->{field})"
            lines.append(f'printf("field {name}.{field} %zu %zu\\n", {place});')
    constants = re.findall(r"^#define (FSN_\w+) \d+$", text, re.MULTILINE)
    constants += [
        name for entry in typedefs if ffi.typeof(entry).kind == "enum" for name in ffi.typeof(entry).relements
    ]
    lines += [f'printf("constant {name} %d\\n", (int){name});' for name in sorted(constants)]
    source = folder / "interface.c"
    body = "\n".join(lines)
    source.write_text(f"#include <flashschnet.h>\n#include <stdio.h>\nint main(void) {{\n{body}\nreturn 0;\n}}\n")
    run("cc", f"-I{header.parent}", source, "-o", folder / "interface")
    # Declarations without comments, each on a line of its own.
    plain = re.sub(r"//[^\n]*", "", text)
    functions = re.findall(r"^[\w ]+ \*?fsn_\w+\([^;]*\);", plain, re.MULTILINE)
    return [
        *run(folder / "interface").splitlines(),
        *sorted(f"function {' '.join(function.split())}" for function in functions),
    ]
