"""Builds the core with cargo, so that the wheel carries it and its header."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARGO = "https://rustup.rs"


class CoreBuildHook(BuildHookInterface):
    """Adds libflashschnet and flashschnet.h to the package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the core and name what goes where; ``version`` is "standard" or "editable"."""
        top = Path(self.root).parents[1]
        header = top / "include" / "flashschnet.h"
        if not header.is_file():
            raise SystemExit(
                "flashschnet: the Rust core is not beside this package. Build it in a checkout of the whole "
                "repository: pip install ./bindings/python"
            )
        library = build_core(top)
        files = {str(library): library.name, str(header): header.name}
        if version == "editable":
            # An editable package is the source tree: what it needs at run time has to be there.
            place = Path(self.root) / "src" / "flashschnet" / "_lib"
            place.mkdir(exist_ok=True)
            for source, name in files.items():
                shutil.copyfile(source, place / name)
        else:
            build_data["force_include"].update({source: f"flashschnet/_lib/{name}" for source, name in files.items()})
        build_data["pure_python"] = False
        # The library is loaded at run time and knows nothing of Python: one wheel for all versions of it.
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def build_core(top: Path) -> Path:
    """Build the shared library of the Rust package in ``top`` and return its path."""
    command = ["cargo", "build", "--release", "--locked", "--lib", "--message-format=json-render-diagnostics"]
    try:
        done = subprocess.run(command, cwd=top, stdout=subprocess.PIPE, text=True, check=False)
    except FileNotFoundError:
        raise SystemExit(
            f"flashschnet: cargo was not found. The core is written in Rust: install it from {CARGO}, or with your "
            "package manager, and make sure that cargo is on the PATH."
        ) from None
    if done.returncode != 0:
        raise SystemExit(f"flashschnet: {' '.join(command)} failed with status {done.returncode}; see above")
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and "cdylib" in message["target"]["crate_types"]:
            for file in map(Path, message["filenames"]):
                if file.suffix in (".so", ".dylib", ".dll"):
                    return file
    raise SystemExit("flashschnet: cargo built no shared library")
