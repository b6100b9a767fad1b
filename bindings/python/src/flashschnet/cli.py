"""The command ``flashschnet``: convert models, say what is in a model file, run dynamics and draw it."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["main"]

_FRAMEWORKS = ("auto", "schnetpack2", "schnetpack0", "mlcg", "pyg")


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 if the work failed, 2 if the command line is wrong."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except BrokenPipeError:
        # Whoever was reading the output has enough of it.
        sys.stderr.close()
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="flashschnet", description="SchNet neural force fields: convert models, look at them, run dynamics."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_convert(commands)
    _add_info(commands)
    _add_simulate(commands)
    _add_plot(commands)
    _add_export_lammps(commands)
    return parser


def _add_convert(commands: Any) -> None:
    parser = commands.add_parser(
        "convert",
        help="convert a model of SchNetPack, mlcg or PyTorch Geometric",
        description="Convert a trained SchNet of SchNetPack, mlcg or PyTorch Geometric to a model file. Neither torch "
        "nor the framework is needed, and nothing in the file is executed.",
    )
    add = parser.add_argument
    add("source", metavar="SRC", help="the trained model, as torch.save wrote it")
    add("target", metavar="DST", nargs="?", help="the model file to write (*.safetensors)")
    add("--from", dest="framework", choices=_FRAMEWORKS, default="auto", help="the framework (default: recognise it)")
    add("--cutoff", type=float, metavar="R", help="cutoff radius, for files that do not carry it")
    add("--types", metavar="LIST", help="elements or bead types to keep: O,Zr or 8,40 or 1:ALA,2:CYS (default: all)")
    add("--units", metavar="LENGTH,ENERGY", help="units of the model, such as Angstrom,eV (Angstrom, Bohr, nm; eV, "
        "Hartree, kcal/mol, kJ/mol, Rydberg), for files that do not carry them")  # fmt: skip
    add("--property", metavar="NAME", help="the output that is the energy, if the model has several")
    mlcg = parser.add_argument_group("coarse-grained models (mlcg)")
    add = mlcg.add_argument
    add("--structures", metavar="OUT.xyz", help="write the molecules in SRC as extended XYZ")
    add("--terms", metavar="FILE", help="take the lists of bonds, angles, ... from the molecules in FILE")
    add("--excluded-bonds", type=int, metavar="N", help="leave pairs up to N bonds apart out of the network")
    add("--periodic-impropers", action="store_true", help="take harmonic impropers periodically")
    state = parser.add_argument_group("state dictionaries (PyTorch Geometric), which do not carry these")
    add = state.add_argument
    add("--scale", type=float, metavar="STD", help="standard deviation by which atomic energies are multiplied")
    add("--shift", type=float, metavar="MEAN", help="mean that is added to atomic energies")
    add("--readout", choices=("add", "mean"), help="how atomic energies are brought together")
    parser.set_defaults(run=_convert, parser=parser)


def _add_info(commands: Any) -> None:
    parser = commands.add_parser(
        "info", help="say what is in a model file", description="Say what network and priors a model file holds."
    )
    parser.add_argument("file", metavar="FILE", help="the model file (*.safetensors)")
    parser.add_argument(
        "--neighbours", type=int, default=50, metavar="N", help="neighbours an atom, for the cost (default: 50)"
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "gpu"),
        default="auto",
        help="the device to ask about (default: auto)",
    )
    parser.set_defaults(run=_info)


def _add_simulate(commands: Any) -> None:
    parser = commands.add_parser(
        "simulate",
        help="run dynamics of many replicas",
        description="Run dynamics of many replicas as a YAML file says, with mlcg's keys for simulations. SIGINT and "
        "SIGTERM save and stop; what was killed goes on from its last export with --restart.",
    )
    parser.add_argument("config", metavar="CONFIG.yaml", help="the configuration")
    parser.add_argument("--out", metavar="RUN", help="the run's folder (default: filename of the configuration)")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--restart", action="store_true", help="go on with the run in the folder")
    begin.add_argument("--overwrite", action="store_true", help="begin anew in the place of a run in the folder")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=_simulate)


def _add_plot(commands: Any) -> None:
    parser = commands.add_parser(
        "plot",
        help="draw pictures of a run",
        description="Draw energies, temperatures, RMSD, radius of gyration and a free-energy surface of a run.",
    )
    add = parser.add_argument
    add("run_folder", metavar="RUN", help="the run's folder")
    add("--out", metavar="FOLDER", help="where pictures go (default: RUN/pictures)")
    add("--format", choices=("png", "svg"), default="png", help="default: png")
    add("--reference", metavar="FILE.pdb", help="what RMSDs are to (default: where each replica started)")
    add("--skip", type=float, default=0.0, metavar="PART", help="part of the run that distributions leave out, 0 to 1")
    add("--distances", metavar="I-J,K-L", help="atoms whose distances the free-energy surface is over, counted from 0 "
        "(default: the ends, and a quarter of the chain from them)")  # fmt: skip
    add("--tica", type=float, metavar="LAG", help="draw a free-energy surface over the two slowest coordinates of a "
        "time-lagged independent component analysis too, with this lag in ps (needs flashschnet[tica])")  # fmt: skip
    parser.set_defaults(run=_plot, parser=parser)


def _plot(options: argparse.Namespace) -> int:
    distances = None
    if options.distances is not None:
        try:
            (a, b), (c, d) = (map(int, pair.split("-")) for pair in options.distances.split(","))
        except ValueError:
            options.parser.error(f"--distances {options.distances}: give two pairs of atoms, such as 0-9,2-7")
        distances = ((a, b), (c, d))
    if not 0 <= options.skip < 1:
        options.parser.error(f"--skip {options.skip}: must be at least 0 and below 1")

    def work() -> int:
        from .simulate import RunFolder, plot

        run = RunFolder(options.run_folder)
        pictures = plot(
            run,
            Path(options.out) if options.out else run.path / "pictures",
            form=options.format,
            reference=Path(options.reference) if options.reference else None,
            skip=options.skip,
            distances=distances,
            tica=options.tica,
        )
        for picture in pictures:
            print(f"wrote {picture}")
        return 0

    return _for_people(work)


def _for_people(work: Callable[[], int]) -> int:
    """Do the work of a command that needs the packages for simulations; what goes wrong is one line."""
    from .convert import ConvertError

    try:
        return work()
    except ImportError as error:
        return _fail(f"{error}: pip install 'flashschnet[simulate]' brings what simulations need")
    except (ConvertError, ValueError, RuntimeError, OSError) as error:
        return _fail(str(error))


def _simulate(options: argparse.Namespace) -> int:
    def work() -> int:
        from .simulate import Config, simulate

        config = Config.load(options.config)
        text = Path(options.config).read_text(encoding="utf-8")
        signal = simulate(
            config, options.out, text=text, restart=options.restart, overwrite=options.overwrite, quiet=options.quiet
        )
        # As a shell says of a program that a signal ended.
        return 128 + signal if signal else 0

    return _for_people(work)


def _add_export_lammps(commands: Any) -> None:
    parser = commands.add_parser(
        "export-lammps",
        help="write a coarse-grained force field for LAMMPS",
        description="Write PREFIX.data and PREFIX.in: a molecule with its network as pair_style flashschnet, and the "
        "priors of its model as LAMMPS' own styles.",
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="the model file (*.safetensors)")
    add("structure", metavar="STRUCTURE", help="the molecule, in a file that ASE reads, its bead types in column types")
    add("prefix", metavar="PREFIX", help="path of the files to write, without suffix")
    add("--units", choices=("real", "metal"), default="real", help="LAMMPS' units (default: real)")
    add("--pair-style", metavar="WORDS", default="", help="keywords of the pair style, such as 'precision double'")
    add("--topology", metavar="NAME", help="which molecule of the model file it is, if several have the same types")
    add("--repulsion-cutoff", type=float, metavar="R", help="Å at which repulsions without a cutoff end in LAMMPS")
    add("--mass", type=float, metavar="M", help="mass in u of beads whose mass is not known otherwise")
    parser.set_defaults(run=_export_lammps)


def _convert(options: argparse.Namespace) -> int:
    from .convert import ConvertError, convert

    if options.target is None and options.structures is None:
        options.parser.error("name the model file to write, DST")
    try:
        report = convert(
            options.source,
            options.target,
            framework=options.framework,
            cutoff=options.cutoff,
            types=options.types,
            units=options.units,
            structures=options.structures,
            terms=options.terms,
            property=options.property,
            scale=options.scale,
            shift=options.shift,
            readout=options.readout,
            excluded_bonds=options.excluded_bonds,
            periodic_impropers=options.periodic_impropers,
        )
    except ConvertError as error:
        return _fail(str(error))
    if options.structures is not None:
        print(f"wrote {options.structures}")
    if report.description is not None:
        for note in report.notes:
            print(f"note: {note}")
        state = "checked by the library" if report.checked else "not checked: the library is not installed here"
        print(f"wrote {options.target} ({report.description['provenance']['framework']}; {state})")
    return 0


def _info(options: argparse.Namespace) -> int:
    from .info import lines

    try:
        from flashschnet import Model, Potential
    except (ImportError, OSError) as error:
        return _fail(f"the library is not available: {error}")
    try:
        model = Model(options.file)
        text = lines(model.description, str(options.file), int(model.parameters), options.neighbours)
        if model.blocks:
            potential = Potential(model, filters="table", device="cpu")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # They are printed below.
                chosen = Potential(model, device=options.device)
            text.append(
                f"tables      {potential.table_intervals} intervals in single precision, measured "
                f"error {potential.table_bound:.1e}; auto uses {chosen.filters} filters"
            )
            text.extend(f"auto        {note}" for note in chosen.notes)
            if gpu := chosen.gpu:
                text.append(
                    f"GPU         {gpu.name}, {gpu.memory / 1e9:.0f} GB, compute capability {gpu.compute_capability}"
                )
                text.extend(f"kernel      {name}: {takes}" for name, takes in gpu.kernels.items())
    except Exception as error:  # The library's errors are one line for people; so is this command's.
        return _fail(str(error))
    print("\n".join(text))
    return 0


def _export_lammps(options: argparse.Namespace) -> int:
    try:
        from ase.io import read
    except ImportError:
        return _fail("export-lammps reads structures with ASE: pip install ase")
    try:
        from .lammps import export
    except (ImportError, OSError) as error:
        return _fail(f"the library is not available: {error}")
    try:
        report = export(
            options.model,
            read(options.structure),
            options.prefix,
            units=options.units,
            style=options.pair_style,
            topology=options.topology,
            repulsion_cutoff=options.repulsion_cutoff,
            mass=options.mass,
        )
    except Exception as error:  # ASE's errors are of every kind, and the library's are one line for people.
        return _fail(f"{error}")
    for note in report.notes:
        print(f"note: {note}")
    print(f"wrote {report.data} and {report.input}")
    return 0


def _fail(message: str) -> int:
    print(f"flashschnet: {' '.join(message.split())}", file=sys.stderr)
    return 1
