"""Explanations: contributions exact, relevance by brute force, the page in a parser and a browser.

The browser is Debian's `chromium`. Where there is none, its test is skipped with a reason, or
fails if DHAM_BROWSER=required.
"""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from model.data import cifar
from model.data.pictures import PictureOptions, read_picture
from model.explain.__main__ import main
from model.explain.attribution import explain
from model.explain.page import page
from model.explain.picture import find_picture
from model.integers import oracle
from model.network import Classifier, Conv, Identity, Network, Projection, save, validate
from sim.networks import Limits, images_for, random_network
from tests.model.programs import refusal

COLOUR = Limits(min_pixels=5, max_pixels=9)


def of_channels(channels, first=0):
    """A random network whose image has so many channels."""
    found = (random_network(seed, COLOUR) for seed in range(first, first + 1000))
    return next(n for n in found if n.input_shape[2] == channels and len(n.convs) > 2)


def decisive():
    """A small network that does something on any image: both shortcuts, groups of 4, 2 and 1."""
    rng = np.random.default_rng(5)

    def conv(name, source, shape, group, **more):
        return Conv(
            name=name,
            source=source,
            weights=rng.integers(-4, 8, shape),
            weight_bits=4,
            padding=(1, 1, 1, 1),
            bias=rng.integers(-50, 50, shape[0]),
            shift=np.full(shape[0], 10),
            group_size=group,
            activation_bits=4,
            **{"stride": 1, "order": "before", "multiplier": np.full(shape[0], 3), **more},
        )

    first = conv("stem", 0, (8, 3, 3, 3), 4)
    second = conv("second", 1, (8, 3, 3, 8), 2, multiplier=np.full(8, 60))
    identity = Identity(source=1, factor=np.full(8, 4))
    second = replace(second, identity=identity)
    shortcut = Projection(source=1, stride=2, exponent=1, weights=rng.integers(-4, 8, (6, 8)))
    third = conv("third", 2, (6, 3, 3, 8), 1, stride=2, multiplier=np.full(6, 60))
    third = replace(third, projection=shortcut)
    last = Classifier(
        name="classifier",
        source=3,
        weights=rng.integers(-100, 100, (4, 6)),
        weight_bits=8,
        bias=np.array([10, -20, 30, 0]),
    )
    network = Network(
        name="small",
        input_shape=(8, 8, 3),
        layers=(first, second, third, last),
        classes=("ant", "bee", "cow", "doe"),
    )
    validate(network)
    return network


def picture_of(network, seed=0):
    return images_for(network, seed, 1)[0]


# --- contributions and relevance ------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_contributions_are_exact_on_any_network(seed):
    network = random_network(seed)
    image = picture_of(network, seed)
    result = oracle.run(network, image[None])
    last = network.classifier
    group_size = network.tensors[last.source].group_size
    dense = oracle.expand(result.records[last.source - 1], group_size)[0].sum((0, 1))
    for chosen in range(min(3, len(network.classes))):
        found = explain(network, image, chosen)
        assert np.array_equal(found.logits, result.logits[0])
        assert found.decided == result.decisions[0] and found.chosen == chosen
        best = max(o for i, o in enumerate(result.logits[0]) if i != chosen)
        assert result.logits[0][found.runner] == best and found.runner != chosen
        logit, margin = found.targets
        assert (logit.kind, margin.kind) == ("logit", "margin")
        weights = last.weights.astype(np.int64)
        for target, row, bias, total in (
            (logit, weights[chosen], int(last.bias[chosen]), result.logits[0][chosen]),
            (
                margin,
                weights[chosen] - weights[found.runner],
                int(last.bias[chosen]) - int(last.bias[found.runner]),
                result.logits[0][chosen] - best,
            ),
        ):
            assert target.contributions.dtype == np.int64
            assert target.bias == bias and target.total == total
            assert bias + int(target.contributions.sum()) == total
            # Each map's share, by another way: what it holds in all pixels, times its weight.
            assert np.array_equal(target.tensors[last.source].maps, (row * dense).astype(float))


@pytest.mark.parametrize("seed", range(30))
def test_relevance_ends_in_the_image_or_in_biases(seed):
    network = random_network(seed)
    for target in explain(network, picture_of(network, seed)).targets:
        kept = [layer.kept for layer in target.tensors]
        size = max(np.abs(layer.records).sum() for layer in target.tensors) + sum(map(abs, kept))
        ends = target.tensors[0].records.sum() + sum(kept)
        assert abs(ends - target.contributions.sum()) <= 1e-9 * max(size, 1)
        assert kept[0] == 0
        for layer in target.tensors:
            assert np.allclose(layer.pixels, layer.records.sum(2), atol=1e-9 * max(size, 1))
            assert abs(layer.maps.sum() - layer.records.sum()) <= 1e-9 * max(size, 1)


def by_hand(network, records, contributions):
    """Relevance of every record, record by record and term by term, in fractions."""
    tensors = network.tensors
    shapes = [r.value.shape for r in records]
    relevance = [np.full(shape, Fraction(0), object) for shape in shapes]
    relevance[network.classifier.source] += contributions.astype(object) * Fraction(1)
    kept = [Fraction(0)] * len(tensors)
    for index in reversed(range(len(network.convs))):
        layer, size = network.convs[index], network.convs[index].group_size
        top, _, left, _ = layer.padding
        for y, x, g in np.ndindex(*shapes[index + 1]):
            if records[index + 1].value[y, x, g] == 0:
                continue
            o = g * size + int(records[index + 1].winner[y, x, g])
            terms = []  # (tensor, place, term)

            def add(tensor, place, weights, factor=1, terms=terms):
                for group in range(tensors[tensor].groups):
                    value = int(records[tensor].value[(*place, group)])
                    map_ = group * tensors[tensor].group_size
                    map_ += int(records[tensor].winner[(*place, group)])
                    terms.append((tensor, (*place, group), int(weights[map_]) * factor * value))

            for ky, kx in np.ndindex(*layer.weights.shape[1:3]):
                place = y * layer.stride + ky - top, x * layer.stride + kx - left
                tensor = tensors[layer.source]
                if 0 <= place[0] < tensor.height and 0 <= place[1] < tensor.width:
                    add(layer.source, place, layer.weights[o, ky, kx])
            if layer.projection is not None:
                short = layer.projection
                place = y * short.stride, x * short.stride
                add(short.source, place, short.weights[o], 2**short.exponent)
            if layer.identity is not None:
                only = np.zeros(layer.channels, np.int64)
                only[o] = layer.identity.factor[o]
                add(layer.identity.source, (y, x), only)
            total = sum(term for _, _, term in terms) + int(layer.bias[o])
            assert total > 0
            share = relevance[index + 1][y, x, g] / total
            kept[index + 1] += share * int(layer.bias[o])
            for tensor, place, term in terms:
                relevance[tensor][place] += share * term
    return relevance, kept


@pytest.mark.parametrize("network", [decisive(), random_network(11), random_network(23)])
def test_relevance_is_what_the_rule_says(network):
    found = explain(network, picture_of(network, 3))
    for target in found.targets:
        relevance, kept = by_hand(network, found.records, target.contributions)
        for layer, own, bias in zip(target.tensors, relevance, kept, strict=True):
            own = own.astype(float)
            scale = max(np.abs(own).max(), 1)
            assert np.abs(layer.records - own).max() <= 1e-9 * scale
            assert abs(layer.kept - float(bias)) <= 1e-6 * max(abs(float(bias)), scale)


def test_the_small_network_is_alive():
    """Or the tests above would compare zeros."""
    found = explain(decisive(), picture_of(decisive(), 3))
    for layer in found.targets[1].tensors:
        assert np.abs(layer.records).sum() > 100 and (layer.records != 0).sum() > 10


def test_ties_and_one_class():
    network = decisive()
    last = network.classifier
    flat = replace(last, weights=np.zeros((4, 6), np.int64), bias=np.full(4, 7))
    found = explain(replace(network, layers=(*network.convs, flat)), picture_of(network))
    assert (found.decided, found.chosen, found.runner) == (0, 0, 1)
    assert found.targets[1].total == 0
    one = replace(last, weights=last.weights[:1], bias=last.bias[:1])
    alone = replace(network, layers=(*network.convs, one), classes=("only",))
    found = explain(alone, picture_of(network))
    assert found.runner is None and [t.kind for t in found.targets] == ["logit"]
    text = page(found, title="x")
    assert 'value="margin" hidden' in text and "ahead of" not in text


# --- the page, as text ----------------------------------------------------------------------------


class Page(HTMLParser):
    """Checks nesting; collects tags, ids, texts by id and what could load something."""

    EMPTY = frozenset(("meta", "link", "img", "input", "br"))

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.loads, self.text = [], [], [], [], ""
        self.script = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append((tag, given))
        if "id" in given:
            self.ids.append(given["id"])
        self.loads += [given[key] for key in ("src", "href", "action", "data") if key in given]
        if tag not in self.EMPTY:
            self.open.append((tag, given.get("id") or given.get("type")))

    def handle_endtag(self, tag):
        assert self.open[-1][0] == tag, f"</{tag}> closes <{self.open[-1][0]}>"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1][0] in ("script", "style"):
            self.script[self.open[-1]] = self.script.get(self.open[-1], "") + data
        else:
            self.text += data

    def data(self):
        return json.loads(self.script["script", "data"])


def decoded(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


def test_page_holds_the_whole_decision():
    network = decisive()
    found = explain(network, picture_of(network, 3))
    read = Page(page(found, title="a picture.png", label="cow"))
    facts = read.data()
    assert facts["logits"] == found.logits.tolist() and facts["classes"] == list(network.classes)
    assert len(facts["tensors"]) == 4 and len(facts["targets"]) == 2
    for shown, records in zip(facts["tensors"], found.records, strict=True):
        assert np.array_equal(decoded(shown["values"], "<u1"), records.value.ravel())
        assert np.array_equal(decoded(shown["winners"], "<u2"), records.winner.ravel())
    weights = decoded(facts["classifier"]["weights"], "<i1").reshape(4, 6)
    assert np.array_equal(weights, network.classifier.weights)
    for shown, target in zip(facts["targets"], found.targets, strict=True):
        assert (shown["total"], shown["bias"]) == (target.total, target.bias)
        last = shown["tensors"][3]
        assert last["total"] == target.contributions.sum()
        assert last["up"] + last["down"] == last["total"]
        for layer, values in zip(shown["tensors"], target.tensors, strict=True):
            totals = {one["map"]: one["total"] for one in layer["maps"]}
            for number, total in totals.items():
                assert abs(values.maps[number] - total) < 1e-3
            best = values.maps.max()
            assert best <= 0 or abs(max(totals.values()) - best) < 1e-3
    for logit in found.logits:
        assert f"{logit:,}".replace("-", "−") in read.text
    assert "a picture.png" in read.text
    name = network.classes[found.decided]
    right = "right" if name == "cow" else "wrong"
    assert f"By the data set it is cow: the decision is {right}." in read.text
    for label, end in ((name, ": the decision is right."), ("yak", ".")):
        text = Page(page(found, title="x", label=label)).text
        assert f"By the data set it is {label}{end}" in text
    other = explain(network, picture_of(network, 3), (found.decided + 1) % 4)
    behind = other.logits[found.decided] - other.logits[other.chosen]
    assert f"{behind:,} behind {name}." in Page(page(other, title="x")).text


def test_page_is_sound_and_loads_nothing():
    found = explain(decisive(), picture_of(decisive(), 3), 1)
    text = page(found, title="x")
    read = Page(text)
    assert len(read.ids) == len(set(read.ids))
    assert all(link.startswith(("data:", "#")) for link in read.loads)
    assert {link[1:] for link in read.loads if link.startswith("#")} <= set(read.ids)
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttp", text)
    policies = [a["content"] for t, a in read.tags if a.get("http-equiv")]
    assert len(policies) == 1 and policies[0].startswith("default-src 'none'")
    assert ("html", {"lang": "en"}) in read.tags
    assert any(a.get("name") == "viewport" for _, a in read.tags)
    assert all(a.get("alt") for t, a in read.tags if t == "img")
    for reference in ("aria-labelledby", "aria-describedby", "for"):
        assert {a[reference] for _, a in read.tags if reference in a} <= set(read.ids)
    # Every element that the script looks for by its id is there.
    assert set(re.findall(r'byId\("([\w-]+)"\)', text)) <= set(read.ids)
    assert text == page(found, title="x")  # nothing of it depends on when it was made


def test_names_cannot_break_the_page():
    nasty = ("</script><b>", "<!-- & \"'", "$css ${js}", "bee")
    network = replace(decisive(), classes=nasty, name="<i>$title</i>")
    for chosen in range(4):
        found = explain(network, picture_of(network, 3), chosen)
        read = Page(page(found, title="<img src=x onerror=alert(1)>.png", label=nasty[0]))
        assert read.data()["classes"] == list(nasty)
        assert not any(tag in ("b", "i") and a for tag, a in read.tags)
        assert sum(tag == "img" for tag, _ in read.tags) == 1
        assert sum(tag == "script" for tag, _ in read.tags) == 2
        for name in (*nasty, "<img src=x onerror=alert(1)>.png", "<i>$title</i>"):
            assert name in read.text


def test_many_classes_are_folded():
    network = decisive()
    rng = np.random.default_rng(0)
    last = replace(
        network.classifier, weights=rng.integers(-9, 9, (30, 6)), bias=np.arange(30) * 100
    )
    classes = tuple(f"class {o}" for o in range(30))
    network = replace(network, layers=(*network.convs, last), classes=classes)
    image = picture_of(network, 3)
    worst = int(explain(network, image).logits.argmin())
    text = page(explain(network, image, worst), title="x")
    # Ten in sight, and the explained one; the best of the others is among the ten.
    assert "<summary>19 more classes</summary>" in text
    assert text.index(f'row">class {worst}<') < text.index("<summary>")
    assert len(re.findall('<th scope="row">class', text)) == 30


# --- the page, in a browser -----------------------------------------------------------------------

PROBE = """<script>
const steps = [];
function note(name) {
  const of = (id) => document.getElementById(id);
  steps.push([name, { ...document.body.dataset }, location.hash, of("layer-title").textContent,
    of("strip").children.length, of("groups").children.length, of("group").options.length,
    of("carriers").children.length, of("carried").children.length,
    of("readout").textContent, of("check").textContent, of("check").className,
    of("legend").textContent,
    document.documentElement.scrollWidth - document.documentElement.clientWidth,
    innerWidth, document.body.scrollWidth,
    drawn(of("map")), of("layer-sums").textContent]);
}
// How many colours a canvas shows: 1 where nothing was drawn.
function drawn(canvas) {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(new Uint32Array(pixels.buffer)).size;
}
function key(target, name) {
  const options = { key: name, bubbles: true, cancelable: true };
  target.dispatchEvent(new KeyboardEvent("keydown", options));
}
function probe() {
  if (document.body.dataset.ready !== "yes") { setTimeout(probe, 20); return; }
  const of = (id) => document.getElementById(id);
  note("start");
  if (location.hash === "") {
    of("strip").children[1].click(); note("layer 1");
    of("groups").children[1].click(); note("group 1");
    key(of("map"), "ArrowRight"); key(of("map"), "ArrowRight"); key(of("map"), "ArrowDown");
    note("pixel");
    of("group").value = "0"; of("group").dispatchEvent(new Event("change")); note("select");
    document.querySelector("input[value=logit]").click(); note("logit");
    of("shade").click(); note("shade");
    of("strip").children[1].focus(); key(document.activeElement, "ArrowRight"); note("arrow");
    of("carriers").children[0].click(); note("carrier");
    of("strip").children[0].click(); note("image");
  }
  const found = document.createElement("pre");
  found.id = "found"; found.textContent = JSON.stringify(steps);
  document.body.append(found);
}
probe();
</script>"""


@pytest.fixture
def browser(tmp_path):
    """(page's text, size, fragment) to the DOM after its scripts ran."""
    chromium = shutil.which("chromium")
    if chromium is None:
        reason = "chromium is missing: the page was not run in a browser (Debian: chromium)"
        if os.environ.get("DHAM_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)

    def run(text, size, fragment=""):
        (tmp_path / "page.html").write_text(text)
        done = subprocess.run(
            [
                chromium,
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
                *("--no-first-run", "--disable-background-networking", "--disable-sync"),
                *("--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}"),
                *(f"--window-size={size}", "--virtual-time-budget=10000", "--dump-dom"),
                f"{(tmp_path / 'page.html').as_uri()}{fragment}",
            ],
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == 0 and "</html>" in done.stdout, done.stderr
        return done.stdout

    return run


def probed(dom):
    read = Page(dom)
    body = next(attributes for tag, attributes in read.tags if tag == "body")
    assert "data-errors" not in body, read.text
    found = re.search(r'<pre id="found">(.*?)</pre>', dom, re.S)
    assert found is not None, "the page's script did not come to its end"
    names = (
        "step data hash title strip groups options carriers carried readout check good legend "
        "overflow window wide colours sums"
    )
    return {
        step[0]: dict(zip(names.split(), step, strict=True))
        for step in json.loads(found[1].replace("&amp;", "&").replace("&nbsp;", "\u00a0"))
    }


def test_page_in_a_browser(browser):
    network = decisive()
    found = explain(network, picture_of(network, 3))
    text = page(found, title="x") + PROBE
    steps = probed(browser(text, "1200,900"))

    start = steps["start"]
    assert start["check"] == (
        "Recomputed in this page from the records of third: 4 of 4 logits equal, "
        "contributions add up."
    )
    assert start["good"] == "check good"
    assert (start["title"], start["strip"], start["groups"], start["options"]) == ("third", 4, 6, 6)
    shown = Page(text).data()["targets"][1]["tensors"]
    assert start["carriers"] == start["carried"] == len(shown[3]["maps"]) > 2
    assert start["data"] == {"layer": "3", "group": "0", "target": "margin", "ready": "yes"}

    layer = steps["layer 1"]
    assert (layer["title"], layer["groups"], layer["options"]) == ("stem", 2, 2)
    assert layer["carried"] == len(shown[1]["maps"]) and layer["colours"] > 1
    assert "group=1" in steps["group 1"]["hash"] and steps["group 1"]["data"]["group"] == "1"
    records = found.records[1]
    value, winner = int(records.value[1, 1, 1]), int(records.winner[1, 1, 1])
    said = "silent" if value == 0 else f"map {4 + winner} (group 1, k = {winner}) has {value} of 15"
    assert steps["pixel"]["readout"] == f"Row 1, column 1: {said}"
    for step, group in (("group 1", 1), ("select", 0)):
        wins, live = records.winner[:, :, group], records.value[:, :, group] > 0
        expected = "".join(
            f"map {4 * group + k}: {n} ({round(100 * n / 64 + 1e-9)} %)"
            for k, n in enumerate([int((live & (wins == k)).sum()) for k in range(4)])
        )
        silent = int((~live).sum())
        assert steps[step]["legend"] == (
            f"{expected}silent: {silent} ({round(100 * silent / 64 + 1e-9)} %)"
        )
    assert steps["logit"]["data"]["target"] == "logit"
    assert steps["logit"]["sums"] != steps["select"]["sums"]
    assert "shade=1" in steps["shade"]["hash"]
    assert steps["shade"]["colours"] >= steps["logit"]["colours"]
    assert steps["arrow"]["title"] == "second"
    top = Page(text).data()["targets"][0]["tensors"][3]["maps"][0]["map"]
    assert steps["carrier"]["data"]["layer"] == "3"
    assert steps["carrier"]["data"]["group"] == str(top)  # ℓ = 1: a group is a map
    assert steps["image"]["title"] == "image" and steps["image"]["carried"] > 0
    assert {step["overflow"] for step in steps.values()} == {0}


def test_page_on_a_phone_at_an_address(browser):
    """The address chooses layer, group and target; nothing is wider than the screen."""
    network = decisive()
    text = page(explain(network, picture_of(network, 3)), title="x")
    # Chromium has no window below 500 pixels: a body of 360 in it has the phone's layout.
    narrow = "<style>body { width: 360px; }</style>"
    step = probed(browser(text + narrow + PROBE, "500,800", "#layer=2&group=3&target=logit"))
    step = step["start"]
    assert step["data"] == {"layer": "2", "group": "3", "target": "logit", "ready": "yes"}
    assert (step["title"], step["groups"]) == ("second", 4)
    assert (step["window"], step["wide"]) == (500, 360)


def test_a_failing_script_is_seen(browser):
    """What the tests above rely on: an error anywhere in the script is recorded in the page."""
    text = page(explain(decisive(), picture_of(decisive())), title="x")
    broken = text.replace('"values":"', '"value":"')
    assert broken != text
    dom = browser(broken, "1200,900")
    assert 'data-errors="1"' in dom and "This page's script has failed" in dom
    assert "data-ready" not in dom


# --- pictures and the program ---------------------------------------------------------------------


@pytest.fixture
def picture(tmp_path):
    rng = np.random.default_rng(2)
    path = tmp_path / "picture.png"
    Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    return path


@pytest.mark.parametrize("shape", [(8, 8, 3), (5, 9, 1), (20, 30, 3)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "I;16", "1", "CMYK"])
def test_pictures_of_any_mode_become_the_networks_input(tmp_path, shape, mode):
    rng = np.random.default_rng(3)
    if mode == "I;16":
        made = Image.fromarray(rng.integers(0, 65536, (20, 30), dtype=np.uint16))
    else:
        made = Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).convert(mode)
    path = tmp_path / f"picture.{'tiff' if mode == 'CMYK' else 'png'}"
    made.save(path)
    pixels = read_picture(path, input_shape=shape)
    assert pixels.shape == shape and pixels.dtype == np.uint8
    assert pixels.min() < pixels.max()


def test_pixels_have_the_bits_of_the_input(picture):
    network = replace(decisive(), input_bits=3)
    full = read_picture(picture, input_shape=(8, 8, 3))
    assert np.array_equal(find_picture(str(picture), network).pixels, full >> 5)


def test_program(tmp_path, picture, capsys):
    network = save(decisive(), tmp_path / "small.dham")
    out = tmp_path / "page.html"
    given = ["--network", str(tmp_path / "small.dham"), str(picture), "--output", str(out)]
    assert main(given) == 0
    pixels = find_picture(str(picture), network).pixels
    found = explain(network, pixels)
    assert out.read_text() == page(found, title="picture.png")
    said = capsys.readouterr().out
    name, runner = (network.classes[o] for o in (found.decided, found.runner))
    assert said.startswith(f"{name}, logit {found.logits[found.decided]}, ")
    assert f"{found.targets[1].total} ahead of {runner}\npage: {out}\n" in said
    other = (found.decided + 1) % 4
    assert main([*given, "--class", network.classes[other]]) == 0
    assert (
        f"explained: {network.classes[other]}, {found.logits[other]}, " in capsys.readouterr().out
    )
    assert out.read_text() == page(explain(network, pixels, other), title="picture.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", "picture.png", "small.dham"]


def test_options_of_pictures(tmp_path, picture, capsys):
    """As every program that reads pictures: fit, background."""
    network = save(decisive(), tmp_path / "small.dham")
    clear = tmp_path / "clear.png"
    Image.new("RGBA", (20, 30), (0, 0, 0, 0)).save(clear)
    out = tmp_path / "page.html"
    given = ["--network", str(tmp_path / "small.dham"), "--output", str(out)]
    for options, how in (
        ([], PictureOptions()),
        (["--fit", "crop"], PictureOptions("crop")),
        (["--fit=pad", "--background=#102030"], PictureOptions("pad", (16, 32, 48))),
    ):
        for path in (picture, clear):
            assert main([*given, str(path), *options]) == 0
            pixels = read_picture(path, input_shape=(8, 8, 3), options=how)
            assert out.read_text() == page(explain(network, pixels), title=path.name)
    capsys.readouterr()


def test_picture_on_standard_input(tmp_path, picture, monkeypatch, capsys):
    network = save(decisive(), tmp_path / "small.dham")
    out = tmp_path / "page.html"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(picture.read_bytes())))
    assert main(["--network", str(tmp_path / "small.dham"), "-", "--output", str(out)]) == 0
    found = explain(network, find_picture(str(picture), network).pixels)
    assert out.read_text() == page(found, title="standard input")
    assert "page: " in capsys.readouterr().out


def test_names_that_are_not_utf8(tmp_path, picture):
    """Picture and page, in a program of its own, whose output is UTF-8."""
    save(decisive(), tmp_path / "small.dham")
    odd = tmp_path / os.fsdecode(b"caf\xe9 <b>.png")
    picture.rename(odd)
    out = tmp_path / os.fsdecode(b"p\xe4ge.html")
    done = subprocess.run(
        [sys.executable, "-m", "model.explain", "--network", str(tmp_path / "small.dham"),
         odd, "--output", out],
        capture_output=True, env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"}, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"/p\\xe4ge.html\n")
    assert "caf\\xe9 &lt;b&gt;.png" in out.read_text()


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with a CIFAR-10 test file of 40 images."""
    monkeypatch.setattr(cifar, "RECORDS", 40)
    raw = np.random.default_rng(1).integers(0, 256, (40, 3073), dtype=np.uint8)
    raw[:, 0] = np.arange(40) % 10
    (tmp_path / "data").mkdir()
    raw.tofile(tmp_path / "data" / "test_batch.bin")
    return tmp_path / "data"


def test_image_of_a_data_set(data):
    network = replace(decisive(), input_shape=(32, 32, 3))
    found = find_picture("cifar10:test:13", network, data)
    assert (found.title, found.label) == ("cifar10:test:13", "cat")
    assert np.array_equal(found.pixels, cifar.read_test(data).pixels[13].numpy())


def test_bad_input(data, picture, tmp_path, monkeypatch, capsys):
    path, large, two = (tmp_path / f"{name}.dham" for name in ("small", "large", "two"))
    save(decisive(), path)
    save(replace(decisive(), input_shape=(32, 32, 3)), large)
    save(of_channels(2), two)
    (tmp_path / "text.png").write_text("no picture")
    before = sorted(p.name for p in tmp_path.iterdir())

    def refused(*arguments):
        monkeypatch.chdir(tmp_path)
        return refusal(main, arguments, monkeypatch, capsys)

    some = ("--network", path)
    big = ("--network", large, "--data", data)
    assert "No picture none.png; one of a data set is called cifar10:test:123" in refused(
        *some, "none.png"
    )
    assert "Cannot read picture text.png: cannot identify image file" in refused(*some, "text.png")
    assert "No picture data: a folder, but one picture is explained" in refused(*some, "data")
    assert "argument --background: no opaque colour 'whit'" in refused(
        *some, picture, "--background", "whit"
    )
    assert "Class 'bea': did you mean bee? (known: ant, bee, cow, doe)" in refused(
        *some, picture, "--class", "bea"
    )
    assert "the network's input has 2" in refused("--network", two, picture)
    assert "takes images of 8x8x3, 8 bits; those of CIFAR are 32x32x3" in refused(
        *some, "cifar10:test:3", "--data", data
    )
    assert "needs --data DIR: get https" in refused(*some, "cifar10:test:3")
    assert "test images are numbered 0 to 39" in refused(*big, "cifar10:test:40")
    assert "test images are numbered 0 to 39" in refused(*big, "cifar10:test:-1")
    assert "test images are numbered 0 to 39" in refused(*big, "cifar10:test:x")
    assert "only test images are numbered: cifar10:test:123" in refused(*big, "cifar10:train:4")
    assert "data set 'cifar11': did you mean cifar10?" in refused(*big, "cifar11:test:4")
    assert "Cannot read network file" in refused("--network", "x.dham", picture)
    late = (*some, "none.png", "--output")  # said before the picture is even looked for
    assert "--output none/page.html: the folder none does not exist" in refused(
        *late, "none/page.html"
    )
    assert "--output data is a folder: give the name of a file" in refused(*late, "data")
    assert "--output needs the name of a file, not ''" in refused(*late, "")
    assert "small.dham is the file that is read: give another name" in refused(*late, path)
    assert "is the file that is read: give another name" in refused(
        *some, picture, "--output", picture
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_started_as_a_program_without_torch(tmp_path, picture):
    """A picture is explained by numpy and Pillow alone."""
    save(decisive(), tmp_path / "small.dham")
    code = (
        "import sys, runpy; sys.modules['torch'] = None; "
        "sys.argv = ['explain', '--network', 'small.dham', 'picture.png']; "
        "runpy.run_module('model.explain', run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("page: build/explain/picture.html\n")
    Page((tmp_path / "build/explain/picture.html").read_text())
