"""What each command does with a device; its answer, for JSON or for `firmware.tables`."""

import time
from argparse import Namespace
from typing import Any

from firmware.client import Device, DeviceError, encode_label
from firmware.messages import boot_error_name
from firmware.versions import explain_boot, ignored_lesson
from hw.bus.registers import version_text
from hw.register_map import REGISTER_MAP
from model.common.errors import UserError, nearest
from model.common.terminal import Bar, progress_bar
from model.data.picture_files import find_pictures, shown
from model.data.pictures import PictureOptions, read_picture

__all__ = ["COMMANDS", "NEED_NETWORK", "Answer", "parse_address", "prepare"]

Answer = tuple[dict[str, Any], int]
"""What to show, and the exit status."""

_BENCH_CHUNK = 50  # frames of one request, so that the bar moves


def prepare(options: Namespace) -> None:
    """Everything that can be found wrong without a device; fills in the options' values."""
    if getattr(options, "images", None) is not None:
        options.pictures = PictureOptions.of(options)
        options.images = find_pictures(options.images, recursive=options.pictures.recursive)
    if options.command == "learn":
        encode_label(options.label)
    elif options.command == "forget":
        for label in options.labels:
            encode_label(label)
        if bool(options.labels) == options.all:
            raise UserError("forget needs labels, or --all for all of them")
    elif options.command == "monitor" and options.seconds is not None:
        _positive("--seconds", options.seconds)
    elif options.command == "bench":
        _positive("--frames", options.frames)
        if options.round_trips < 0:
            raise UserError(f"--round-trips must not be negative, not {options.round_trips}")
    elif options.command in ("peek", "poke"):
        options.address = parse_address(options.address)
        if options.command == "peek":
            _positive("COUNT", options.count)
        else:
            options.words = [_parse_word(word) for word in options.words]


def info(device: Device, options: Namespace) -> Answer:
    """Who the device is and how it started; status 1 if it does not classify."""
    told = device.info
    described = {
        "port": device.link.name,
        "baud": device.link.baud,
        "clock_hz": told.clock_hz,
        "firmware": version_text(told.firmware_version),
        "protocol": told.protocol_version,
        "register_map": version_text(told.map_version),
        "ready": told.ready,
        "boot": {
            "copy": told.boot_copy,
            "error": boot_error_name(told.boot_error),
            "text": explain_boot(device),
        },
        "self_test": {"equal": told.selftest_equal, "vectors": told.selftest_vectors},
        "network": {
            "name": told.network_name,
            "sha256": told.network_hash,
            "input_shape": list(told.image_shape),
            "classes": device.class_names() if told.ready else [],
            "features": told.features,
        },
        "learned": device.class_names(learned=True) if told.ready else [],
        "ignored_lesson": ignored_lesson(device),
        "max_learned": told.max_learned,
        "frame_cycles": told.frame_cycles,
        "demo_images": told.demo,
        "flash_id": f"{told.flash_id:06x}",
    }
    return described, 0 if told.ready else 1


def classify(device: Device, options: Namespace) -> Answer:
    """The decision on each picture."""
    pictures = _read(device, options)
    names = device.class_names(learned=options.few_shot)
    images = []
    decisions = device.classify(pictures, learned=options.few_shot)
    with _bar(len(pictures)) as bar:
        task = bar.add_task("Classifying", total=len(pictures))
        for path in options.images:
            started = time.perf_counter()
            result = next(decisions)
            seconds = time.perf_counter() - started
            if len(result.logits) != len(names):
                raise DeviceError(
                    f"The device decides between {len(result.logits)} classes, but names "
                    f"{len(names)}"
                )
            images.append({
                "file": shown(path),
                "class": result.decision,
                "name": names[result.decision],
                "logits": result.logits,
                "cycles": result.cycles,
                "seconds": result.cycles / device.info.clock_hz,
                "round_trip_seconds": seconds,
            })  # fmt: skip
            bar.advance(task)
    return {**_device(device), "few_shot": options.few_shot, "images": images}, 0


def features(device: Device, options: Namespace) -> Answer:
    """The features of each picture, as learning sees them."""
    pictures = _read(device, options)
    _require_features(device)
    images = [
        {"file": shown(path), "features": result.features, "cycles": result.cycles}
        for path, result in zip(options.images, device.features(pictures), strict=True)
    ]
    return {**_device(device), "images": images}, 0


def bench(device: Device, options: Namespace) -> Answer:
    """Frames on the device with nothing in between, and round trips of images from here."""
    clock = device.info.clock_hz
    frames, cycles, last = 0, 0, 0
    with _bar(options.frames) as bar:
        task = bar.add_task("Running frames", total=options.frames)
        while frames < options.frames:
            part = device.bench(min(_BENCH_CHUNK, options.frames - frames))
            frames, cycles, last = frames + part.frames, cycles + part.cycles, part.frame_cycles
            bar.update(task, completed=frames)
    height, width, channels = device.info.image_shape
    image = bytes(index % 256 for index in range(height * width * channels))
    trips = []
    for _ in range(options.round_trips):
        started = time.perf_counter()
        next(device.classify([image]))
        trips.append(time.perf_counter() - started)
    return {
        **_device(device),
        "frames": frames,
        "cycles": cycles,
        "frame_cycles": last,
        "frames_per_second": frames * clock / cycles,
        "round_trips": len(trips),
        "round_trip_seconds": {"least": min(trips), "mean": sum(trips) / len(trips)}
        if trips
        else None,
        "line_seconds": 10 * device.info.image_bytes / device.link.baud,
        "repeats": device.link.repeats,
    }, 0


def self_test(device: Device, options: Namespace) -> Answer:
    """The network loaded anew and its golden vectors run; status 1 unless all are equal."""
    result = device.self_test()
    described = {
        **_device(device),
        "passed": result.passed,
        "equal": result.equal,
        "vectors": result.vectors,
        "cycles": result.cycles,
    }
    return described, 0 if result.passed else 1


def learn(device: Device, options: Namespace) -> Answer:
    """Pictures of a label, learned and saved."""
    _require_features(device)
    pictures = _read(device, options)
    ignored = ignored_lesson(device)
    learned = []
    with _bar(len(pictures)) as bar:
        task = bar.add_task(f"Learning {options.label}", total=len(pictures))
        for step in device.learn(options.label, pictures):
            learned.append(step)
            bar.advance(task)
    return {
        **_device(device),
        "label": options.label,
        "index": learned[-1].index,
        "images": len(pictures),
        "images_in_all": learned[-1].images,
        "learned": device.class_names(learned=True),
        "ignored_lesson": ignored,
    }, 0


def forget(device: Device, options: Namespace) -> Answer:
    """Labels forgotten, at once and for good."""
    for label in options.labels or [None]:
        device.forget(label)
    return {
        **_device(device),
        "forgotten": options.labels or "all",
        "learned": device.class_names(learned=True),
    }, 0


def counters(device: Device, options: Namespace) -> Answer:
    """What the device counted since its start."""
    counted = {counter.name.lower(): value for counter, value in device.counters().items()}
    return {"counters": counted}, 0


def reset(device: Device, options: Namespace) -> Answer:
    """The device started anew; then as `info`."""
    device.reset()
    return info(device, options)


def peek(device: Device, options: Namespace) -> Answer:
    """Words of the device's bus, with the fields of those that are registers."""
    words = device.read(options.address, options.count)
    registers = {one.offset: one for one in REGISTER_MAP.registers}
    lines = []
    for address, word in zip(range(options.address, 1 << 33, 4), words, strict=False):
        register = registers.get(address)
        lines.append({
            "address": address,
            "word": word,
            "register": register.name if register else None,
            "fields": register.unpack(word) if register else {},
        })  # fmt: skip
    return {"words": lines}, 0


def poke(device: Device, options: Namespace) -> Answer:
    """Words written to the device's bus."""
    device.write(options.address, options.words)
    return {"address": options.address, "words": options.words}, 0


COMMANDS = {
    "info": info,
    "classify": classify,
    "features": features,
    "bench": bench,
    "self-test": self_test,
    "learn": learn,
    "forget": forget,
    "counters": counters,
    "reset": reset,
    "peek": peek,
    "poke": poke,
}
"""Commands that ask a device and show its answer."""

NEED_NETWORK = frozenset({"classify", "features", "bench", "learn", "forget"})
"""Commands that a device with a boot error refuses."""


def parse_address(text: str) -> int:
    """A byte address: a number, or the name of a register or window, with "+" and an offset.

    Raises `UserError`, with the names, for what is neither.
    """
    name, _, offset = text.partition("+")
    places = {one.name: one.offset for one in REGISTER_MAP.registers}
    places |= {one.name: one.base for one in REGISTER_MAP.windows}
    try:
        address = places[name.upper()] if name.upper() in places else int(name, 0)
        address += int(offset, 0) if offset else 0
    except ValueError:
        raise UserError(
            f"No address {text!r}: a number, or a name with an offset such as WEIGHTS+0x10; "
            f"{nearest(name.upper(), list(places))}"
        ) from None
    if address % 4 or not 0 <= address < 1 << 32:
        raise UserError(f"Address must be a multiple of 4 within 32 bits, not {address:#x}")
    return address


def _parse_word(text: str) -> int:
    try:
        word = int(text, 0)
    except ValueError:
        raise UserError(f"A word must be a number, not {text!r}") from None
    if not 0 <= word < 1 << 32:
        raise UserError(f"A word must fit 32 bits, not {text}")
    return word


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise UserError(f"{name} must be positive, not {value}")


def _read(device: Device, options: Namespace) -> list[bytes]:
    """All pictures, before the first one is sent."""
    shape = device.info.image_shape
    return [
        read_picture(path, input_shape=shape, options=options.pictures).tobytes()
        for path in options.images
    ]


def _require_features(device: Device) -> None:
    if not device.info.features:
        raise DeviceError(
            f"The network {device.info.network_name} cannot learn on the device: it, or what the "
            "learned classes need beside it, does not fit (flash another network)"
        )


def _device(device: Device) -> dict[str, Any]:
    return {"network": device.info.network_name, "clock_hz": device.info.clock_hz}


def _bar(total: int) -> Bar:
    """A bar that is gone when it is full; none on a terminal for a single image."""
    bar = progress_bar(transient=True)
    bar.disable |= total < 2
    return bar
