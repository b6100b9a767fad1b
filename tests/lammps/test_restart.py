"""Restart files keep the model and the choices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from host import Host, evaluate
from systems import BOXES, SPECIES, pair, setup


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_a_restart_goes_on(host: Host, nacl: Path, before: int, after: int) -> None:
    atoms = BOXES["triclinic"]
    script = setup(host.data(atoms, SPECIES), atoms) + pair(nacl, "precision double filters exact threads 1")
    first = host.run(script + evaluate("before") + "write_restart saved", before).evaluation("before")
    output = host.run("read_restart saved\n" + evaluate("after"), after)
    second = output.evaluation("after")
    assert "double precision, exact filters" in output.text
    assert second.energy == pytest.approx(first.energy, rel=1e-12)
    np.testing.assert_allclose(second.forces, first.forces, rtol=0, atol=1e-12 * np.abs(first.forces).max())


def test_a_model_that_is_gone_is_named(host: Host, nacl: Path) -> None:
    atoms = BOXES["cubic"]
    model = host.folder / "moved.safetensors"
    model.write_bytes(nacl.read_bytes())
    host.run(setup(host.data(atoms, SPECIES), atoms) + pair(model) + "run 0\nwrite_restart saved")
    model.unlink()
    assert "moved.safetensors" in host.run("read_restart saved", 2, fails=True).text


def test_a_hybrid_restart_keeps_the_choices(host: Host, nacl: Path) -> None:
    """LAMMPS' hybrid styles want their coefficients again."""
    atoms = BOXES["cubic"]
    coefficients = f"pair_coeff * * flashschnet {nacl} Na Cl\npair_coeff * * lj/cut 0.1 2.0\n"
    script = setup(host.data(atoms, SPECIES), atoms)
    script += "pair_style hybrid/overlay flashschnet precision double lj/cut 5.0\n" + coefficients
    first = host.run(script + evaluate("before") + "write_restart saved").evaluation("before")
    output = host.run("read_restart saved\n" + coefficients + evaluate("after"))
    assert "double precision" in output.text
    assert output.evaluation("after").energy == pytest.approx(first.energy, rel=1e-12)
