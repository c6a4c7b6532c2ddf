"""What every export format must keep to; a new file in deploy/exporters is tested without an edit here."""

import pytest

from tunesmith.deploy.exporters import exporter

NAMES = exporter.names()


def test_the_built_in_formats_are_found():
    assert {"adapter", "bundle", "merged", "onnx"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_format_names_itself_its_quantisations_and_its_extra(name):
    how = exporter.get(name)
    assert how.name == name
    assert len(how.quantisations) >= 1
    assert len(set(how.quantisations)) == len(how.quantisations)
    assert (type(how).__doc__ or "").strip()
    if how.extra is not None:
        extra, modules = how.extra
        assert extra
        assert modules
