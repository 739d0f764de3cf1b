"""What an encoding cannot show is written as ASCII that looks like it: no output ever fails.

Only the standard library is needed.
"""

import codecs
import sys

__all__ = ["as_shown", "readable_streams"]

LOOKALIKES = {
    "ℓ": "l", "×": "x", "·": "*", "±": "+-", "−": "-", "–": "-", "—": "-", "…": "...",
    "≥": ">=", "≤": "<=", "≠": "!=", "≈": "~", "→": "->", "←": "<-", "↔": "<->", "⁴": "^4",
    "²": "^2", "³": "^3", "√": "sqrt ", "∞": "inf", "°": " degrees", "µ": "u", "μ": "u",
    "σ": "sigma", "Σ": "sum", "τ": "tau", "α": "alpha", "β": "beta", "λ": "lambda", "Δ": "delta",
    "“": '"', "”": '"', "„": '"', "’": "'", "‘": "'", "•": "*", "✓": "+", "✗": "x",
    "\N{NO-BREAK SPACE}": " ", "\N{THIN SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ",
    "━": "-", "─": "-", "│": "|", "┃": "|", "╸": "-", "╺": "-", "█": "#", "▏": "|",
}  # fmt: skip
LOOKALIKES |= dict.fromkeys("┌┐└┘├┤┬┴┼┏┓┗┛┡┩┳┻╇╈╋╭╮╰╯╶╴╷╵", "+")

_NAME = "lookalikes"  # of the error handler


def _lookalike(error: UnicodeError) -> tuple[str, int]:
    """Error handler: look-alikes; bytes of names that are not text as \\xNN; else escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = []
    for character in error.object[error.start : error.end]:
        code = ord(character)
        if character in LOOKALIKES:
            found.append(LOOKALIKES[character])
        elif 0xDC80 <= code <= 0xDCFF:  # a byte of a file's name (PEP 383)
            found.append(f"\\x{code - 0xDC00:02x}")
        else:
            found.append(character.encode("ascii", "backslashreplace").decode())
    return "".join(found), error.end


codecs.register_error(_NAME, _lookalike)


def readable_streams() -> None:
    """From now on standard output and error show whatever they are given."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not what tests put there
            stream.reconfigure(errors=_NAME)


def as_shown(text: str, encoding: str | None) -> str:
    """`text` as a stream of this encoding will show it: what must be aligned is aligned as that."""
    try:
        return text.encode(encoding or "utf-8", _NAME).decode(encoding or "utf-8")
    except LookupError:
        return text
