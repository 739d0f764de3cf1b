"""The page of an explanation: one HTML file with its style, script, image and data inside."""

import base64
import html
import io
import json
from importlib import resources
from string import Template

import numpy as np
from PIL import Image

from model.explain.attribution import Explanation
from model.network import Conv

__all__ = ["facts", "page"]

FOR, AGAINST = 6, 2  # maps shown: those that carried the target most, and spoke most against it
BARS = 10  # classes whose logits are in sight; the others can be unfolded


def page(explanation: Explanation, *, title: str, label: str | None = None) -> str:
    """The HTML text; `title` names the image, `label` is its true class where that is known.

    It loads nothing: a policy in its head forbids every connection.
    """
    folder = resources.files("model.explain")
    parts = {name: folder.joinpath(f"page.{name}").read_text("utf-8") for name in ("css", "js")}
    data = json.dumps(facts(explanation), separators=(",", ":"))
    network = explanation.network
    runner = explanation.runner
    return Template(folder.joinpath("page.html").read_text("utf-8")).substitute(
        css=parts["css"],
        js=parts["js"],
        data=data.replace("<", "\\u003c"),  # no text in it can end the script
        title=html.escape(title),
        network=html.escape(network.name),
        identity=html.escape(network.sha256 or "not saved"),
        chosen=html.escape(network.classes[explanation.chosen]),
        runner="" if runner is None else html.escape(network.classes[runner]),
        margin_hidden="hidden" if runner is None else "",
        verdict=_verdict(explanation, label),
        bars=_bars(explanation),
        sums=_sums(explanation),
        image=_png(explanation),
        size=f"{network.input_shape[1]}×{network.input_shape[0]}",
    )


# --- what the script draws ------------------------------------------------------------------------


def facts(explanation: Explanation) -> dict:
    """All that the page's script draws, JSON-able. Arrays are base64 of little-endian bytes."""
    network = explanation.network
    tensors = network.tensors
    last = network.classifier
    return {
        "classes": list(network.classes),
        "logits": [int(n) for n in explanation.logits],
        "chosen": explanation.chosen,
        "runner": explanation.runner,
        "classifier": {
            "source": last.source,
            "weights": _bytes(last.weights, "<i1"),
            "bias": [int(n) for n in last.bias],
        },
        "tensors": [
            {
                "name": "image" if index == 0 else network.layers[index - 1].name,
                "text": "" if index == 0 else _describe(network, network.convs[index - 1]),
                "height": tensor.height,
                "width": tensor.width,
                "groups": tensor.groups,
                "ell": tensor.group_size,
                "maximum": tensor.maximum,
                "values": _bytes(records.value, "<u1"),
                "winners": _bytes(records.winner, "<u2"),
            }
            for index, (tensor, records) in enumerate(
                zip(tensors, explanation.records, strict=True)
            )
        ],
        "targets": [
            {
                "kind": target.kind,
                "total": target.total,
                "bias": target.bias,
                "tensors": [
                    _relevance(layer, t) for layer, t in zip(target.tensors, tensors, strict=True)
                ],
            }
            for target in explanation.targets
        ],
    }


def _relevance(layer, tensor):
    order = np.argsort(-layer.maps, kind="stable")
    shown = [m for m in order[:FOR] if layer.maps[m] > 0]
    shown += [m for m in order[-AGAINST:] if layer.maps[m] < 0]
    maps = []
    for number in map(int, shown):
        group, k = divmod(number, tensor.group_size)
        part = np.where(layer.winners[:, :, group] == k, layer.records[:, :, group], 0)
        maps.append({"map": number, "total": _number(layer.maps[number]), **_heat(part)})
    return {
        "total": _number(layer.maps.sum()),
        "up": _number(layer.maps[layer.maps > 0].sum()),
        "down": _number(layer.maps[layer.maps < 0].sum()),
        "kept": _number(layer.kept),
        "maps": maps,
        **_heat(layer.pixels),
    }


def _heat(pixels):
    """[H, W] as bytes −127 to 127 of its peak: what is drawn, not what is stated."""
    peak = float(np.abs(pixels).max())
    levels = np.rint(pixels / peak * 127) if peak else np.zeros(pixels.shape)
    return {"peak": _number(peak), "heat": _bytes(levels, "<i1")}


def _number(value):
    return round(float(value), 3)


def _bytes(array, dtype):
    return base64.b64encode(np.ascontiguousarray(array).astype(dtype).tobytes()).decode("ascii")


def _describe(network, layer: Conv) -> str:
    names = ["the image", *(other.name for other in network.layers)]
    text = f"{layer.weights.shape[1]}×{layer.weights.shape[2]} convolution of {names[layer.source]}"
    if layer.stride > 1:
        text += f", stride {layer.stride}"
    if layer.projection is not None:
        text += f", plus a projection of {names[layer.projection.source]}"
    if layer.identity is not None:
        text += f", plus {names[layer.identity.source]} itself"
    return text


def _png(explanation):
    pixels = explanation.image << (8 - explanation.network.input_bits)
    if pixels.shape[2] == 3:
        picture = Image.fromarray(pixels)
    else:
        picture = Image.fromarray(pixels.mean(2).astype(np.uint8))
    data = io.BytesIO()
    picture.save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode("ascii")


# --- what is there without the script -------------------------------------------------------------


def _signed(value: int) -> str:
    return f"{value:+,}".replace("-", "−")


def _plain(value: int) -> str:
    return f"{value:,}".replace("-", "−")


def _verdict(explanation, label):
    classes, logits = explanation.network.classes, explanation.logits
    name = html.escape(classes[explanation.decided])
    text = f"The network decides for <strong>{name}</strong>"
    if explanation.chosen == explanation.decided and explanation.runner is not None:
        runner, lead = html.escape(classes[explanation.runner]), explanation.targets[1].total
        text += f", {_plain(lead)} ahead of {runner}"
    text += "."
    if explanation.chosen != explanation.decided:
        rank = int((logits > logits[explanation.chosen]).sum()) + 1
        text += (
            f" Explained here is <strong>{html.escape(classes[explanation.chosen])}</strong>, "
            f"number {rank} of {len(classes)}, {_plain(-explanation.targets[1].total)} behind "
            f"{html.escape(classes[explanation.runner])}."
        )
    if label is not None:
        text += f" By the data set it is <strong>{html.escape(label)}</strong>"
        if label in classes:
            right = "right" if label == classes[explanation.decided] else "wrong"
            text += f": the decision is {right}"
        text += "."
    return text


def _bars(explanation):
    logits, classes = explanation.logits, explanation.network.classes
    order = sorted(range(len(classes)), key=lambda o: (-logits[o], o))
    low, high = min(0, int(logits.min())), max(0, int(logits.max()))
    span = max(high - low, 1)
    rows = []
    for o in order:
        left, right = sorted((0, int(logits[o])))
        marks = [("chosen", o == explanation.chosen), ("runner", o == explanation.runner)]
        kind = " ".join(name for name, is_so in marks if is_so)
        rows.append(
            f'<tr class="{kind}"><th scope="row">{html.escape(classes[o])}</th>'
            f'<td><span class="bar" style="margin-left:{100 * (left - low) / span:.2f}%;'
            f'width:{100 * (right - left) / span:.2f}%"></span></td>'
            f'<td class="number">{_plain(int(logits[o]))}</td></tr>'
        )
    seen = [
        r for r, o in zip(rows, order, strict=True) if o in (explanation.chosen, explanation.runner)
    ]
    first = rows[:BARS] + [row for row in seen if row not in rows[:BARS]]
    rest = [row for row in rows if row not in first]
    text = f'<table class="bars" id="logits"><caption>Logits</caption>{"".join(first)}</table>'
    if rest:
        text += (
            f"<details><summary>{len(rest)} more classes</summary>"
            f'<table class="bars">{"".join(rest)}</table></details>'
        )
    return text


def _sums(explanation):
    """The proof: every target's contributions by sign, with the bias, and their exact sum."""
    rows = []
    for target in explanation.targets:
        up = int(target.contributions[target.contributions > 0].sum())
        down = int(target.contributions[target.contributions < 0].sum())
        if up + down + target.bias != target.total:
            raise RuntimeError(f"The sums of the {target.kind} do not add up")
        rows.append(
            f'<tr data-target="{target.kind}"><th scope="row">{target.kind}</th>'
            f"<td>{_signed(up)}</td><td>{_signed(down)}</td><td>{_signed(target.bias)}</td>"
            f"<td><strong>{_plain(target.total)}</strong></td></tr>"
        )
    return "".join(rows)
