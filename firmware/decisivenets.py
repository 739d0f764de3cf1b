"""The command `decisivenets NAME …`: every program of the project under one name.

A name leads to a program that `python -m MODULE` runs too, and the words behind the name are that
program's own. Each program shows the command in its usage. Only the standard library is imported
before a program is chosen, so that `--help` comes at once.
"""

import importlib.metadata
import os
import runpy
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from model.common.errors import Parser, UserError, nearest, run_cli

__all__ = ["COMMANDS", "SHELLS", "Command", "main", "version"]

_NAME = "decisivenets"
_ROOT = Path(__file__).resolve().parents[1]  # of a checkout, or of the installed packages
SHELLS = ("bash", "zsh", "fish", "powershell")


@dataclass(frozen=True)
class Command:
    """A name of the command line: the module that it runs, the words before the user's, a line."""

    module: str
    summary: str
    words: tuple[str, ...] = ()


def _host(name: str, summary: str) -> Command:
    return Command("firmware", summary, (name,))


GROUPS = {
    "From a network to a board": {
        "boards": Command("hw.boards", "the boards, and what is known of each"),
        "plan": Command("hw.build", "what a network costs on a board, before any synthesis",
                        ("--plan",)),
        "build": Command("hw.build", "plan, RTL, verification, bitstream, reports"),
        "flash": _host("flash", "write everything to a board's flash; builds what is missing"),
        "registers": Command("hw.regmap", "the register map for Python, C, SVD, csv, Markdown"),
        "layer-table": Command("hw.layer_table", "the fields of the layer table, and their limits"),
    },
    "Ask and teach a board, or a simulated one (--port sim)": {
        "info": _host("info", "who the device is, and how it started"),
        "classify": _host("classify", "classify pictures"),
        "features": _host("features", "the features of pictures, as learning sees them"),
        "learn": _host("learn", "learn a label from pictures"),
        "forget": _host("forget", "forget labels"),
        "bench": _host("bench", "measure frames a second, and the time from image to class"),
        "self-test": _host("self-test", "run the golden vectors on the device"),
        "counters": _host("counters", "what the device counted since its start"),
        "reset": _host("reset", "start the device anew"),
        "monitor": _host("monitor", "print the device's text, until Ctrl-C"),
        "peek": _host("peek", "read words of the device's bus"),
        "poke": _host("poke", "write words to the device's bus"),
    },
    "Simulate": {
        "sim": Command("sim", "run images through the RTL that is synthesised"),
        "board": Command("sim.board", "the simulated board, as a serial port for any program"),
    },
    "Train and measure networks": {
        "train": Command("model.train", "train and quantise a network, and write its file"),
        "evaluate": Command("model.evaluate", "accuracy on the test images"),
        "noise": Command("model.noise", "accuracy under noise"),
        "few-shot": Command("model.few_shot", "accuracy on classes that it never saw"),
        "wins": Command("model.wins", "which feature map of each group wins how often"),
        "prune": Command("model.prune", "accuracy without the maps that do not win"),
        "search": Command("model.search", "choose ℓ of every layer within a budget"),
        "experiments": Command("model.experiments", "a table or figure of the paper, or beyond"),
    },
    "Look into networks, make and convert them": {
        "show": Command("model.show", "what a network file holds"),
        "explain": Command("model.explain", "one decision explained, as a page"),
        "multiplications": Command("model.multiplications", "multiplications of one frame"),
        "golden": Command("model.golden", "make golden vectors for a network file"),
        "memory": Command("model.memory", "the network file of an associative memory"),
        "onnx": Command("model.onnx", "a network file as ONNX, checked with onnxruntime"),
    },
}  # fmt: skip
"""All commands, as the help groups them."""

COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}


def version() -> str:
    """The version, and of a checkout the commit: "0.1.0", "0.1.0 (commit 1a2b3c4 + changes)"."""
    project = _ROOT / "pyproject.toml"
    if not project.is_file():
        return importlib.metadata.version(_NAME)
    from model.training.origin import UNKNOWN, commit_of

    number = tomllib.loads(project.read_text("utf-8"))["project"]["version"]
    commit = commit_of(_ROOT)
    return number if commit == UNKNOWN else f"{number} (commit {commit})"


def _help() -> str:
    width = max(map(len, COMMANDS)) + 2
    what = "Trains DHAM networks, and builds verified accelerators of them for FPGAs."
    lines = [f"usage: {_NAME} COMMAND ...", "", what]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {name:{width}}{command.summary}" for name, command in group.items()]
    lines += [
        "",
        "And:",
        f"  {'completion':{width}}a shell's completion script: {', '.join(SHELLS)}",
        f"  {'--version':{width}}print the version, and of a checkout the commit",
        "",
        f"`{_NAME} COMMAND --help` lists a command's options.",
    ]
    return "\n".join(lines)


def _completion(words: list[str]) -> None:
    parser = Parser(prog=f"{_NAME} completion", description="Print a shell's completion script.")
    parser.add_argument("shell", choices=SHELLS, help="evaluated by the shell (docs/command.md)")
    shell = parser.parse_args(words).shell
    import argcomplete

    print(argcomplete.shellcode([_NAME], shell=shell))


def _run(name: str, words: list[str]) -> None:
    command = COMMANDS[name]
    host = command.module == "firmware"  # its parser adds the name itself
    Parser.called[f"python -m {command.module}"] = _NAME if host else f"{_NAME} {name}"
    sys.argv = [sys.argv[0], *command.words, *words]
    runpy.run_module(command.module, run_name="__main__", alter_sys=True)


def _complete() -> None:
    """Answer a shell that asks what may follow; argcomplete's protocol of environment variables."""
    import argcomplete

    line, point = os.environ["COMP_LINE"], int(os.environ["COMP_POINT"])
    written = argcomplete.split_line(line, point)[3]  # the words before the one being completed
    if len(written) < 2:
        parser = Parser(prog=_NAME)
        parser.add_argument("--version", action="store_true")
        chosen = parser.add_subparsers(metavar="COMMAND", dest="command")
        for name, command in COMMANDS.items():
            chosen.add_parser(name, help=command.summary, add_help=False)
        chosen.add_parser("completion", help="print a shell's completion script")
        argcomplete.autocomplete(parser)
    elif written[1] == "completion":
        Parser.complete = argcomplete.autocomplete
        os.environ["_ARGCOMPLETE"] = "2"
        _answer(["completion"])
    elif written[1] in COMMANDS:
        # The program sees the words behind its name; the host tool's parser wants its name too.
        Parser.complete = argcomplete.autocomplete
        os.environ["_ARGCOMPLETE"] = "1" if COMMANDS[written[1]].module == "firmware" else "2"
        _run(written[1], [])


@run_cli
def _answer(words: list[str]) -> int:
    """What is no program of its own: help, version, completion, and words that lead nowhere."""
    if not words:
        print(_help(), file=sys.stderr)
        return 2
    name = words[0]
    if name in ("-h", "--help", "help"):
        print(_help())
    elif name == "--version":
        print(f"{_NAME} {version()}")
    elif name == "completion":
        _completion(words[1:])
    elif name.startswith("-"):
        raise UserError(f"Option {name} stands behind a command (see {_NAME} --help)")
    else:
        raise UserError(f"Unknown command {name!r}: {nearest(name, [*COMMANDS, 'completion'])}")
    return 0


def main() -> None:
    """Run the command that the arguments name, and end with its exit status."""
    words = sys.argv[1:]
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    elif words and words[0] in COMMANDS:
        _run(words[0], words[1:])
    else:
        _answer(words)


if __name__ == "__main__":
    main()
