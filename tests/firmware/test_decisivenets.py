"""The command `decisivenets`: help, its programs' own usage, hints, version, completion."""

import argparse
import os
import re
import subprocess
import sys
import tomllib

import pytest

from firmware import __main__ as host
from firmware import decisivenets
from firmware.decisivenets import COMMANDS, SHELLS
from tests.programs import EXTRA, PROGRAMS, ROOT, run_without

# Programs for developers: what they write is a part of the sources, or of another program's work.
NOT_COMMANDS = {"firmware.compile", "firmware.header", "model.zoo", "firmware.decisivenets"}


def run(*words, **options):
    return run_without(EXTRA, "firmware.decisivenets", *words, **options)


def test_every_program_is_a_command():
    assert {command.module for command in COMMANDS.values()} | NOT_COMMANDS == set(PROGRAMS)


def test_every_command_of_the_host_tool_with_its_own_words():
    parser = host._parser()
    (chosen,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    known = {action.dest: action.help for action in chosen._choices_actions}
    ours = {n: c.summary for n, c in COMMANDS.items() if c.module == "firmware"}
    assert ours == known


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help(words):
    done = run(*words)
    assert done.returncode == 0 and done.stderr == ""
    for name, command in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(command.summary)}$", done.stdout, re.MULTILINE)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_no_command_is_status_2_with_the_help():
    done = run()
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("usage: decisivenets COMMAND")


OWN_PROGRAMS = [name for name, command in COMMANDS.items() if command.module != "firmware"]


@pytest.mark.parametrize("name", [*OWN_PROGRAMS, "flash", "self-test"])
def test_usage_shows_the_command(name):
    done = run(name, "--help")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.startswith(f"usage: decisivenets {name} ")


@pytest.mark.parametrize(
    "words, text",
    [
        (["bulid"], "Unknown command 'bulid': did you mean build? (known: boards, plan, build, "),
        (["Classify", "a.png"], "Unknown command 'Classify': did you mean classify? ("),
        (["few_shot"], "Unknown command 'few_shot': did you mean few-shot? ("),
        (["banana"], "Unknown command 'banana': known: boards, plan, build, "),
        (["foo"], "Unknown command 'foo': known: boards, plan, build, "),
        (["--port", "sim", "info"], "Option --port stands behind a command (see decisivenets --h"),
        (["plan"], "the following arguments are required: --board (see decisivenets plan --help)"),
        (["classify", "--nope"], "the following arguments are required: IMAGE (see decisivenets c"),
        (["info", "--baud", "0"], "--baud must be positive, not 0"),
        (["show", "dham9-up5k"], "Unknown network 'dham9-up5k': did you mean dham8-up5k? ("),
        (["completion", "cmd"], "argument shell: invalid choice: 'cmd'"),
        (["train", "--data", "x"], "this program needs torch: pip install 'decisivenets[model]'"),
    ],
)
def test_wrong_words(words, text, tmp_path):
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"error: {text}") and done.stderr.count("\n") == 1


def test_words_reach_the_program(tmp_path):
    done = run("plan", "--board", "icebreaker", "--json", "--clock", "24", cwd=tmp_path)
    assert done.returncode == 0 and '"clock_mhz": 24.0' in done.stdout
    assert (
        done.stdout
        == run_without(
            EXTRA, "hw.build", "--board", "icebreaker", "--json", "--clock", "24", "--plan"
        ).stdout
    )


def test_python_m_keeps_its_usage():
    assert run_without(EXTRA, "hw.build", "--help").stdout.startswith("usage: python -m hw.build ")


def test_version(tmp_path):
    number = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    done = run("--version", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    commit = r"( \(commit [0-9a-f]{7,}( \+ changes)?\))?"
    assert re.fullmatch(rf"decisivenets {re.escape(number)}{commit}\n", done.stdout)


def test_version_without_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(decisivenets, "_ROOT", tmp_path)
    assert decisivenets.version() == decisivenets.importlib.metadata.version("decisivenets")


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_script(shell):
    done = run("completion", shell)
    assert done.returncode == 0 and done.stderr == ""
    assert "decisivenets" in done.stdout and "_ARGCOMPLETE" in done.stdout


CHANNEL = """
import os, runpy, sys
os.dup2(1, 8)
os.dup2(2, 9)
sys.modules |= dict.fromkeys(sys.argv.pop(1).split(","))
sys.argv = ["decisivenets"]
runpy.run_module("firmware.decisivenets", run_name="__main__", alter_sys=True)
"""


def completed(line, folder):
    """What a shell is offered behind `line`: as argcomplete's script asks, answered on file 8."""
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "_ARGCOMPLETE": "1", "_ARGCOMPLETE_SHELL": "bash",
        "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9", "_ARGCOMPLETE_IFS": "\n",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHANNEL, ",".join(EXTRA)],
        cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=60,
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return [word.strip() for word in done.stdout.split("\n") if word.strip()]


@pytest.mark.parametrize(
    "line, offered",
    [
        ("decisivenets cl", ["classify"]),
        ("decisivenets se", ["self-test", "search"]),
        ("decisivenets build --bo", ["--board"]),
        ("decisivenets plan --la", ["--lanes"]),
        ("decisivenets classify --few", ["--few-shot"]),
        ("decisivenets info --port sim --ba", ["--baud"]),
        ("decisivenets train --data-set ", ["cifar10", "cifar100"]),
        ("decisivenets completion ", ["--help", "-h", *SHELLS]),
        ("decisivenets show dh", ["dham8.dham"]),  # a file
        ("decisivenets nothing ", []),
    ],
)
def test_completion(line, offered, tmp_path):
    """Without the extra: a shell is answered while one types, and torch takes seconds."""
    (tmp_path / "dham8.dham").write_bytes(b"")
    assert sorted(completed(line, tmp_path)) == sorted(offered)


def test_in_bash(tmp_path):
    """The script itself, as a shell evaluates it."""
    command = tmp_path / "decisivenets"
    command.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from firmware.decisivenets import main\nmain()\n"
    )
    command.chmod(0o755)
    code = """
    eval "$(decisivenets completion bash)"
    COMP_LINE="decisivenets self" COMP_POINT=17 COMP_TYPE=9 COMP_CWORD=1
    COMP_WORDS=(decisivenets self)
    function=$(complete -p decisivenets | sed 's/.*-F \\([^ ]*\\).*/\\1/')
    $function decisivenets self decisivenets
    printf '%s\n' "${COMPREPLY[@]}"
    """
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", code],
        env={**os.environ, "PATH": path}, capture_output=True, encoding="utf-8", timeout=60,
    )  # fmt: skip
    assert done.stdout.strip() == "self-test" and done.stderr == "", done.stderr


def test_all_commands_are_offered(tmp_path):
    assert set(completed("decisivenets ", tmp_path)) >= {*COMMANDS, "completion", "--help"}
