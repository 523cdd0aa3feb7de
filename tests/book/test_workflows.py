"""The workflows keep their promises: actions pinned by commit, no more rights than needed."""

import os
import re

import pytest
import yaml
from attnbook import downloads
from attnbook.addresses import Addresses
from attnbook.paper import fonts
from book.conftest import ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def load(path):
    return yaml.safe_load(path.read_text("utf8"))


def steps(path):
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_with_their_version_beside(path):
    uses = [line for line in path.read_text("utf8").splitlines() if "uses:" in line]
    assert uses
    for line in uses:
        assert re.search(r"uses: actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_rights_are_as_few_as_can_be(path):
    workflow = load(path)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for name, job in workflow["jobs"].items():
        rights = job.get("permissions", workflow["permissions"])
        if "write" in rights.values():
            # What may write runs no code of the repository or of any package.
            commands = "\n".join(step.get("run", "") for step in job["steps"])
            assert (path.stem, name) == ("publish", "push")
            assert not re.search(r"make|python|pip", commands)
        assert job["timeout-minutes"] <= 40
    for step in steps(path):
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


def test_the_oldest_versions_are_those_that_pyproject_claims():
    project = (ROOT / "pyproject.toml").read_text("utf8")
    python = re.search(r'requires-python = ">=([\d.]+)"', project)[1]
    torch = re.search(r'"torch>=([\d.]+)"', project)[1]
    matrix = load(FILES[0])["jobs"]["library"]["strategy"]["matrix"]["include"]
    assert {"python": python, "torch": f"torch=={torch}.*"} in matrix


def test_the_script_for_other_machines_runs_the_same_tests():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text("utf8").rstrip().endswith("make test")
    assert {"run": ".ci/run"} in steps(FILES[0])


def test_the_book_is_published_with_the_addresses_of_the_repository_it_is_in():
    job = load(ROOT / ".github" / "workflows" / "publish.yml")["jobs"]["build"]
    assert job["env"]["ATTNBOOK_REPOSITORY"] == "${{ github.server_url }}/${{ github.repository }}"
    assert job["env"]["ATTNBOOK_BRANCH"] == "gh-pages"


def test_pdfs_and_archives_are_made_tested_and_published_with_the_book():
    """In the folder that is published, before it is packed; from there the links are relative."""
    job = load(ROOT / ".github" / "workflows" / "publish.yml")["jobs"]["build"]
    runs = [step["run"] for step in job["steps"] if "run" in step]
    prepared, made = runs.index(".ci/prepare"), runs.index("make downloads-check")
    packed = next(i for i, run in enumerate(runs) if "--directory _build/html" in run)
    assert prepared < made < packed
    makefile = (ROOT / "Makefile").read_text("utf8")
    assert re.search(r"^downloads-check: downloads$", makefile, re.MULTILINE)
    assert re.search(r"^downloads: book$", makefile, re.MULTILINE)
    assert downloads.FOLDER == "downloads"
    file = Addresses.load(ROOT, environment={}).download("x.pdf")
    assert file == f"{Addresses.load(ROOT, environment={}).site}/{downloads.FOLDER}/x.pdf"


def test_what_the_book_needs_from_the_system_is_installed_in_one_place():
    script = ROOT / ".ci" / "prepare"
    assert os.access(script, os.X_OK)
    assert ".ci/prepare" in (ROOT / ".ci" / "run").read_text("utf8")
    text = script.read_text("utf8")
    for face in fonts.FACES:
        assert face.package in text


def test_every_command_is_in_the_help_and_has_its_rule():
    makefile = (ROOT / "Makefile").read_text("utf8")
    shown = set(re.findall(r'@echo "make ([\w-]+)', makefile))
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    rules = set(re.findall(r"^([\w-]+):(?!=)", makefile, re.MULTILINE))
    assert phony <= rules
    assert shown == phony - {"help", "notebooks-all"}
