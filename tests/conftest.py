"""What every test run shares."""

import os

# Some virtual machines advertise AMX and do not provide it: a bfloat16 matmul then kills Python.
# This must be set before torch is imported, here and in the notebooks' kernels (which inherit it).
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
# Threads that wait by spinning make small operations ten times slower on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Inductor would start a pool of processes, each of which imports torch, for kernels that are few.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import pytest
import torch


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def pytest_addoption(parser):
    parser.addoption(
        "--run-browser", action="store_true", help="run the tests of the built site in Chromium"
    )
    parser.addoption(
        "--properties",
        metavar="FILE",
        help="write down which properties of the mechanisms' contract held (book/properties.json)",
    )


def pytest_collection_modifyitems(config, items):
    if config.getoption("--run-browser"):
        return
    skip = pytest.mark.skip(reason="the built site in Chromium: --run-browser, or make test")
    for item in items:
        if "browser" in item.keywords:
            item.add_marker(skip)
