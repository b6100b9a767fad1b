"""What LAMMPS does with a pair style in a run: neighbour lists that change, atoms that move between processes, boxes
that change, integrators, and the commands that call it in ways of their own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from host import Host, Output, evaluate
from systems import BOXES, SPECIES, agree, crystal, expected, pair, setup

ATOMS = crystal((3, 2, 2))


def moving(host: Host, model: Path, atoms: Atoms = ATOMS, more: str = "", **arguments: str) -> str:
    """Atoms at 600 K, drifting from process to process."""
    return (
        setup(host.data(atoms, SPECIES), atoms, more=more, **arguments)
        + pair(model)
        + "velocity all create 600 4711 mom yes rot no dist gaussian loop geom\nvelocity all set 20 0 12 sum yes\n"
        + "timestep 0.001\n"
    )


def final(output: Output, atoms: Atoms) -> Atoms:
    """The structure after a run, as `numbers` and `BOX` have it."""
    lx, ly, lz, xy, xz, yz = output.values["BOX"]
    found = output.evaluation("end")
    symbols = np.array(atoms.get_chemical_symbols())[found.ids - 1]
    return Atoms(symbols, found.positions, cell=[[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]], pbc=atoms.pbc)


BOX = 'print "RESULT BOX $(lx:%.17g) $(ly:%.17g) $(lz:%.17g) $(xy:%.17g) $(xz:%.17g) $(yz:%.17g)"\n'


def test_nve_has_no_jumps(host: Host, nacl: Path) -> None:
    """Lists are rebuilt every 7 steps, and atoms wander between processes: the total energy goes on smoothly, and is
    that of one process. It changes by what the integrator makes of it; the second difference shows jumps.
    """
    script = moving(host, nacl) + "neigh_modify every 7 delay 0 check no\nfix move all nve\n"
    script += "thermo 1\nthermo_style custom step etotal\nthermo_modify format float %.17g\n"
    script += "dump owner all custom 7 owner.dump id proc\ndump_modify owner sort id\nrun 105 post no\n"
    one, two = (host.run(script, ranks).thermo()[:, 1] for ranks in (1, 2))
    assert len(two) == 106
    np.testing.assert_allclose(two, one, rtol=1e-10)
    frames = (host.folder / "owner.dump").read_text().split("ITEM: ATOMS id proc\n")[1:]
    owners = np.array([[line.split()[1] for line in frame.splitlines()[: len(ATOMS)]] for frame in frames])
    assert (owners[1:] != owners[:-1]).sum() > 10
    bend = np.abs(np.diff(two, 2))
    rebuilt = np.isin((np.arange(len(bend)) + 1) % 7, (6, 0, 1))
    assert bend[rebuilt].max() < 2 * bend[~rebuilt].max()


def test_two_runs_are_the_same_to_the_bit(host: Host, nacl: Path) -> None:
    """Whichever message comes first: nothing is added up in the order of arrival."""
    script = setup(host.data(ATOMS, SPECIES), ATOMS) + pair(nacl, "") + "velocity all create 600 4711\n"
    script += "neigh_modify every 7 delay 0 check no\nfix move all nve\ntimestep 0.001\n"
    script += "thermo_style custom step pe ke press\nthermo_modify format float %.17g\nthermo 5\nrun 40 post no\n"
    one, other = (host.run(script, 3).thermo() for _ in range(2))
    assert len(one) == 9
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize(
    ("box", "commands"),
    [
        ("cubic", "fix move all nve\natom_modify sort 3 2.0\nrun 30"),
        ("triclinic", "fix move all npt temp 600 600 0.1 tri 0 0 0.2\nrun 30"),
        ("small triclinic", "fix move all npt temp 600 600 0.1 aniso 20000 20000 0.05\nrun 30"),
        ("slab", "fix move all nvt temp 600 600 0.1\nrun 30"),
        ("cubic", "fix move all nve\nfix spread all balance 5 1.0 shift xz 5 1.05\nrun 30"),
        ("triclinic", "min_style cg\nminimize 0 0 5 20"),
        ("triclinic", "fix relax all box/relax tri 0.0\nminimize 0 0 5 20"),
        ("cubic", "fix move all nve\nneigh_modify once yes\nrun 3"),
        ("cubic", "fix move all nve\nneighbor 0.0 bin\nneigh_modify every 1 delay 0 check no\nrun 5"),
        ("cubic", "fix move all nve\nneighbor 1.0 nsq\nrun 10"),
        (
            "cubic",
            "fix move all nve\ndisplace_atoms all random 0.1 0 0 77\nrun 5\nchange_box all x scale 1.01 remap\nrun 5",
        ),
    ],
)
def test_the_state_after_a_run(host: Host, nacl: Path, box: str, commands: str, ranks: int) -> None:
    """Positions and box that a run leaves, computed by the library, have the energies and forces that LAMMPS has."""
    atoms = BOXES[box]
    output = host.run(moving(host, nacl, atoms) + commands + "\n" + evaluate("end") + BOX, ranks)
    agree(output.evaluation("end"), expected(nacl, final(output, atoms)), 1e-10)


@pytest.mark.parametrize("ranks", [2, 3])
def test_tiles_and_balancing(host: Host, nacl: Path, ranks: int) -> None:
    """Recursive bisection moves the borders of processes while atoms move."""
    atoms = crystal((3, 3, 3))
    script = moving(host, nacl, atoms, more="comm_style tiled") + "fix move all nve\nfix spread all balance 4 1.0 rcb\n"
    script += "run 12\n" + evaluate("end") + BOX
    output = host.run(script, ranks)
    agree(output.evaluation("end"), expected(nacl, final(output, atoms)), 1e-10)


@pytest.mark.parametrize("newton", ["on", "off"])
def test_processes_without_atoms(host: Host, nacl: Path, newton: str) -> None:
    """A cluster in a corner of a long box: two of four processes have nothing, one only ghosts."""
    atoms = crystal((1, 1, 1))
    atoms.pbc = False
    atoms.positions += 0.6
    atoms.set_cell([40.0, 7.0, 7.0])
    script = (
        setup(host.data(atoms, SPECIES), atoms, newton=newton, more="processors 4 1 1") + pair(nacl) + evaluate("case")
    )
    agree(host.run(script, 4).evaluation("case"), expected(nacl, atoms), 1e-10)


@pytest.mark.parametrize("ranks", [1, 2])
def test_an_empty_box(host: Host, nacl: Path, ranks: int) -> None:
    script = f"units metal\nregion r block 0 9 0 9 0 9\ncreate_box 2 r\nmass * 1.0\n{pair(nacl)}run 2\n"
    script += 'print "RESULT empty $(pe)"\n'
    assert host.run(script, ranks).values["empty"] == [0.0]


@pytest.mark.parametrize("ranks", [1, 2])
def test_forces_are_the_energy_s_derivative(host: Host, nacl: Path, ranks: int) -> None:
    """By LAMMPS' own finite differences, by position and by strain. Steps of 1e-4 Å leave 1e-7 or so."""
    atoms = BOXES["small triclinic"]
    script = setup(host.data(atoms, SPECIES), atoms, more="atom_modify map array") + pair(nacl)
    script += """
fix difference all numdiff 1 1.0e-4
fix strain all numdiff/virial 1 1.0e-5
compute stress all pressure NULL virial
variable dx atom abs(fx-f_difference[1])
variable dz atom abs(fz-f_difference[3])
compute worst all reduce max v_dx v_dz
thermo_style custom step pe c_worst[1] c_worst[2] f_strain[1] f_strain[6] c_stress[1] c_stress[6]
run 0
print "RESULT forces $(c_worst[1]:%.17g) $(c_worst[2]:%.17g)"
print "RESULT strain $(f_strain[1]:%.17g) $(f_strain[2]:%.17g) $(f_strain[3]:%.17g)"
print "RESULT stress $(c_stress[1]:%.17g) $(c_stress[2]:%.17g) $(c_stress[3]:%.17g)"
"""
    values = host.run(script, ranks).values
    assert max(values["forces"]) < 1e-6
    assert values["strain"] == pytest.approx(values["stress"], rel=1e-5)


def test_rerun(host: Host, nacl: Path) -> None:
    """Energies of a trajectory, read again on two processes."""
    head = moving(host, nacl)
    script = head + "fix move all nve\ndump path all custom 10 path.dump id type x y z\n"
    script += "dump_modify path format float %.17g sort id\n"
    script += "run 30 every 10 \"print 'RESULT run$(step) $(pe:%.17g)'\"\n"
    first = host.run(script).values
    script = head + "thermo 10\nthermo_style custom step pe\nthermo_modify format float %.17g\n"
    text = host.run(script + "rerun path.dump dump x y z\n", 2).text
    for step in (10, 20, 30):
        row = next(line for line in text.splitlines() if line.split()[:1] == [str(step)])
        # Positions were wrapped into the box, which rounds them.
        assert float(row.split()[1]) == pytest.approx(first[f"run{step}"][0], rel=1e-11)


def test_respa(host: Host, nacl: Path) -> None:
    """With all of the force at the inner level, two levels are velocity Verlet with the inner step."""
    head = moving(host, nacl)
    plain = host.run(head + "fix move all nve\nrun 10\n" + evaluate("end"), 2).evaluation("end")
    script = head + "timestep 0.002\nfix move all nve\nrun_style respa 2 2 pair 1\nrun 5\nrun_style verlet\n"
    levels = host.run(script + evaluate("end"), 2).evaluation("end")
    np.testing.assert_allclose(levels.positions, plain.positions, rtol=0, atol=1e-9)
    # At the outer level it is Verlet with the outer step, too.
    outer = host.run(
        head + "fix move all nve\nrun_style respa 2 2 pair 2\nrun 10\nrun_style verlet\n" + evaluate("end"), 2
    )
    np.testing.assert_allclose(outer.evaluation("end").positions, plain.positions, rtol=0, atol=1e-9)


def test_replicas(host: Host, nacl: Path) -> None:
    """Two partitions, of two processes and one, each with a structure of its own."""
    boxes = [crystal((2, 2, 2), seed=seed) for seed in (5, 6)]
    for number, atoms in enumerate(boxes, 1):
        host.data(atoms, SPECIES, f"{number}.data")
    script = f"variable r world 1 2\nunits metal\natom_style atomic\nread_data $r.data\n{pair(nacl)}run 0\n"
    script += 'print "$(pe:%.17g)" file energy.$r\n'
    host.run(script, 3, arguments=("-partition", "2", "1"), environment={"OMP_NUM_THREADS": None})
    for number, atoms in enumerate(boxes, 1):
        found = float((host.folder / f"energy.{number}").read_text())
        assert found == pytest.approx(expected(nacl, atoms).energy, rel=1e-10)


def test_what_is_announced(host: Host, nacl: Path) -> None:
    text = host.run(setup(host.data(ATOMS, SPECIES), ATOMS) + pair(nacl, "") + "run 0\nrun 0\n", 2).text
    assert text.count("FlashSchNet 0.") == 1
    for part in (
        f": {nacl}\n",
        "network: 3 blocks, 64 features, 64 filters, 56961 parameters",
        "types: 1 = Na 2 = Cl",
        "engine: cpu, single precision, tables of filters, 109 intervals, error at most ",
        "threads: 2 of 2 processes",
        "ghost cutoff: 5 and the skin, 2",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("ranks", "threads", "environment"), [(2, "", None), (1, "", None), (2, "threads 3", None), (2, "", "2")]
)
def test_threads(host: Host, nacl: Path, ranks: int, threads: str, environment: str | None) -> None:
    """The cores are shared by the processes of a machine, unless somebody says otherwise."""
    import os

    cores = len(os.sched_getaffinity(0))
    script = setup(host.data(ATOMS, SPECIES), ATOMS) + pair(nacl, threads) + "run 0\n"
    text = host.run(script, ranks, environment={"OMP_NUM_THREADS": environment}).text
    each = 3 if threads else int(environment or max(1, cores // ranks))
    assert f"threads: {each * ranks} of {ranks} process" in text


def test_styles_come_and_go(host: Host, nacl: Path) -> None:
    """The plugin unloaded while its style is in use, and loaded again."""
    start = setup(host.data(ATOMS, SPECIES), ATOMS)
    script = start + pair(nacl) + f"run 1\nplugin unload pair flashschnet\nplugin load {host.plugin}\n" + pair(nacl)
    script += evaluate("again")
    agree(host.run(script, 2).evaluation("again"), expected(nacl, ATOMS), 1e-10)
