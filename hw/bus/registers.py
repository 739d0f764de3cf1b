"""What a register map is: fields, registers, memory windows. Validated, and free of Amaranth."""

import re
from dataclasses import dataclass, field, replace

__all__ = [
    "Field",
    "Register",
    "RegisterMap",
    "Window",
    "described",
    "fixed",
    "given",
    "pulse",
    "read_only",
    "read_write",
    "version_text",
]

_ACCESS = ("ro", "rw", "wo")


def version_text(word):
    """A version word, 16 bits of major and 16 of minor, as people write it."""
    return f"{word >> 16}.{word & 0xFFFF}"


def _check_name(kind, name):
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
        raise ValueError(f"{kind} name must be an upper-case C identifier, not {name!r}")


def _check_doc(kind, name, doc):
    if not doc or "\n" in doc or "|" in doc:
        raise ValueError(f"{kind} {name} must have a documentation of one line without '|'")


@dataclass(frozen=True, kw_only=True)
class Field:
    """Some bits of a register.

    Parameters
    ----------
    name : str
        Upper case.
    low, width : int
        Lowest bit, and bits.
    access : str
        `"ro"`: the hardware drives it. `"rw"`: the host writes it and reads it back. `"wo"`: it
        reads 0; one bit is a pulse when 1 is written, several are data that go with a pulse of
        the same register.
    doc : str
        One line.
    reset : int
        Value after reset, `"rw"` only.
    constant : bool
        A `"ro"` field whose value is fixed at synthesis.
    """

    name: str
    low: int
    width: int
    access: str
    doc: str
    reset: int = 0
    constant: bool = False

    def __post_init__(self):
        _check_name("Field", self.name)
        _check_doc("Field", self.name, self.doc)
        if self.access not in _ACCESS:
            raise ValueError(
                f"Access of field {self.name} must be one of {', '.join(_ACCESS)}, "
                f"not {self.access!r}"
            )
        if self.width < 1 or self.low < 0 or self.low + self.width > 32:
            raise ValueError(
                f"Field {self.name} must lie in bits 31 to 0, not "
                f"{self.low + self.width - 1} to {self.low}"
            )
        if self.constant and self.access != "ro":
            raise ValueError(f"Constant field {self.name} must be ro, not {self.access}")
        if self.reset and (self.access != "rw" or not 0 <= self.reset < 1 << self.width):
            raise ValueError(
                f"Reset of field {self.name} must be 0, or fit its {self.width} rw bits, "
                f"not {self.reset}"
            )

    @property
    def mask(self):
        """Its bits, in place."""
        return ((1 << self.width) - 1) << self.low

    def get(self, word):
        """The field's value in a register's `word`."""
        return (word & self.mask) >> self.low

    def put(self, value):
        """`value` in the field's place; `ValueError` if it does not fit."""
        if not 0 <= value < 1 << self.width:
            raise ValueError(f"Value of field {self.name} must fit {self.width} bits, not {value}")
        return value << self.low


@dataclass(frozen=True, kw_only=True)
class Register:
    """A 32-bit register at a byte offset from the start of the registers.

    Parameters
    ----------
    name : str
        Upper case.
    offset : int
        Byte offset, a multiple of 4; 0 until `at` gives the register its place.
    doc : str
        One line.
    fields : tuple of Field
        From low to high, without overlap; other bits read 0.
    """

    name: str
    offset: int = 0
    doc: str
    fields: tuple[Field, ...]

    def __post_init__(self):
        _check_name("Register", self.name)
        _check_doc("Register", self.name, self.doc)
        if self.offset < 0 or self.offset % 4:
            raise ValueError(
                f"Offset of register {self.name} must be a multiple of 4, not {self.offset:#x}"
            )
        if not self.fields:
            raise ValueError(f"Register {self.name} must have a field")
        end = 0
        for one in self.fields:
            if one.low < end:
                raise ValueError(f"Field {self.name}.{one.name} must not overlap the one below")
            end = one.low + one.width

    def at(self, offset: int) -> "Register":
        """The same register at this byte offset; `ValueError` if it is no multiple of 4."""
        return replace(self, offset=offset)

    @property
    def access(self):
        """`ro`, `rw` or `wo`, for formats that know no access per field."""
        kinds = {one.access for one in self.fields}
        return kinds.pop() if len(kinds) == 1 else "rw"

    @property
    def reset(self):
        """Value after reset of the bits that the host writes."""
        return sum(one.put(one.reset) for one in self.fields)

    @property
    def constant(self):
        """Whether every field is fixed at synthesis."""
        return all(one.constant for one in self.fields)

    def field(self, name):
        """The field of that name; `KeyError` if there is none."""
        for one in self.fields:
            if one.name == name:
                return one
        raise KeyError(name)

    def unpack(self, word):
        """Dict of field name, in lower case, to its value in `word`."""
        return {one.name.lower(): one.get(word) for one in self.fields}

    def pack(self, **values):
        """Word of the given fields, by lower-case name; the others are 0."""
        return sum(self.field(name.upper()).put(value) for name, value in values.items())


def described(name: str, doc: str, *fields: Field) -> Register:
    """A register that has no place yet: its peripheral knows what is in it, the map knows where."""
    return Register(name=name, doc=doc, fields=fields)


def read_only(name: str, low: int, width: int, doc: str) -> Field:
    """A field that the hardware drives."""
    return Field(name=name, low=low, width=width, access="ro", doc=doc)


def fixed(name: str, low: int, width: int, doc: str) -> Field:
    """A field whose value is fixed at synthesis."""
    return Field(name=name, low=low, width=width, access="ro", doc=doc, constant=True)


def read_write(name: str, low: int, width: int, doc: str, reset: int = 0) -> Field:
    """A field that the host writes and reads back."""
    return Field(name=name, low=low, width=width, access="rw", doc=doc, reset=reset)


def pulse(name: str, low: int, doc: str) -> Field:
    """A bit that is high for one cycle if 1 is written."""
    return Field(name=name, low=low, width=1, access="wo", doc=doc)


def given(name: str, low: int, width: int, doc: str) -> Field:
    """Data that go with a pulse of the same register."""
    return Field(name=name, low=low, width=width, access="wo", doc=doc)


@dataclass(frozen=True, kw_only=True)
class Window:
    """A memory seen through the bus, one 32-bit word per 4 bytes of address.

    Parameters
    ----------
    name : str
        Upper case.
    index : int
        The memory's number at the engine's memory port.
    base, size : int
        Byte address and bytes of the address range; the memory itself may be smaller.
    access : str
        `"rw"`, `"ro"` or `"wo"`.
    doc : str
        One line: what a word holds.
    """

    name: str
    index: int
    base: int
    size: int
    access: str
    doc: str

    def __post_init__(self):
        _check_name("Window", self.name)
        _check_doc("Window", self.name, self.doc)
        if self.access not in _ACCESS:
            raise ValueError(
                f"Access of window {self.name} must be one of {', '.join(_ACCESS)}, "
                f"not {self.access!r}"
            )
        if self.size < 4 or self.size & (self.size - 1) or self.base % self.size:
            raise ValueError(
                f"Window {self.name} must be a power of two of bytes at a multiple of its size, "
                f"not {self.size:#x} at {self.base:#x}"
            )


@dataclass(frozen=True, kw_only=True)
class RegisterMap:
    """All that a host sees: registers at address 0, and windows.

    Parameters
    ----------
    name, doc : str
        Of the device.
    version : int
        16 bits of major and 16 bits of minor.
    registers : tuple of Register
        By rising offset.
    windows : tuple of Window
        By rising base; equal sizes; `base` is that of index 0 plus `index` sizes.
    constants : dict of str to int
        Values that hosts need beside addresses.
    """

    name: str
    doc: str
    version: int
    registers: tuple[Register, ...]
    windows: tuple[Window, ...]
    constants: dict[str, int] = field(default_factory=dict)

    def __post_init__(self):
        names, end = set(), 0
        for one in self.registers + self.windows:
            if one.name in names:
                raise ValueError(f"Name {one.name} must not be used twice")
            names.add(one.name)
        for one in self.registers:
            if one.offset < end:
                raise ValueError(f"Register {one.name} must follow the one before")
            end = one.offset + 4
        for one in self.windows:
            first = self.windows[0]
            if one.size != first.size or one.base != first.base + one.index * one.size:
                raise ValueError(f"Window {one.name} must lie at its index, of the common size")
            if one.base < end:
                raise ValueError(f"Window {one.name} must not overlap the one before")
            end = one.base + one.size

    @property
    def bytes(self):
        """Size of the registers' address range: the next power of two, at least 8 bytes."""
        return max(8, 1 << (self.registers[-1].offset + 3).bit_length())

    def part(self, first, end):
        """The registers from byte offset `first` to below `end`, offset from `first`.

        It has the windows where `first` is 0. `first` must be a multiple of the part's size.
        """
        chosen = [one for one in self.registers if first <= one.offset < end]
        moved = tuple(replace(one, offset=one.offset - first) for one in chosen)
        part = replace(self, registers=moved, windows=() if first else self.windows)
        if first % part.bytes:
            raise ValueError(
                f"Part of {part.bytes} bytes must begin at a multiple of that, not at {first:#x}"
            )
        return part

    def register(self, name):
        """The register of that name; `KeyError` if there is none."""
        return {one.name: one for one in self.registers}[name]

    def window(self, name):
        """The window of that name; `KeyError` if there is none."""
        return {one.name: one for one in self.windows}[name]
