"""What tests share: small models, where the reference data are, and which precisions the library offers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import modelfile
import pytest

import flashschnet

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Precision:
    """A choice of arithmetic and filters, and how far its numbers may be off, relative to the largest."""

    name: str
    filters: str
    energy: float
    forces: float
    #: Of all forces together: ‖ΔF‖ / ‖F‖.
    norm: float

    @property
    def choices(self) -> dict[str, str]:
        """As arguments of a potential or calculator."""
        return {"precision": self.name, "filters": self.filters}


# With tables: what the interpolation leaves. Single: rounding of float32 through the blocks. Half: of 16 bits.
PRECISIONS = [
    Precision("double", "exact", 1e-11, 1e-11, 1e-11),
    Precision("double", "table", 1e-8, 1e-8, 1e-8),
    Precision("single", "exact", 3e-6, 5e-6, 2e-6),
    Precision("single", "auto", 3e-6, 5e-6, 4e-6),
    Precision("half", "auto", 5e-4, 1e-3, 5e-4),
]


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return modelfile.write_random(tmp_path_factory.mktemp("model") / "random.safetensors")


@pytest.fixture(scope="session")
def model(model_file: Path) -> flashschnet.Model:
    return flashschnet.Model(model_file)


@pytest.fixture
def potential(model: flashschnet.Model) -> flashschnet.Potential:
    return flashschnet.Potential(model, precision="double")


@pytest.fixture(params=PRECISIONS, ids=lambda choice: f"{choice.name}-{choice.filters}")
def precision(request: pytest.FixtureRequest, model: flashschnet.Model) -> Precision:
    """Each precision, skipped with the library's own words if this build does not offer it."""
    try:
        flashschnet.Potential(model, **request.param.choices)
    except flashschnet.Unsupported as error:
        pytest.skip(f"this build: {error}")
    return request.param


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data, which is not part of the project."""
    folder = ROOT.parent / "shared"
    if not (folder / "reference").is_dir():
        pytest.skip(f"there are no reference data at {folder}")
    return folder


def pytest_report_header() -> str:
    """Say what is tested."""
    from flashschnet import _library

    return f"flashschnet {flashschnet.__version__}: {_library._path()}"
