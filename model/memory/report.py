"""Tables and plots of the records of `model.memory.experiment`."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from model.common import statistics
from model.memory import theory
from model.memory.classical import MEMORIES
from model.memory.patterns import Parts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LAWS", "draw", "growth", "interval", "write"]

#: How capacity may grow with n: text, function.
LAWS = {
    "n / log n": lambda n: n / np.log(n),
    "n² / log² n": lambda n: n**2 / np.log(n) ** 2,
    "n² / log n": lambda n: n**2 / np.log(n),
}


def interval(values) -> tuple[float, float]:
    """Mean, and half the 95 % confidence interval of the mean (NaN for a single value)."""
    found = statistics.interval([float(value) for value in values])
    return found.mean, math.nan if found.half is None else found.half


def growth(neurons, capacities) -> tuple[float, dict[str, float]]:
    """How capacity grows: the exponent b of the best M = a·n^b, and each law's misfit.

    The misfit of a law f is the root mean square of log(M / (a·f(n))) for the best a, so 0.1 is
    about 10 %. Two sizes or more are needed.
    """
    n, m = np.log(np.asarray(neurons, float)), np.log(np.asarray(capacities, float))
    exponent = float(np.polyfit(n, m, 1)[0])
    misfit = {
        text: float(np.std(m - np.log(law(np.exp(n)))))  # the best log a is the mean
        for text, law in LAWS.items()
    }
    return exponent, misfit


def write(records) -> str:
    """All records as Markdown."""
    text = ["# Memories: error against load, and capacity\n"]
    if any(record["quick"] and record["kind"] != "theory" for record in records):
        text.append("Quick run: small networks, few loads and probes. Not for publication.\n")
    text += _error_tables(records)
    text += _capacity_tables(records)
    if len(text) == 1:
        text.append("No records.\n")
    return "\n".join(text)


def draw(records) -> dict[str, Figure]:
    """All plots by name."""
    plots = {}
    for (source, target), found in _by(records, "error", "source", "target").items():
        source, target = Parts(*source), Parts(*target)
        plots[f"error-{source}-{target}"] = _error_figure(source, target, found)
    if any(record["kind"] == "capacity" for record in records):
        plots["capacity"] = _capacity_figure(records)
    return plots


def _by(records, kind, *names):
    """Records of that kind, grouped by the values of some fields, in ascending order."""

    def values(record):
        return tuple(
            tuple(value) if isinstance(value := record[name], list) else value for name in names
        )

    chosen = sorted((record for record in records if record["kind"] == kind), key=values)
    return {key: list(group) for key, group in groupby(chosen, values)}


def _mean(records, field):
    return interval([record[field] for record in records])


def _share(mean, half=float("nan")):
    """A share with its interval, in percent."""
    return f"{100 * mean:.3g}" + ("" if np.isnan(half) else f" ± {100 * half:.2g}")


def _patterns(mean, half):
    """A mean number of patterns with its interval."""
    digits = 0 if mean >= 100 else 1
    return f"{mean:,.{digits}f}" + ("" if np.isnan(half) else f" ± {half:,.{digits}f}")


def _probe(erased, wrong):
    parts = [
        f"{number} {word}" for number, word in ((erased, "erased"), (wrong, "wrong")) if number
    ]
    return ", ".join(parts) or "whole"


# --- error against load -------------------------------------------------------------------------


def _error_tables(records):
    text = []
    for (source, target), found in _by(records, "error", "source", "target").items():
        source, target = Parts(*source), Parts(*target)
        seeds = len({record["seed"] for record in found})
        text.append(f"## Retrieval error, {source} to {target}\n")
        text.append(
            f"Sparse hetero-associative memory, one step, first maximum; {found[0]['probes']:,} "
            f"probes a seed, {seeds} seeds (± is the 95 % interval over them). All in percent. "
            "“Formula” takes weights as independent of density d; “exact” does not.\n"
        )
        text.append(
            "| pairs M | d measured | d theory | parts of the probe | wrong parts | exact "
            "| formula | wrong vectors | theory |\n|---|---|---|---|---|---|---|---|---|"
        )
        for (pairs, erased, wrong), group in _by(
            found, "error", "pairs", "erased", "wrong"
        ).items():
            one = group[0]
            cells = [
                str(pairs),
                _share(*_mean(group, "density")),
                _share(one["density_theory"]),
                _probe(erased, wrong),
                _share(*_mean(group, "part_error")),
                _share(one["part_exact"]),
                _share(one["part_independent"]),
                _share(*_mean(group, "vector_error")),
                _share(one["vector_theory"]),
            ]
            text.append(f"| {' | '.join(cells)} |")
        text.append("")
    return text


def _error_figure(source, target, records):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.7))
    most = max(record["pairs"] for record in records)
    loads = np.unique(np.geomspace(10, most, 60).round().astype(int))
    groups = _by(records, "error", "pairs")
    left.plot(
        loads, [theory.density(source, target, int(m)) for m in loads], "k-", lw=1,
        label="1 − (1 − 1/ℓℓ')$^M$",
    )  # fmt: skip
    left.plot(
        [pairs for (pairs,) in groups],
        [_mean(group, "density")[0] for group in groups.values()],
        "o",
        label="measured",
    )
    left.set(xlabel="stored pairs M", ylabel="density d of W", ylim=(0, 1))
    left.legend()
    measured = defaultdict(list)
    for (erased, wrong, pairs), group in _by(records, "error", "erased", "wrong", "pairs").items():
        measured[erased, wrong].append((pairs, *_mean(group, "part_error")))
    for index, ((erased, wrong), points) in enumerate(measured.items()):
        colour = f"C{index}"
        for curve, style in ((theory.part_error, "-"), (theory.independent_error, ":")):
            values = [curve(source, target, int(m), erased=erased, wrong=wrong) for m in loads]
            right.plot(loads, values, style, color=colour, lw=1)
        pairs, means, halves = np.array(points).T
        seen = means > 0  # a logarithmic axis has no room for "none was wrong"
        right.errorbar(
            pairs[seen], means[seen], np.nan_to_num(halves[seen]), fmt="o", ms=4, color=colour,
            label=_probe(erased, wrong),
        )  # fmt: skip
    right.plot([], [], "k-", lw=1, label="exact")
    right.plot([], [], "k:", lw=1, label="independent weights")
    right.set(xlabel="stored pairs M", ylabel="wrong parts", xscale="log", yscale="log")
    right.set_ylim(1e-5, 1.2)
    right.legend(fontsize="small", title="parts of the probe")
    figure.suptitle(f"Sparse hetero-associative memory, {source} to {target}: error against load")
    return figure


# --- capacity against n -------------------------------------------------------------------------


def _capacities(records):
    """name -> list of (n, mean, half interval), in ascending n."""
    found = defaultdict(list)
    for (name, neurons), group in _by(records, "capacity", "memory", "neurons").items():
        found[name].append((neurons, *_mean(group, "capacity")))
    return {name: found[name] for name in MEMORIES if name in found}


def _capacity_tables(records):
    found = _capacities(records)
    if not found:
        return []
    one = next(record for record in records if record["kind"] == "capacity")
    seeds = len({record["seed"] for record in records if record["kind"] == "capacity"})
    sizes = sorted({n for points in found.values() for n, _, _ in points})
    expected = {record["neurons"]: record for record in records if record["kind"] == "theory"}
    text = [
        "## Capacity\n",
        f"Largest number of patterns of which at most {100 * one['target']:.0f} % are not "
        f"retrieved, all neurons right, from probes of which {100 * one['share']:.0f} % is "
        f"erased; {one['probes']:,} probes, {seeds} seeds. Sparse patterns have k = log2 n ones.\n",
        f"| memory | {' | '.join(f'n = {n}' for n in sizes)} |",
        f"|---|{'---|' * len(sizes)}",
    ]
    for name, points in found.items():
        cells = {n: _patterns(mean, half) for n, mean, half in points}
        text.append(f"| {MEMORIES[name].title} | {' | '.join(cells.get(n, '') for n in sizes)} |")
    if expected:
        cells = {n: f"{record['capacity']:,}" for n, record in expected.items()}
        text.append(f"| (its theory) | {' | '.join(cells.get(n, '') for n in sizes)} |")
    text += _growth_table(found)
    return text


def _growth_table(found):
    rows = []
    for name, points in found.items():
        usable = [(n, mean) for n, mean, _ in points if mean > 0]
        if len(usable) < 2:
            continue
        exponent, misfit = growth(*zip(*usable, strict=True))
        best = min(misfit, key=misfit.__getitem__)
        cells = [f"**{value:.3f}**" if text == best else f"{value:.3f}"
                 for text, value in misfit.items()]  # fmt: skip
        rows.append(f"| {MEMORIES[name].title} | {exponent:.2f} | {' | '.join(cells)} |")
    if not rows:
        return [""]
    return [
        "\n## How capacity grows with n\n",
        "The exponent b of the best n^b, and by how much (root mean square of the natural "
        "logarithm) each law misses at its best constant; the best law is bold.\n",
        f"| memory | b | {' | '.join(LAWS)} |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


def _capacity_figure(records):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 5.5), layout="constrained")
    axes = figure.subplots()
    found = _capacities(records)
    for name, points in found.items():
        n, means, halves = np.array(points).T
        axes.errorbar(n, means, np.nan_to_num(halves), fmt="o-", ms=4, lw=1,
                      label=MEMORIES[name].title)  # fmt: skip
    expected = sorted(
        (record["neurons"], record["capacity"]) for record in records if record["kind"] == "theory"
    )
    if expected:
        axes.plot(*zip(*expected, strict=True), "kx", label="sparse hetero-associative, theory")
    sizes = np.array(sorted({n for points in found.values() for n, _, _ in points}), float)
    # Guides through the measured points: Hopfield's, and the sparse memories' taken together.
    for text, law in LAWS.items():
        dense = text == "n / log n"
        ratios = [
            np.log(mean / law(float(n)))
            for name, points in found.items()
            if (name == "hopfield") == dense
            for n, mean, _ in points
            if mean > 0
        ]
        if ratios:
            guide = np.exp(np.mean(ratios)) * law(sizes)
            style = {"n / log n": "--", "n² / log² n": "--", "n² / log n": ":"}[text]
            axes.plot(sizes, guide, style, color="grey", lw=1)
            axes.annotate(text, (sizes[-1], guide[-1]), textcoords="offset points",
                          xytext=(5, -3), fontsize="small", color="grey")  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="neurons n", ylabel="capacity (patterns)")
    axes.set_xticks(sizes, [f"{n:.0f}" for n in sizes])
    axes.minorticks_off()
    axes.set_title("Patterns that a memory of n neurons holds")
    axes.margins(x=0.12)
    axes.legend(fontsize="small")
    return figure
