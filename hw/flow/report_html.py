"""`report.html`: the build's report as one page, readable offline, in light and dark.

Plots are inline SVG, drawn here: there is nothing to download and no script to run.
"""

from collections.abc import Iterable, Mapping
from html import escape
from itertools import groupby
from typing import Any

from hw.flow.report import resource_names, summary_lines

__all__ = ["render_html"]

_STYLE = """
:root { color-scheme: light dark; --page: #fcfcfb; --ink: #1c1c1a; --muted: #66655f;
  --line: #dddcd6; --track: #eceae4; --bar: #2a78d6; --good: #14713d; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --page: #1a1a19; --ink: #f1f0ec; --muted: #a3a29b;
  --line: #3a3a37; --track: #2c2c2a; --bar: #5598e7; --good: #5fc78c; --bad: #ff8a80; } }
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
p.sub { color: var(--muted); margin: .2rem 0 1rem; }
.status { display: inline-block; padding: .3rem .8rem; border: 2px solid; border-radius: .4rem;
  font-weight: 600; } .good { color: var(--good); } .bad { color: var(--bad); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .7rem .25rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--muted); font-weight: 500; } .n { text-align: right; }
tr.total td { font-weight: 600; } td:last-child { overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; margin-bottom: .8rem; }
svg text { fill: var(--ink); font-size: 13px; }
svg .muted { fill: var(--muted); } svg .track { fill: var(--track); } svg .bar { fill: var(--bar); }
svg .mark { stroke: var(--ink); stroke-width: 2; }
"""


def render_html(report: Mapping[str, Any]) -> str:
    """The page for a report of :func:`hw.flow.report.make_report`."""
    network, board = report["network"], report["board"]
    title = f"{network['name']} on {board['title']}"
    layers = [
        (
            layer["name"],
            layer["cycles_bound"],
            f"{layer['cycles_bound']:,} cycles, {layer['share']:.1%}",
        )
        for layer in report["layers"]
    ]
    resources = [
        (name, report["resources"][key], report["budget"][key])
        for key, name in resource_names(report).items()
    ]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p class="sub">{escape(board["device"])}-{escape(board["package"])}, seed {report["seed"]}</p>
{_status(report)}
<h2>Result</h2>
{_table((), summary_lines(report))}
<h2>Cycles per layer, at most, and their share</h2>
{_bars(layers)}
{_layer_table(report)}
<h2>Use of the device</h2>
{_meters(resources)}
<h2>Clock</h2>
{_clock(report)}
<h2>Critical path: {report["critical_path_ns"]:.2f} ns</h2>
{_critical_path(report)}
{_conformance(report)}<h2>How it was made</h2>
{_table((), _provenance(report))}
</body>
</html>
"""


def _status(report: Mapping[str, Any]) -> str:
    if report["verified"]:
        text = f"✓ Verified: RTL equals the reference bit for bit over {report['verified']} frames"
        return f'<p class="status good">{text}</p>'
    text = "✗ VERIFICATION WAS SKIPPED: nothing shows that this RTL computes the network"
    return f'<p class="status bad">{text}</p>'


def _conformance(report: Mapping[str, Any]) -> str:
    """What of the hardware the conformance set exercised; nothing where it did not run."""
    found = report["verification"]["conformance"]
    if found is None:
        return ""
    rows = [
        ("Networks, frames", f"{found['networks']}, {found['frames']}"),
        ("Exercised", ", ".join(found["features"])),
        ("No room for", ", ".join(found["missing"]) or "nothing is left out"),
    ]
    fields = [(name, f"{low:,}", f"{high:,}") for name, (low, high) in found["fields"].items()]
    return (
        f"<h2>Conformance set</h2>\n{_table((), rows)}\n<details><summary>Least and largest value "
        "of each field of the layer table</summary>\n"
        f"{_table(('Field', 'Least', 'Largest'), fields)}\n</details>\n"
    )


def _bars(rows: Iterable[tuple[str, int, str]]) -> str:
    """Horizontal bars from 0: name, value, text behind the bar."""
    rows = list(rows)
    largest = max(value for _, value, _ in rows)
    parts = []
    for index, (name, value, text) in enumerate(rows):
        y, width = 26 * index, 480 * value / largest
        parts.append(
            f'<text x="150" y="{y + 17}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="bar" x="160" y="{y + 5}" width="{width:.1f}" height="16" rx="2">'
            f"<title>{escape(name)}: {escape(text)}</title></rect>"
            f'<text class="muted" x="{168 + width:.1f}" y="{y + 17}">{escape(text)}</text>'
        )
    return _svg(26 * len(rows), parts, "Cycles per layer")


def _meters(rows: Iterable[tuple[str, int, int]]) -> str:
    """Bars within a track: name, used, available."""
    rows = list(rows)
    parts = []
    for index, (name, used, available) in enumerate(rows):
        y, share = 26 * index, used / available
        parts.append(
            f'<text x="150" y="{y + 17}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="track" x="160" y="{y + 5}" width="480" height="16" rx="2"/>'
            f'<rect class="bar" x="160" y="{y + 5}" width="{480 * min(share, 1):.1f}" '
            f'height="16" rx="2"/>'
            f'<text class="muted" x="648" y="{y + 17}">{used:,} of {available:,}, '
            f"{share:.0%}</text>"
        )
    return _svg(26 * len(rows), parts, "Resources used")


def _clock(report: Mapping[str, Any]) -> str:
    """The clock that place-and-route reached as a bar, the clock used as a mark on it."""
    used, reached = report["clock_mhz"], report["fmax_mhz"]
    scale = 480 / (1.1 * max(used, reached))
    mark = 160 + used * scale
    parts = [
        '<text x="150" y="19" text-anchor="end">Reached</text>'
        f'<rect class="bar" x="160" y="7" width="{reached * scale:.1f}" height="16" rx="2"/>'
        f'<line class="mark" x1="{mark:.1f}" x2="{mark:.1f}" y1="2" y2="30"/>'
        f'<text class="muted" x="{168 + max(reached, used) * scale:.1f}" y="19">'
        f"{reached:.2f} MHz</text>"
        f'<text x="{mark:.1f}" y="46" text-anchor="middle">used: {used:g} MHz</text>'
    ]
    margin = f"{reached / used - 1:+.1%} margin"
    return _svg(52, parts, f"Clock reached and used, {margin}") + f"<p>{margin}</p>"


def _layer_table(report: Mapping[str, Any]) -> str:
    head = (
        *("Layer", "Kind", "Output", "ℓ", "Bits", "Mult. dense", "Mult. DHAM", "Cycles, at most"),
        *("Array", "Weight words", "Activation words"),
    )
    rows = [
        (
            layer["name"],
            layer["kind"],
            "×".join(map(str, layer["output_shape"])),
            str(layer["group_size"]),
            str(layer["weight_bits"]),
            f"{layer['multiplications_dense']:,}",
            f"{layer['multiplications']:,}",
            f"{layer['cycles_bound']:,}",
            f"{layer['utilisation']:.1%}",
            f"{layer['weight_words']:,}",
            f"{layer['activation_words']:,}",
        )
        for layer in report["layers"]
    ]
    total = (
        *("Total", "", "", "", ""),
        f"{report['multiplications_dense']:,}",
        f"{report['multiplications']:,}",
        f"{report['cycles_bound']:,}",
        f"{report['array_utilisation']:.1%}",
        *("", ""),
    )
    return _table(head, rows, total=total, numeric_from=2)


def _critical_path(report: Mapping[str, Any]) -> str:
    """The path as the signals that it goes through; the report has every step of it."""
    rows = []
    for signal, group in groupby(report["critical_path"], key=lambda step: step["signal"]):
        steps = list(group)
        routing = sum(step["delay"] for step in steps if step["kind"] == "routing")
        total = sum(step["delay"] for step in steps)
        if total > 0:
            rows.append((signal, str(len(steps)), *_ns(total - routing, routing, total)))
    if not rows:
        return "<p>nextpnr named none within the clock.</p>"
    return _table(("Near signal", "Steps", "Logic, ns", "Routing, ns", "ns"), rows, numeric_from=1)


def _ns(*delays: float) -> tuple[str, ...]:
    return tuple(f"{delay:.2f}" for delay in delays)


def _provenance(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("Network, SHA-256", report["network"]["sha256"]),
        *report["tools"].items(),
        *((f"Time, {stage}", f"{taken:.1f} s") for stage, taken in report["seconds"].items()),
    ]


def _table(
    head: Iterable[str],
    rows: Iterable[tuple[str, ...]],
    *,
    total: tuple[str, ...] | None = None,
    numeric_from: int = 99,
) -> str:
    numeric = ' class="n"'

    def cells(row: Iterable[str], tag: str) -> str:
        return "".join(
            f"<{tag}{numeric if index >= numeric_from else ''}>{escape(cell)}</{tag}>"
            for index, cell in enumerate(row)
        )

    lines = [f"<tr>{cells(row, 'td')}</tr>" for row in rows]
    if total:
        lines.append(f'<tr class="total">{cells(total, "td")}</tr>')
    heading = f"<thead><tr>{cells(head, 'th')}</tr></thead>" if head else ""
    body = "\n".join(lines)
    return f'<div class="wide"><table>{heading}<tbody>{body}</tbody></table></div>'


def _svg(height: int, parts: Iterable[str], label: str) -> str:
    body = "\n".join(parts)
    return f'<svg viewBox="0 0 800 {height}" role="img" aria-label="{escape(label)}">{body}</svg>'
