"""Tables and plots of results."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

__all__ = ["HEAD", "line", "write_docs"]

Row = dict[str, Any]
PEER = "PyTorch"
MIB = 2**20

HEAD = (
    f"{'system':<12} {'contender':<17} {'threads':>7} {'copies':>6} {'median ms':>10} {'min to max ms':>21} "
    f"{'µs/atom':>9} {'force error':>11} {'peak MiB':>8} {'C call µs':>9}"
)


def line(row: Row) -> str:
    """A row for people who watch."""
    start = f"{row['system']:<12} {row['contender']:<17} {row['threads']:>7} {row['copies']:>6} "
    if "refused" in row:
        return f"{start} {row['refused']}"
    seconds = row["seconds"]
    spread = f"{1e3 * min(seconds):.3f} to {1e3 * max(seconds):.3f}"
    bare = f"{1e6 * median(row['bare']):>9.1f}" if "bare" in row else ""
    return (
        f"{start}{1e3 * median(seconds):>10.3f} {spread:>21} {per_atom(row):>9.2f} {error(row):>11} "
        f"{row['peak'] / MIB:>8.0f} {bare}"
    ).rstrip()


def per_atom(row: Row) -> float:
    """Microseconds for each atom."""
    return float(1e6 * median(row["seconds"]) / row["atoms"])


def error(row: Row) -> str:
    """Relative error of the forces; that of the reference itself is zero."""
    return f"{row['error']:.1e}" if row.get("error") else ("0" if "error" in row else "")


def significant(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def timing(seconds: list[float]) -> str:
    """Median and range, in the unit that suits."""
    middle = median(seconds)
    factor, unit = (1e6, "µs") if middle < 1e-3 else (1e3, "ms") if middle < 1 else (1.0, "s")
    low, high = (significant(factor * edge(seconds)) for edge in (min, max))
    return f"{significant(factor * middle)} {unit} ({low}–{high})"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def faster(row: Row, rows: list[Row]) -> str:
    """How many times the speed of PyTorch for the same system, with what suits it best of as many threads or fewer."""
    peers = [
        per_atom(each)
        for each in rows
        if each["contender"] == PEER and each["system"] == row["system"] and each["threads"] <= row["threads"]
        if "refused" not in each
    ]
    if not peers or row["contender"] == PEER:
        return ""
    return significant(min(peers) / per_atom(row))


def timings(rows: list[Row], results: Row) -> str:
    """The table of a case."""
    bare = any("bare" in row for row in rows)
    several = len({row["system"] for row in rows}) > 1
    head = ["atoms"] * several + ["", "threads", "one call: median (range)"] + ["C function alone"] * bare
    head += ["µs per atom", "force error", "peak memory, MiB", "speed over PyTorch"]
    lines = []
    for row in rows:
        if "refused" in row:
            continue
        name = row["contender"]
        if row["copies"] != row["of_copies"]:
            name += f", {row['copies']} copies at once"
        cells = [f"{row['atoms']:,}"] * several + [name, str(row["threads"]), timing(row["seconds"])]
        cells += [timing(row["bare"]) if "bare" in row else ""] * bare
        cells += [significant(per_atom(row)), error(row), f"{row['peak'] / MIB:,.0f}", faster(row, rows)]
        lines.append(cells)
    refused = [f"{row['contender'].split(',')[0]}: {row['refused']}." for row in rows if "refused" in row]
    notes = list(dict.fromkeys(refused))
    if results["machine"]["torch"] == "not installed":
        notes.append("PyTorch: not installed.")
    return "\n\n".join([markdown(head, lines), *notes])


def nacl(rows: list[Row], results: Row) -> str:
    """The table, and how constant the time for an atom is."""
    text = timings(rows, results)
    for name in ("single, table", "single, exact"):
        each = [per_atom(row) for row in rows if row["contender"] == name and "refused" not in row]
        if len(each) > 1:
            text += (
                f"\n\n{name}: the slowest size takes {100 * (max(each) / min(each) - 1):.0f} % more for an atom than "
            )
            text += "the fastest."
    return text


def shares(rows: list[Row], _results: Row) -> str:
    """Time without forces, with them, and with the list made anew."""
    names = list(dict.fromkeys(row["contender"] for row in rows))
    times = {(row["system"], row["contender"]): timing(row["seconds"]) for row in rows}
    every = dict.fromkeys(row["system"] for row in rows)
    return markdown(["one thread, single, table", *names], [[s, *(times[s, n] for n in names)] for s in every])


def machine(results: Row) -> str:
    """What was measured on."""
    m, s = results["machine"], results["settings"]
    load = f"{m['load_before']:.1f} when it began, {m['load_after']:.1f} when it ended"
    versions = f"FlashSchNet {m['flashschnet']}, PyTorch {m['torch']}, NumPy {m['numpy']}, Python {m['python']}"
    rows = [
        ["processor", f"{m['cpu']}, {m['vectors']}"],
        ["cores, hardware threads", f"{m['cores']}, {m['logical']}"],
        ["memory", f"{m['memory'] / 2**30:.0f} GiB"],
        ["versions", versions],
        ["timed runs of each, taking turns", str(s["runs"])],
        ["load average", load],
    ]
    text = markdown(["", ""], rows)
    if m["load_before"] > 0.5:
        text += (
            "\n\nOther programs were running: times are longer than this machine's and vary more. Two threads suffer "
            "more than one, and most where threads wait for each other often, as in PyTorch; they show no"
            " scaling, and where PyTorch ran with two threads only, its times are too long to compare with."
        )
    return text


def atom_bytes(network: Row, number: int) -> int:
    """Bytes an atom in the engine's workspace, numbers being this long: features, messages and gradients."""
    features, filters = (-(-network[width] * number // 64) * 64 // number for width in ("features", "filters"))
    return int(number * (network["blocks"] + 1) * (features + filters))


#: Bytes of a pair in the list with skin: its copy without excluded pairs, and what the search found.
LIST_BYTES = 16 + 16 + 4


def pair_bytes(number: int, exact: bool) -> int:
    """Bytes a directed pair: geometry in the engine, where filters are exact the distance too, and the list."""
    return (12 + 5 * number + number - 1) // number * number + 8 * exact + LIST_BYTES


def memory(results: Row) -> str:
    """What the code says an atom takes, and by how much memory grows with atoms."""
    rows = results["cases"].get("nacl", [])
    size = results["sizes"]["nacl"]
    lines = []
    for name in ("single, table", "single, exact", "double, exact"):
        pair = sorted(
            (row for row in rows if row["contender"] == name and "refused" not in row), key=lambda row: row["atoms"]
        )[-2:]
        if len(pair) < 2:
            continue
        number, exact = (8 if "double" in name else 4), "exact" in name
        atom, of_pair = atom_bytes(size["network"], number), pair_bytes(number, exact)
        used = [row["peak"] - row["before"] for row in pair]
        grown = (used[1] - used[0]) / (pair[1]["atoms"] - pair[0]["atoms"])
        total = atom + of_pair * size["listed"]
        cells = [f"{atom:,}", f"{of_pair} × {size['listed']:.1f}", f"{total:,.0f}", f"{grown:,.0f}"]
        lines.append([name, *cells, f"{pair[0]['atoms']:,} to {pair[1]['atoms']:,}"])
    head = ["NaCl, bytes an atom", "features", "pairs: bytes × pairs an atom", "together", "measured growth", "atoms"]
    return markdown(head, lines)


def sizes(results: Row) -> str:
    """The models."""
    titles = {"cg": "CG-269", "molecule": "ethanol", "nacl": "NaCl"}
    rows = []
    for name, size in results["sizes"].items():
        n = size["network"]
        basis = f"{n['basis']['size']} {n['basis']['kind'].replace('_', '-')}"
        numbers = [str(n["features"]), str(n["filters"]), str(n["blocks"]), basis, f"{n['cutoff']:g} Å"]
        rows.append([titles[name], *numbers, f"{size['neighbors']:.1f}"])
    return markdown(["", "features", "filters", "blocks", "basis", "cutoff", "neighbours an atom"], rows)


CASES: dict[str, Callable[[list[Row], Row], str]] = {
    "cg": timings,
    "replicas": timings,
    "molecule": timings,
    "nacl": nacl,
    "shares": shares,
}
WHOLE: dict[str, Callable[[Row], str]] = {"machine": machine, "sizes": sizes, "memory": memory}


def tables(results: Row) -> dict[str, str]:
    """The text between the markers, by their names; what was not measured is left as it is."""
    found = {name: make(results["cases"][name], results) for name, make in CASES.items() if name in results["cases"]}
    found |= {name: make(results) for name, make in WHOLE.items() if name != "memory" or "nacl" in results["cases"]}
    return found


def write_docs(results: Row, folder: Path) -> None:
    """Renew the tables of performance.md and the plots beside it."""
    page = folder / "performance.md"
    text = page.read_text(encoding="utf-8")
    for name, table in tables(results).items():
        pattern = re.compile(rf"(?<=<!-- begin: {name} -->\n).*?(?=<!-- end: {name} -->)", re.DOTALL)
        count = len(pattern.findall(text))
        text = pattern.sub((table + "\n").replace("\\", r"\\"), text)
        if count != 1:
            raise SystemExit(f"{page.name} has {count} places for {name}")
    page.write_text(text, encoding="utf-8")
    plots(results, folder)


def plots(results: Row, folder: Path) -> None:
    """Both plots."""
    import matplotlib as mpl

    mpl.use("svg")
    # The same results make the same file.
    mpl.rcParams |= {"svg.hashsalt": "flashschnet", "svg.fonttype": "none", "font.size": 10, "axes.grid": True}
    title = "{cpu}, {vectors}".format(**results["machine"])
    if "nacl" in results["cases"]:
        plot_scaling(results["cases"]["nacl"], title, folder / "performance-scaling.svg")
    if "cg" in results["cases"]:
        plot_error(results["cases"]["cg"], title, folder / "performance-error.svg")


def plot_scaling(rows: list[Row], title: str, path: Path) -> None:
    """Time for an atom over the number of atoms."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for name in dict.fromkeys(row["contender"] for row in rows if "refused" not in row):
        each = [row for row in rows if row["contender"] == name and "refused" not in row]
        times = [per_atom(row) for row in each]
        low = [time - 1e6 * min(row["seconds"]) / row["atoms"] for time, row in zip(times, each, strict=True)]
        high = [1e6 * max(row["seconds"]) / row["atoms"] - time for time, row in zip(times, each, strict=True)]
        axes.errorbar([row["atoms"] for row in each], times, [low, high], marker="o", capsize=3, label=name)
    threads = rows[0]["threads"]
    axes.set(xscale="log", yscale="log", xlabel="atoms", ylabel="µs per atom", ylim=(None, None))
    axes.set_title(f"NaCl, energies and forces, threads: {threads}\n{title}", fontsize=10)
    axes.legend()
    figure.savefig(path, metadata={"Date": None})


def plot_error(rows: list[Row], title: str, path: Path) -> None:
    """Error of the forces over speed, one thread."""
    from matplotlib import ticker
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for row in rows:
        # Float64 with exact filters is what errors are measured against.
        if row["threads"] == 1 and row.get("error"):
            axes.plot(per_atom(row), row["error"], "o")
            axes.annotate(row["contender"], (per_atom(row), row["error"]), (6, 6), textcoords="offset points")
    axes.set(xscale="log", yscale="log", xlabel="µs per atom", ylabel="relative error of forces ‖ΔF‖ / ‖F‖")
    axes.margins(x=0.25, y=0.1)
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_title(f"CG-269, energies and forces, one thread\n{title}", fontsize=10)
    figure.savefig(path, metadata={"Date": None})
