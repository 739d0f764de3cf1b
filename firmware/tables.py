"""The answers of `firmware.commands` as people read them."""

from collections.abc import Callable
from typing import Any

from rich.console import Console

from model.common.terminal import Table, pairs, say

__all__ = ["show"]

Answer = dict[str, Any]


def show(command: str, answer: Answer, console: Console) -> None:
    """Print a command's answer."""
    _TABLES[command](answer, console)


def _info(answer: Answer, console: Console) -> None:
    network, boot, test = answer["network"], answer["boot"], answer["self_test"]
    shape = " x ".join(map(str, network["input_shape"]))
    frame = answer["frame_cycles"]
    pairs(console, [
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
    title = f"{answer['network']} at {answer['clock_hz'] / 1e6:g} MHz{how}"
    headings = ("Image", "Class", "Logits", "Cycles", "Frame", "Round trip")
    table = Table(*headings, title=title, left=3)
    for image in answer["images"]:
        table.add(
            image["file"],
            f"{image['class']} {image['name']}",
            " ".join(map(str, image["logits"])),
            f"{image['cycles']:,}",
            _ms(image["seconds"]),
            _ms(image["round_trip_seconds"]),
        )
    table.show(console)


def _features(answer: Answer, console: Console) -> None:
    table = Table("Image", "Features", title=answer["network"], left=2)
    for image in answer["images"]:
        table.add(image["file"], " ".join(map(str, image["features"])))
    table.show(console)


def _bench(answer: Answer, console: Console) -> None:
    trips = answer["round_trip_seconds"]
    pairs(console, [
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
    say(
        console,
        f"Self-test {verdict}: {answer['network']}, {answer['equal']} of {answer['vectors']} "
        f"golden vectors equal, at most {answer['cycles']:,} cycles a frame",
    )


def _learn(answer: Answer, console: Console) -> None:
    say(
        console,
        f"Learned {answer['label']} from {answer['images']} images ({answer['images_in_all']} in "
        f"all) and saved; labels: {', '.join(answer['learned'])}",
    )


def _forget(answer: Answer, console: Console) -> None:
    gone = answer["forgotten"]
    text = "all labels" if gone == "all" else ", ".join(gone)
    left = ", ".join(answer["learned"]) or "none"
    say(console, f"Forgot {text}; labels left: {left}")


def _counters(answer: Answer, console: Console) -> None:
    pairs(console, [(name, f"{value:,}") for name, value in answer["counters"].items()])


def _peek(answer: Answer, console: Console) -> None:
    table = Table("Address", "Word", "Register", "Fields", left=4)
    for line in answer["words"]:
        fields = ", ".join(f"{name} {value}" for name, value in line["fields"].items())
        table.add(
            f"{line['address']:#010x}",
            f"{line['word']:#010x}",
            line["register"] or "",
            fields,
        )
    table.show(console)


def _poke(answer: Answer, console: Console) -> None:
    say(console, f"{len(answer['words'])} words written from {answer['address']:#010x} on")


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
