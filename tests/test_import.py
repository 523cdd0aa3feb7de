"""``import attnlib`` costs next to nothing once torch is there."""

import compileall
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import attnlib

# Imports torch once, then attnlib in one forked child after another: each import is a first.
CHILDREN = """
import json, os, sys, time
import torch

def child():
    before = set(sys.modules)
    start = time.process_time()
    import attnlib
    seconds = time.process_time() - start
    return {"file": attnlib.__file__, "seconds": seconds, "loaded": sorted({*sys.modules} - before)}

results = []
for _ in range(9):
    out, into = os.pipe()
    if os.fork() == 0:
        os.write(into, json.dumps(child()).encode())
        os._exit(0)
    os.close(into)
    with os.fdopen(out) as pipe:
        results.append(json.load(pipe))
    os.wait()
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def imports(tmp_path_factory):
    """What nine first imports of a compiled copy took and loaded."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    folder = tmp_path_factory.mktemp("compiled")
    source = Path(attnlib.__file__).parent
    shutil.copytree(source, folder / "attnlib", ignore=shutil.ignore_patterns("__pycache__"))
    assert compileall.compile_dir(folder, quiet=1)
    done = subprocess.run(
        [sys.executable, "-c", CHILDREN],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONPYCACHEPREFIX": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert all(Path(one["file"]).parent == folder / "attnlib" for one in found)
    return found


def test_only_itself(imports):
    """torch and the standard library have all that is needed; the lab and matplotlib wait."""
    foreign = [
        name
        for name in imports[0]["loaded"]
        if name.partition(".")[0] not in {"attnlib", *sys.stdlib_module_names}
    ]
    assert foreign == []
    assert not any(name.startswith("attnlib.lab") for name in imports[0]["loaded"])


@pytest.mark.serial
def test_under_50_ms(imports):
    """Seconds of CPU, the least of nine: other programs on the machine can only add to it."""
    assert min(one["seconds"] for one in imports) < 0.050, [
        round(1000 * one["seconds"]) for one in imports
    ]
