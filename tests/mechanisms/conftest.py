"""Run every property of the contract for every variant of a mechanism, and write down what held."""

import json
from pathlib import Path

PREFIX = "test_"
_outcomes: dict[tuple[str, str], set[str]] = {}


def pytest_generate_tests(metafunc):
    if "options" in metafunc.fixturenames:
        variants = getattr(metafunc.cls, "variants", [{}])
        names = [",".join(f"{k}={v}" for k, v in variant.items()) for variant in variants]
        metafunc.parametrize("options", variants, ids=[name or "defaults" for name in names])


def pytest_collection_modifyitems(config, items):
    """Give each test of the contract its mechanism and property (xdist carries them along)."""
    from mechanisms.contract import MechanismContract

    compiled, again = set(), []
    for item in items:
        owner = getattr(item, "cls", None)
        name = getattr(item, "originalname", "")
        if owner and issubclass(owner, MechanismContract) and hasattr(MechanismContract, name):
            item.user_properties.append(("contract", [owner.key, name.removeprefix(PREFIX)]))
            if name == "test_inductor":
                again += [item] if owner.key in compiled else []
                compiled.add(owner.key)
    if again:
        items[:] = [item for item in items if item not in again]
        config.hook.pytest_deselected(items=again)


def pytest_runtest_logreport(report):
    cell = dict(report.user_properties).get("contract")
    if cell is None or (report.when != "call" and report.passed):
        return
    outcome = report.outcome
    if report.skipped:
        outcome = str(report.longrepr[2]).removeprefix("Skipped: ")
        if outcome.startswith("no CUDA device"):
            outcome = "no CUDA device"
    _outcomes.setdefault(tuple(cell), set()).add(outcome)


def pytest_sessionfinish(session):
    target = session.config.getoption("--properties")
    if not target or hasattr(session.config, "workerinput"):
        return
    import attnlib

    table: dict[str, dict[str, str]] = {}
    for key in attnlib.available():
        for (owner, name), outcomes in sorted(_outcomes.items()):
            if owner == key:
                # A property holds if it held for all variants; a skip shows if nothing else did.
                worst = [o for o in outcomes if o != "passed"]
                worst.sort(key=lambda o: o != "failed")
                passed = "passed" in outcomes and "failed" not in outcomes
                table.setdefault(key, {})[name] = "passed" if passed else worst[0]
    Path(target).write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")
