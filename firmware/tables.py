"""The answers of `firmware.commands` as people read them."""

from collections.abc import Callable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["show"]

Answer = dict[str, Any]


def show(command: str, answer: Answer, console: Console) -> None:
    """Print a command's answer."""
    _TABLES[command](answer, console)


def _info(answer: Answer, console: Console) -> None:
    network, boot, test = answer["network"], answer["boot"], answer["self_test"]
    shape = " x ".join(map(str, network["input_shape"]))
    frame = answer["frame_cycles"]
    _pairs(console, [
        ("Port", f"{answer['port']}, {answer['baud']:,} baud"),
        ("Clock", f"{answer['clock_hz'] / 1e6:g} MHz"),
        ("Versions", f"firmware {answer['firmware']}, protocol {answer['protocol']}, "
         f"register map {answer['register_map']}"),
        ("Flash", f"JEDEC ID {answer['flash_id']}"),
        ("Start", f"copy {boot['copy'] + 1} of the firmware, error: {boot['error']}"),
        *([] if boot["error"] == "NONE" else [("", boot["text"])]),
        ("Self-test", f"{test['equal']} of {test['vectors']} golden vectors equal"),
        ("Network", f"{network['name'] or 'none'}, SHA-256 {network['sha256'][:16]}…"),
        ("Input", shape),
        ("Classes", ", ".join(network["classes"]) or "none"),
        ("Frame", f"{frame:,} cycles, {_ms(frame / answer['clock_hz'])}" if frame else "unknown"),
        ("Learned", f"{', '.join(answer['learned']) or 'none'} (at most {answer['max_learned']} "
         f"labels, {network['features']} features)"),
        ("Demo", f"{answer['demo_images']} images"),
    ])  # fmt: skip


def _classify(answer: Answer, console: Console) -> None:
    how = ", among the learned labels" if answer["few_shot"] else ""
    table = _table(f"{answer['network']} at {answer['clock_hz'] / 1e6:g} MHz{how}")
    for heading in ("Image", "Class", "Logits"):
        table.add_column(heading)
    for heading in ("Cycles", "Frame", "Round trip"):
        table.add_column(heading, justify="right")
    for image in answer["images"]:
        _row(
            table,
            image["file"],
            f"{image['class']} {image['name']}",
            " ".join(map(str, image["logits"])),
            f"{image['cycles']:,}",
            _ms(image["seconds"]),
            _ms(image["round_trip_seconds"]),
        )
    _print(table, console)


def _features(answer: Answer, console: Console) -> None:
    table = _table(answer["network"])
    for heading in ("Image", "Features"):
        table.add_column(heading)
    for image in answer["images"]:
        _row(table, image["file"], " ".join(map(str, image["features"])))
    _print(table, console)


def _bench(answer: Answer, console: Console) -> None:
    trips = answer["round_trip_seconds"]
    _pairs(console, [
        ("Network", f"{answer['network']} at {answer['clock_hz'] / 1e6:g} MHz"),
        ("Frame", f"{answer['frame_cycles']:,} cycles"),
        ("On the device", f"{answer['frames_per_second']:.1f} frames a second "
         f"({answer['frames']} frames, {answer['cycles']:,} cycles)"),
        *([("From here", f"{_ms(trips['mean'])} from image to class on average, at least "
            f"{_ms(trips['least'])}; {_ms(answer['line_seconds'])} of it the image on the line "
            f"({answer['round_trips']} images, {answer['repeats']} requests sent again)")]
          if trips else []),
    ])  # fmt: skip


def _self_test(answer: Answer, console: Console) -> None:
    verdict = "passed" if answer["passed"] else "FAILED"
    console.print(
        f"Self-test {verdict}: {answer['network']}, {answer['equal']} of {answer['vectors']} "
        f"golden vectors equal, {answer['cycles']:,} cycles a frame"
    )


def _learn(answer: Answer, console: Console) -> None:
    console.print(
        f"Learned {answer['label']} from {answer['images']} images ({answer['images_in_all']} in "
        f"all) and saved; labels: {', '.join(answer['learned'])}",
        markup=False,
    )


def _forget(answer: Answer, console: Console) -> None:
    gone = answer["forgotten"]
    text = "all labels" if gone == "all" else ", ".join(gone)
    left = ", ".join(answer["learned"]) or "none"
    console.print(f"Forgot {text}; labels left: {left}", markup=False)


def _counters(answer: Answer, console: Console) -> None:
    _pairs(console, [(name, f"{value:,}") for name, value in answer["counters"].items()])


def _peek(answer: Answer, console: Console) -> None:
    table = _table(None)
    for heading in ("Address", "Word", "Register", "Fields"):
        table.add_column(heading)
    for line in answer["words"]:
        fields = ", ".join(f"{name} {value}" for name, value in line["fields"].items())
        _row(
            table,
            f"{line['address']:#010x}",
            f"{line['word']:#010x}",
            line["register"] or "",
            fields,
        )
    _print(table, console)


def _poke(answer: Answer, console: Console) -> None:
    console.print(f"{len(answer['words'])} words written from {answer['address']:#010x} on")


_TABLES: dict[str, Callable[[Answer, Console], None]] = {
    "info": _info,
    "classify": _classify,
    "features": _features,
    "bench": _bench,
    "self-test": _self_test,
    "learn": _learn,
    "forget": _forget,
    "counters": _counters,
    "reset": _info,
    "peek": _peek,
    "poke": _poke,
}


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"


def _table(title: str | None) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def _row(table: Table, *cells: str) -> None:
    """A row whose cells are shown as they are: file names may have square brackets."""
    table.add_row(*map(Text, cells))


def _print(table: Table, console: Console) -> None:
    """As wide as it must be: a narrow window may wrap it, but no digit is lost."""
    unlimited = console.options.update(width=1000)
    console.width = max(console.width, console.measure(table, options=unlimited).maximum)
    console.print(table)


def _pairs(console: Console, pairs: list[tuple[str, str]]) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    for name, text in pairs:
        _row(table, name, text)
    _print(table, console)
