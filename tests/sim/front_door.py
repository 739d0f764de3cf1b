"""A cocotb test over the Wishbone bus alone: loads, reads back, runs what `front_door.json` says.

What it sees is left in `seen.json`; transfers that end in an error, as the text of the error.
"""

import json
from pathlib import Path

import cocotb

from hw.register_map import ENGINE_MAP
from sim.bench import BusError, start

_WAIT = 5_000  # looks at STATUS


@cocotb.test()
async def front_door(dut):
    asked = json.loads(Path("front_door.json").read_text("utf-8"))
    bus = await start(dut)
    seen = {"registers": {}, "windows": {}, "bytes": [], "frames": [], "errors": []}
    for one in ENGINE_MAP.registers:
        seen["registers"][one.name] = await bus.read(one.offset)
    for name, words in asked["windows"].items():
        await _write(bus, name, words)
    for name, words in asked["windows"].items():
        if "r" in ENGINE_MAP.window(name).access:
            seen["windows"][name] = await _read(bus, name, len(words))
    for address, word, sel in asked["bytes"]:
        await bus.write(address, word, sel)
        seen["bytes"].append(await bus.read(address))
    for image in asked["images"]:
        await _write(bus, "IMAGE", image)
        seen["frames"].append(await _run(bus, asked["classes"]))
    for address, word in asked["errors"]:
        seen["errors"].append(await _error(bus, address, word))
    dut.rst.value = 1  # nobody answers
    seen["errors"].append(await _error(bus, 0, None))
    Path("seen.json").write_text(json.dumps(seen), "utf-8")


async def _run(bus, classes):
    await bus.write_register("CONTROL", start=1)
    for _ in range(_WAIT):
        if (await bus.read_register("STATUS"))["done"]:
            break
    registers = {name: await bus.read_register(name) for name in ("STATUS", "CLASS", "CYCLES")}
    return registers | {"LOGITS": await _read(bus, "LOGITS", classes)}


async def _write(bus, name, words):
    for index, word in enumerate(words):
        await bus.write(ENGINE_MAP.window(name).base + 4 * index, word)


async def _read(bus, name, count):
    base = ENGINE_MAP.window(name).base
    return [await bus.read(base + 4 * index) for index in range(count)]


async def _error(bus, address, word):
    try:
        await (bus.read(address) if word is None else bus.write(address, word))
    except BusError as error:
        return str(error)
    return None
