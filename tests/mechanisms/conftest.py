"""Run every property of the contract for every variant of a mechanism."""


def pytest_generate_tests(metafunc):
    if "options" in metafunc.fixturenames:
        variants = getattr(metafunc.cls, "variants", [{}])
        ids = [",".join(f"{k}={v}" for k, v in variant.items()) or "defaults" for variant in variants]
        metafunc.parametrize("options", variants, ids=ids)
