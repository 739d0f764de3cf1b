import re

import pytest

from hw.bus.registers import Field, Register, RegisterMap, Window

FIELD = {"name": "F", "low": 4, "width": 8, "access": "rw", "doc": "A field."}
WINDOW = {"name": "W", "index": 0, "base": 0x100, "size": 0x100, "access": "rw", "doc": "Words."}


def fails(text):
    return pytest.raises(ValueError, match=f"^{re.escape(text)}$")


def test_field_bits():
    field = Field(**FIELD)
    assert field.mask == 0xFF0 and field.get(0x12345678) == 0x67 and field.put(0xAB) == 0xAB0
    with fails("Value of field F must fit 8 bits, not 256"):
        field.put(256)


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"name": "f"}, "Field name must be an upper-case C identifier, not 'f'"),
        ({"doc": ""}, "Field F must have a documentation of one line without '|'"),
        ({"access": "w"}, "Access of field F must be one of ro, rw, wo, not 'w'"),
        ({"width": 29}, "Field F must lie in bits 31 to 0, not 32 to 4"),
        ({"constant": True}, "Constant field F must be ro, not rw"),
        ({"reset": 256}, "Reset of field F must be 0, or fit its 8 rw bits, not 256"),
        ({"access": "ro", "reset": 1}, "Reset of field F must be 0, or fit its 8 rw bits, not 1"),
    ],
)
def test_wrong_field(changes, text):
    with fails(text):
        Field(**{**FIELD, **changes})


def test_register():
    low, high = Field(**FIELD), Field(**{**FIELD, "name": "G", "low": 16, "reset": 3})
    register = Register(name="R", offset=8, doc="A register.", fields=(low, high))
    assert register.access == "rw" and register.reset == 0x30000 and not register.constant
    assert register.pack(f=0xAB, g=1) == 0x10AB0
    assert register.unpack(0x10AB0) == {"f": 0xAB, "g": 1}
    with pytest.raises(KeyError):
        register.field("H")
    with fails("Field R.F must not overlap the one below"):
        Register(name="R", offset=8, doc="A register.", fields=(high, low))
    with fails("Offset of register R must be a multiple of 4, not 0x6"):
        Register(name="R", offset=6, doc="A register.", fields=(low,))
    assert register.at(12) == Register(name="R", offset=12, doc="A register.", fields=(low, high))
    with fails("Offset of register R must be a multiple of 4, not 0x6"):
        register.at(6)
    with fails("Register R must have a field"):
        Register(name="R", offset=8, doc="A register.", fields=())


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"access": "x"}, "Access of window W must be one of ro, rw, wo, not 'x'"),
        (
            {"size": 0xC0},
            "Window W must be a power of two of bytes at a multiple of its size, not 0xc0 at 0x100",
        ),
        (
            {"base": 0x80},
            "Window W must be a power of two of bytes at a multiple of its size, not 0x100 at 0x80",
        ),
    ],
)
def test_wrong_window(changes, text):
    with fails(text):
        Window(**{**WINDOW, **changes})


def make_map(registers=(), windows=()):
    return RegisterMap(name="M", doc="Map", version=1, registers=registers, windows=windows)


def test_map():
    fields = (Field(**FIELD),)
    first = Register(name="A", offset=0, doc="First.", fields=fields)
    second = Register(name="B", offset=8, doc="Second.", fields=fields)
    window = Window(**WINDOW)
    built = make_map((first, second), (window,))
    assert built.bytes == 16
    assert built.register("B") is second and built.window("W") is window
    with fails("Name A must not be used twice"):
        make_map((first, first))
    with fails("Register A must follow the one before"):
        make_map((second, first))
    with fails("Window X must lie at its index, of the common size"):
        make_map((first,), (window, Window(**{**WINDOW, "name": "X", "index": 2, "base": 0x200})))


def test_part():
    """Registers of a range, from offset 0 of their own; the windows stay with the first part."""
    fields = (Field(**FIELD),)
    offsets = (0, 0x18, 0x20, 0x28, 0x3C, 0x40)
    whole = make_map(
        tuple(Register(name=f"R{one:X}", offset=one, doc="One.", fields=fields) for one in offsets),
        (Window(**WINDOW),),
    )
    low, high = whole.part(0, 0x20), whole.part(0x20, 0x40)
    assert [(one.name, one.offset) for one in low.registers] == [("R0", 0), ("R18", 0x18)]
    assert [(one.name, one.offset) for one in high.registers] == [
        ("R20", 0), ("R28", 8), ("R3C", 0x1C)
    ]  # fmt: skip
    assert low.windows == whole.windows and high.windows == ()
    assert low.bytes == high.bytes == 0x20
    assert high.register("R28").fields == fields and high.version == whole.version
    with fails("Part of 64 bytes must begin at a multiple of that, not at 0x20"):
        whole.part(0x20, 0x44)
