"""What the tests of linking share: one install tree, moved from where it was made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from tree import COMPILED, ROOT, Prefix, need, readme, run


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefix]:
    """Everything installed, and then moved: nothing may remember where it was."""
    need("cmake", "ninja", "cargo", "cc")
    work = tmp_path_factory.mktemp("install")
    for command in readme("install").splitlines():
        places = {"build": work / "build", "~/flashschnet": work / "first"}
        run(*(places.get(word, word) for word in command.split()), folder=ROOT, CMAKE_GENERATOR="Ninja", **COMPILED)
    moved = work / "elsewhere"
    (work / "first").rename(moved)
    yield Prefix(moved, work / "build")
    shutil.rmtree(work)
