"""What a build tells: the plan as a table, `report.json` with stable keys, a summary.

The dictionaries made here are plain JSON; :mod:`hw.flow.report_html` draws the readable page from
the same one. Times are in seconds, clocks in MHz, path delays in nanoseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from hw.boards import Board
from hw.capability import Capability
from hw.compile.plan import Plan
from hw.families import find_family
from hw.flow.steps import PlacedDesign
from hw.flow.verification import Verification
from hw.register_map import REGISTER_MAP
from model.common.terminal import Table, pairs, say
from model.network import Network

__all__ = [
    "REPORT_VERSION",
    "make_plan_report",
    "make_report",
    "print_plan",
    "print_summary",
    "resource_names",
]

# Raised when a key changes its meaning or goes away; new keys do not raise it.
REPORT_VERSION = 2


def resource_names(report: Mapping[str, Any]) -> dict[str, str]:
    """What tables call the resources of a report's budget, by their keys."""
    resources = find_family(report["capability"]["family"]).resources
    return {key: one.short for key, one in resources.items() if key in report["budget"]}


def make_plan_report(
    *, board: Board, network: Network, plan: Plan, capability: Capability, clock_mhz: float
) -> dict[str, Any]:
    """The part of the report that is known before anything is built (`--plan --json`)."""
    layers = [
        {
            "name": layer.name,
            "kind": layer.kind,
            "input_shape": list(layer.input_shape),
            "output_shape": list(layer.output_shape),
            "group_size": layer.group_size,
            "weight_bits": layer.weight_bits,
            "multiplications_dense": layer.multiplications_dense,
            "multiplications": layer.multiplications,
            "cycles_bound": layer.cycles,
            "share": layer.cycles / plan.cycles,
            "utilisation": layer.utilisation,
            "weight_words": layer.weight_words,
            "activation_words": layer.activation_words,
        }
        for layer in plan.layers
    ]
    return {
        "report_version": REPORT_VERSION,
        "board": {
            "name": board.name,
            "title": board.title,
            "device": board.device,
            "package": board.package,
        },
        "budget": dict(board.budget),
        "network": {
            "name": network.name,
            "top1": network.metadata.get("top1"),
            "test_images": network.metadata.get("test_images"),
            "sha256": network.sha256,
        },
        "capability": asdict(capability),
        "map_version": REGISTER_MAP.version,
        "clock_mhz": clock_mhz,
        "cycles_bound": plan.cycles,
        "array_utilisation": plan.utilisation,
        "inferences_per_second_bound": clock_mhz * 1e6 / plan.cycles,
        "multiplications": plan.multiplications,
        "multiplications_dense": sum(layer["multiplications_dense"] for layer in layers),
        "memory": {
            name: {"used": used, "available": available}
            for name, (used, available) in plan.memory.items()
        },
        "blocks": {
            name: {"used": used, "available": board.budget[name]}
            for name, used in find_family(board.family).count_blocks(capability).items()
        },
        "layers": layers,
    }


def make_report(
    plan_report: Mapping[str, Any],
    *,
    design: str,
    layout: PlacedDesign,
    verification: Verification | None,
    seconds: Mapping[str, float],
    tools: Mapping[str, str],
    tried: Sequence[PlacedDesign] = (),
) -> dict[str, Any]:
    """The whole `report.json`.

    ``design`` is what `hw.flow.steps.elaborate` returned; ``verification`` is None if it was
    skipped; ``tried`` is what each seed reached, ``layout`` the best of them.
    """
    cycles = None if verification is None else list(verification.network.cycles)
    mean = None if cycles is None else sum(cycles) / len(cycles)
    return {
        **plan_report,
        "design_sha256": design,
        "fmax_mhz": round(layout.fmax_mhz, 3),
        "cycles_rtl": cycles,
        "cycles_mean": mean,
        "inferences_per_second": None if mean is None else plan_report["clock_mhz"] * 1e6 / mean,
        "verified": 0 if verification is None else verification.network.frames,
        "verification": _verification(verification),
        "resources": dict(layout.resources),
        "seed": layout.seed,
        "seeds_tried": [
            {
                "seed": one.seed,
                "fmax_mhz": round(one.fmax_mhz, 3),
                "met": one.met,
                "seconds": round(one.seconds, 3),
            }
            for one in tried or (layout,)
        ],
        "clock_net": layout.clock,
        "critical_path_ns": round(sum(step.delay for step in layout.critical_path), 3),
        "critical_path": [asdict(step) for step in layout.critical_path],
        "tools": dict(tools),
        "seconds": {stage: round(taken, 3) for stage, taken in seconds.items()},
    }


def _verification(verification: Verification | None) -> dict[str, Any]:
    if verification is None:
        return {"status": "skipped", "frames": 0, "conformance": None}
    conformance = verification.conformance
    return {
        "status": "passed",
        "frames": verification.network.frames,
        "conformance": {
            "networks": conformance.networks,
            "frames": conformance.frames,
            "features": list(conformance.coverage.features),
            "missing": list(conformance.coverage.missing),
            "fields": {name: list(ends) for name, ends in conformance.coverage.fields.items()},
        },
    }


def print_plan(report: Mapping[str, Any], console: Console) -> None:
    """Print the plan: a table per layer, then the totals against the board's budget."""
    network, board = report["network"], report["board"]
    title = (
        f"{network['name']} on {board['title']} ({board['device']}), "
        f"{report['capability']['lanes']} lanes, {report['clock_mhz']:g} MHz"
    )
    columns = ("Output", "ℓ", "Bits", "Mult.\ndense", "Mult.\nDHAM", "Cycles\nat most", "Time")
    table = Table("Layer", *columns, "Array\nused", "Weight\nwords", "Activ.\nwords", title=title)
    for layer in report["layers"]:
        table.add(
            layer["name"],
            "×".join(map(str, layer["output_shape"])),
            layer["group_size"],
            layer["weight_bits"],
            f"{layer['multiplications_dense']:,}",
            f"{layer['multiplications']:,}",
            f"{layer['cycles_bound']:,}",
            f"{layer['share']:.1%}",
            f"{layer['utilisation']:.1%}",
            f"{layer['weight_words']:,}",
            f"{layer['activation_words']:,}",
        )
    table.add_total(
        *("total", "", "", ""),
        f"{report['multiplications_dense']:,}",
        f"{report['multiplications']:,}",
        f"{report['cycles_bound']:,}",
        "100.0%",
        f"{report['array_utilisation']:.1%}",
    )
    table.show(console)
    memory = Table("Resource", "Used", "Available", "Share", title="Budget")
    names = resource_names(report)
    blocks = {names[name]: entry for name, entry in report["blocks"].items()}
    for name, entry in (report["memory"] | blocks).items():
        share = entry["used"] / entry["available"]
        memory.add(name, f"{entry['used']:,}", f"{entry['available']:,}", f"{share:.1%}")
    memory.show(console)
    say(
        console,
        f"At most {report['cycles_bound']:,} cycles a frame, for one without a zero: at least "
        f"{report['inferences_per_second_bound']:.1f} inferences a second at "
        f"{report['clock_mhz']:g} MHz",
    )


def print_summary(report: Mapping[str, Any], console: Console) -> None:
    """Print what a build reached, in a few lines; a skipped verification is shouted."""
    pairs(console, summary_lines(report))
    if not report["verified"]:
        say(console, "VERIFICATION WAS SKIPPED: nothing shows that this RTL computes the network")


def summary_lines(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The report's main figures as (name, text), for the terminal and the page."""
    used = ", ".join(
        f"{report['resources'][key]:,} of {report['budget'][key]:,} {name}"
        for key, name in resource_names(report).items()
    )
    return [
        ("Network", report["network"]["name"]),
        ("Top-1", _top1(report["network"])),
        ("Cycles", f"at most {report['cycles_bound']:,}; " + _rtl_cycles(report)),
        ("Speed", _speed(report)),
        ("Array", f"{report['array_utilisation']:.1%} used"),
        ("Clock", f"{report['clock_mhz']:g} MHz used, {report['fmax_mhz']:.2f} MHz reached"),
        ("Device", used),
        ("Verified", _verified(report)),
    ]


def _verified(report: Mapping[str, Any]) -> str:
    if not report["verified"]:
        return "SKIPPED"
    text = f"{report['verified']} frames, bit for bit"
    # A report of an earlier version has no such entry.
    if (conformance := report.get("verification", {}).get("conformance")) is None:
        return text
    return (
        f"{text}; conformance set: {conformance['networks']} networks, "
        f"{len(conformance['features'])} features"
        + (f", without {', '.join(conformance['missing'])}" if conformance["missing"] else "")
    )


def _top1(network: Mapping[str, Any]) -> str:
    if network["top1"] is None:
        return "not in the file"
    images = network["test_images"]
    return f"{network['top1']:.2f} %, as integers" + (f", {images:,} images" if images else "")


def _rtl_cycles(report: Mapping[str, Any]) -> str:
    cycles = report["cycles_rtl"]
    if cycles is None:
        return "not counted in RTL"
    return (
        f"{min(cycles):,} to {max(cycles):,} in RTL, mean {report['cycles_mean']:,.0f}, each as "
        "predicted"
    )


def _speed(report: Mapping[str, Any]) -> str:
    least = f"at least {report['inferences_per_second_bound']:.1f} inferences a second"
    mean = report["inferences_per_second"]
    return least if mean is None else f"{least}; {mean:.1f} on the frames verified"
