"""The files in `.github/` by GitHub's own schemas, and what they promise."""

import re
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from tests.programs import ROOT

FOLDER = ROOT / ".github"
FORMS = sorted(p for p in (FOLDER / "ISSUE_TEMPLATE").glob("*.yml") if p.name != "config.yml")
WORKFLOW = FOLDER / "workflows" / "ci.yml"


def read_yaml(text):
    return YAML(typ="safe").load(text)


def check(schema, *files):
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *files],
        capture_output=True, encoding="utf-8", timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    "schema, files",
    [
        ("github-workflows", [WORKFLOW]),
        ("github-issue-forms", FORMS),
        ("github-issue-config", [FOLDER / "ISSUE_TEMPLATE" / "config.yml"]),
    ],
)
def test_schema(schema, files):
    assert files
    done = check(schema, *files)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "schema, file, old, new",
    [
        ("github-workflows", WORKFLOW, "runs-on:", "run-on:"),
        ("github-issue-forms", FORMS[0], "type: input", "type: inputs"),
    ],
)
def test_the_check_finds_mistakes(schema, file, old, new, tmp_path):
    copy = tmp_path / file.name
    copy.write_text(file.read_text("utf-8").replace(old, new), "utf-8")
    assert check(schema, copy).returncode == 1


def test_every_file_is_checked():
    found = {p for p in FOLDER.rglob("*") if p.is_file()}
    assert found == {WORKFLOW, *FORMS, FOLDER / "ISSUE_TEMPLATE" / "config.yml"}


def test_the_workflow_runs_what_is_promised():
    jobs = read_yaml(WORKFLOW.read_text("utf-8"))["jobs"]
    steps = {name: " ".join(s.get("run", "") for s in job["steps"]) for name, job in jobs.items()}
    assert jobs["linux"]["strategy"]["matrix"]["command"] == ["demo", "test"]
    assert "make ${{ matrix.command }}" in steps["linux"]
    for target in jobs["linux"]["strategy"]["matrix"]["command"]:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert "pytest -m host" in steps["host"]
    assert {s.split("-")[0] for s in jobs["host"]["strategy"]["matrix"]["system"]} == {
        "macos", "windows",
    }  # fmt: skip


def test_every_form_asks_for_the_version_and_what_happened():
    assert len(FORMS) == 3
    for form in FORMS:
        body = read_yaml(form.read_text("utf-8"))["body"]
        asked = {part["id"] for part in body if part.get("validations", {}).get("required")}
        assert "version" in asked and asked & {"command", "flash"}, form.name
