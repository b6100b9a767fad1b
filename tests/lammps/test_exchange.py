"""How much is sent between processes, counted where it is sent: in MPI itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from host import Host, evaluate
from modelfile import write_random
from systems import BOXES, SPECIES, crystal, pair, setup

# Stands between LAMMPS and MPI_Send, which LAMMPS moves the numbers of ghosts with.
COUNTER = """
#include <mpi.h>
#include <stdio.h>
static long long bytes, messages;
int MPI_Send(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm)
{
    int size;
    PMPI_Type_size(type, &size);
    bytes += (long long)count * size;
    messages++;
    return PMPI_Send(data, count, type, to, tag, comm);
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


@pytest.mark.parametrize(("precision", "size"), [("single", 4), ("double", 8)])
def test_bytes_of_a_step(host: Host, counter: Path, precision: str, size: int) -> None:
    """Two processes, periodic in no direction, so that every ghost is another process's. A block more costs ghosts ×
    channels numbers each way; the first block's are embeddings, which are known by type.
    """
    atoms = crystal((4, 2, 2))
    atoms.center(vacuum=1.0)
    atoms.pbc = False
    data = host.data(atoms, SPECIES)
    atoms.numbers = [{11: 8, 17: 1}[number] for number in atoms.numbers]
    sent, messages, ghosts = {}, {}, 0
    for blocks in (1, 2, 4):
        model = write_random(host.folder / f"{blocks}.safetensors", blocks=blocks)
        script = setup(data, atoms, more="processors 2 1 1") + pair(model, f"precision {precision}", ["O", "H"])
        output = host.run(script + evaluate("case"), 2, environment={"LD_PRELOAD": str(counter)})
        sent[blocks], messages[blocks] = output.values["sent"]
        shown, ghosts = output.evaluation("case").extras[:2]
        channels = 10
        assert shown == ghosts * channels * (blocks - 1) * 2 * size
    # A message is a whole number of LAMMPS' doubles, so of floats there may be one more in each of two.
    slack = 2 * 2 * 3 * 4
    for blocks in (2, 4):
        extra = sent[blocks] - sent[1]
        assert 0 <= extra - ghosts * channels * (blocks - 1) * 2 * size <= (slack if size == 4 else 0)
        assert messages[blocks] - messages[1] == 2 * 2 * (blocks - 1)
    assert ghosts > 50


def test_one_process_sends_nothing(host: Host, counter: Path, nacl: Path) -> None:
    atoms = BOXES["small"]
    script = setup(host.data(atoms, SPECIES), atoms) + pair(nacl) + "run 3\n"
    assert host.run(script, 1, environment={"LD_PRELOAD": str(counter)}).values["sent"][0] == 0


def test_ghosts_are_one_cutoff_far(host: Host, nacl: Path) -> None:
    """Three blocks feel three cutoffs far; ghosts reach one, and the skin."""
    atoms = crystal((4, 3, 3))
    script = setup(host.data(atoms, SPECIES), atoms) + pair(nacl) + "run 0\n"
    assert "ghost atom cutoff = 7\n" in host.run(script, 2).text
