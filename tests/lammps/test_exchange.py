"""How much is sent between processes, counted where it is sent: in MPI itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from host import Host, evaluate
from modelfile import write_random
from systems import BOXES, SPECIES, crystal, pair, setup

# Stands before MPI: LAMMPS moves what ghosts need with MPI_Send, the style rows with MPI_Isend.
COUNTER = """
#include <mpi.h>
#include <stdio.h>
static long long bytes, messages;
static void note(int count, MPI_Datatype type)
{
    int size;
    PMPI_Type_size(type, &size);
    bytes += (long long)count * size;
    messages++;
}
int MPI_Send(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm)
{
    note(count, type);
    return PMPI_Send(data, count, type, to, tag, comm);
}
int MPI_Isend(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request)
{
    note(count, type);
    return PMPI_Isend(data, count, type, to, tag, comm, request);
}
int MPI_Finalize(void)
{
    long long mine[2] = {bytes, messages}, all[2];
    int rank;
    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    PMPI_Reduce(mine, all, 2, MPI_LONG_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank == 0) printf("\\nRESULT sent %lld %lld\\n", all[0], all[1]);
    fflush(stdout);
    return PMPI_Finalize();
}
"""


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("counter")
    (folder / "counter.c").write_text(COUNTER)
    compiler = Path(sys.executable).parent / "mpicc"
    command = [compiler, "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "counter.c", "-o", "counter.so"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "counter.so"


def needed(atoms: Atoms, reach: float, middle: float) -> int:
    """How many atoms either half of a crystal has in reach of the other, each once however many images are near."""
    i, j = neighbor_list("ij", atoms, reach)
    left = atoms.positions[:, 0] < middle
    return sum(len(np.unique(j[(left[i] == side) & (left[j] != side)])) for side in (True, False))


@pytest.mark.parametrize(("precision", "size"), [("single", 4), ("double", 8)])
@pytest.mark.parametrize("periodic", [False, True])
def test_bytes_of_a_step(host: Host, counter: Path, periodic: bool, precision: str, size: int) -> None:
    """Two processes. A block more sends a row of features and one of gradients for each atom of the other process in
    reach, once: images of own atoms cost nothing, and two of the other's no more than one. The first block's features
    are embeddings, which are known by type, and nothing is sent for forces.
    """
    atoms = crystal((4, 1, 1) if periodic else (4, 2, 2))
    if not periodic:
        atoms.center(vacuum=1.0)
    atoms.pbc = periodic
    # Away from the plane between the two.
    atoms.positions[:, 0] += 0.3
    atoms.wrap()
    reach, middle = 4.0 + 2.0, atoms.cell.lengths()[0] / 2
    data = host.data(atoms, SPECIES)
    wanted = needed(atoms, reach, middle)
    atoms.numbers = [{11: 8, 17: 1}[number] for number in atoms.numbers]
    channels = 10
    sent, messages = {}, {}
    for blocks in (1, 2, 4):
        model = write_random(host.folder / f"{blocks}.safetensors", blocks=blocks)
        script = setup(data, atoms, newton="off", more="processors 2 1 1") + pair(
            model, f"precision {precision}", ["O", "H"]
        )
        output = host.run(script + evaluate("case"), 2, environment={"LD_PRELOAD": str(counter)})
        sent[blocks], messages[blocks] = output.values["sent"]
        shown, others = output.evaluation("case").extras[:2]
        assert others == wanted
        assert shown == others * channels * (2 * blocks - 1) * size
    for blocks in (2, 4):
        assert sent[blocks] - sent[1] == wanted * channels * (blocks - 1) * 2 * size
        assert messages[blocks] - messages[1] == 2 * 2 * (blocks - 1)
    assert wanted > 20


def test_one_process_sends_nothing(host: Host, counter: Path, nacl: Path) -> None:
    atoms = BOXES["small"]
    script = setup(host.data(atoms, SPECIES), atoms) + pair(nacl) + "run 3\n"
    assert host.run(script, 1, environment={"LD_PRELOAD": str(counter)}).values["sent"][0] == 0


def test_ghosts_are_one_cutoff_far(host: Host, nacl: Path) -> None:
    """Three blocks feel three cutoffs far; ghosts reach one, and the skin."""
    atoms = crystal((4, 3, 3))
    script = setup(host.data(atoms, SPECIES), atoms) + pair(nacl) + "run 0\n"
    assert "ghost atom cutoff = 7\n" in host.run(script, 2).text
