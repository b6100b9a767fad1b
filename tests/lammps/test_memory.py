"""Memory that is lost, or read where nothing was written."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from host import Host
from modelfile import write_random
from systems import SPECIES, crystal, pair, setup


def test_a_hundred_cycles_leak_nothing(host: Host, nacl: Path) -> None:
    """Styles made and cleared, models loaded again, by `clear` and by `pair_coeff` alone. In ten rounds before that
    the allocator and MPI take what they keep.
    """
    atoms = crystal((2, 2, 2))
    data = host.data(atoms, SPECIES)
    once = setup(data, atoms) + pair(nacl, "threads 2") + f"run 2 post no\npair_coeff * * {nacl} Na Cl\nrun 1 post no\n"
    show = "shell 'grep VmRSS /proc/$PPID/status'\n"
    text = host.run(once * 10 + show + once * 50 + show + once * 50 + show, arguments=("-screen", "none")).text
    early, middle, late = (int(size) for size in re.findall(r"VmRSS:\s+(\d+) kB", text))
    # A model is 0.3 MB and its tables more: one kept from each round would be 30 MB.
    assert late - early < 2000, (early, middle, late)


def test_valgrind(host: Host) -> None:
    """A hundred steps on two processes, with lists rebuilt and atoms moving over, and the style cleared at the end.
    Newton is off, since the style then sends forces and virials, too.
    """
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed")
    atoms = crystal((2, 1, 1))
    data = host.data(atoms, SPECIES)
    model = write_random(host.folder / "model.safetensors")
    script = setup(data, atoms, newton="off") + "neighbor 1.0 bin\n" + pair(model, "", ["O", "H"])
    script += "velocity all create 300 1\nfix move all nve\nneigh_modify every 10 delay 0 check no\ntimestep 0.0005\n"
    script += "compute stress all stress/atom NULL\ncompute sum all reduce sum c_stress[1]\n"
    script += "thermo 20\nthermo_style custom step etotal c_sum\nrun 100\nclear\n"
    log = host.folder / "valgrind.%p"
    prefix = ("valgrind", "--leak-check=full", "--num-callers=50", f"--log-file={log}")
    host.run(script, 2, prefix=prefix)
    reports = [path.read_text(errors="replace") for path in host.folder.glob("valgrind.*")]
    assert len(reports) == 2
    for report in reports:
        assert "ERROR SUMMARY" in report
        # The loader, MPI and LAMMPS have complaints of their own; ours have this library in their stack.
        blocks = re.split(r"^==\d+== ?$", report, flags=re.MULTILINE)
        ours = [block for block in blocks if re.search("flashschnet", block, re.IGNORECASE) and " at 0x" in block]
        kept = [block for block in ours if "still reachable" not in block and "possibly lost" not in block]
        assert not kept, "".join(kept)
