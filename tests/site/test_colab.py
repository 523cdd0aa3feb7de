"""The path of a reader in Colab, end to end: the published notebook in a new environment.

The environment has what Colab has (torch, matplotlib, scikit-learn, a kernel) and neither attnlib
nor a checkout. The notebook's first cell installs attnlib from the wheel on the site, served on
loopback; then every cell runs. `make test` walks it with the first and the last notebook,
`make colab-check` with all.
"""

from __future__ import annotations

import json
import os
import subprocess
import venv
from pathlib import Path

import pytest
from attnbook.addresses import Addresses
from attnbook.contents import Contents

ROOT = Path(__file__).parents[2]
STEMS = [Path(name).name for name in Contents.load(ROOT).notebooks]
SHOWN = STEMS if os.environ.get("COLAB_ALL") else sorted({STEMS[0], STEMS[-1]})

pytestmark = pytest.mark.colab

RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
probe = nbformat.v4.new_code_cell(
    "import attnlib, torch; print('PROBE', attnlib.__file__, torch.__version__, sep='|')"
)
notebook.cells.append(probe)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
print(next(o.text for o in notebook.cells[-1].outputs if "PROBE" in o.get("text", "")))
"""


def clean_environment() -> dict[str, str]:
    """The environment without anything that leads to this checkout."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """Python of a new environment with what Colab has, and nothing of the book."""
    folder = tmp_path_factory.mktemp("colab")
    venv.create(folder, with_pip=True)
    executable = folder / "bin" / "python"
    pinned = dict(
        line.split("#")[0].strip().split("==")
        for line in (ROOT / "requirements.txt").read_text("utf8").splitlines()
        if "==" in line.split("#")[0]
    )
    names = ("torch", "numpy", "matplotlib", "scikit-learn", "pillow", "ipykernel", "nbclient")
    wanted = [f"{name}=={pinned[name]}" for name in names]
    subprocess.run(
        [str(executable), "-m", "pip", "install", "--quiet", *wanted],
        check=True,
        env=clean_environment(),
    )
    return executable


@pytest.mark.parametrize("edition", ["en", "zh"])
@pytest.mark.parametrize("stem", SHOWN)
def test_a_published_notebook_runs_where_nothing_of_the_book_is(
    python, site, base_url, tmp_path, stem, edition
):
    notebook = json.loads((site / edition / "notebooks" / f"{stem}.ipynb").read_text("utf8"))
    install = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    published = Addresses.load(ROOT).site
    assert published in install["source"]
    install["source"] = install["source"].replace(published, base_url)
    path = tmp_path / f"{stem}.ipynb"
    path.write_text(json.dumps(notebook), "utf8")

    # Each notebook starts without attnlib, as each does in Colab.
    subprocess.run(
        [str(python), "-m", "pip", "uninstall", "--quiet", "--yes", "attnlib"],
        check=True,
        env=clean_environment(),
    )
    answer = subprocess.run(
        [str(python), "-c", RUN, str(path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean_environment(),
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr[-4000:]
    _, library, torch = answer.stdout.strip().splitlines()[-1].split("|")
    assert Path(library).is_relative_to(python.parents[1])
    before = subprocess.run(
        [str(python), "-c", "import torch; print(torch.__version__)"],
        capture_output=True,
        text=True,
    )
    assert torch == before.stdout.strip()
    assert f"torch=={torch.split('+')[0]} " in (ROOT / "requirements.txt").read_text("utf8")
