"""The pages that are made from the library and from the test run say all there is to say."""

from pathlib import Path

import pytest
from attnbook import api, properties
from mechanisms.contract import MechanismContract

import attnlib

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = {
    name.removeprefix("test_") for name in dir(MechanismContract) if name.startswith("test_")
}


def test_every_property_of_the_contract_has_a_name():
    assert set(properties.NAMES) == CONTRACT


def test_table_covers_every_mechanism_and_property():
    outcomes = properties.load(ROOT)
    assert list(outcomes) == list(attnlib.available())
    for key, cells in outcomes.items():
        assert set(cells) == CONTRACT, key
        assert "failed" not in cells.values(), key


def test_impossible_properties_come_with_their_reason():
    outcomes = {"a": dict.fromkeys(properties.NAMES, "passed") | {"onnx": "impossible: no such op"}}
    html = properties.draw(outcomes, "en")
    assert "(1)" in html
    assert "no such op" in html
    assert html.count("✓") == len(properties.NAMES) - 1


def test_reference_names_every_mechanism():
    ((_, names),) = api.PARTS["mechanisms"]
    for key in attnlib.available():
        assert attnlib.info(key).module.__name__ in names


@pytest.mark.parametrize("part", api.PARTS)
def test_reference_shows_signature_and_docstring(part):
    for module, names in api.PARTS[part]:
        for name in names:
            html = api.entry(module, name)
            assert f'id="api-{name.lower()}"' in html
            assert "<pre" in html
