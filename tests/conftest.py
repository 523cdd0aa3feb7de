"""What every test run shares."""

import os

# Some virtual machines advertise AMX and do not provide it: a bfloat16 matmul then kills Python.
# This must be set before torch is imported, here and in the notebooks' kernels (which inherit it).
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
# Threads that wait by spinning make small operations ten times slower on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
