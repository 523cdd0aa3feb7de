"""How stored outputs are compared: `pytest --nbval notebooks` runs every chapter again."""

import os

# As where chapters are executed (attnbook/execute.py); kernels inherit it.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PYTHONHASHSEED", "0")


def pytest_collectstart(collector):
    if type(collector).__name__ == "IPyNbFile":
        # Warnings name paths and processes; the structure test sees to it that none is stored.
        collector.skip_compare += ("stderr",)
