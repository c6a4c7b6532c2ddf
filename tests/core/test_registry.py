import subprocess
import sys

import pytest

from tunesmith.core.errors import ConfigError
from tunesmith.core.registry import Registry


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "kinds_for_test"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from tunesmith.core.registry import Registry\nkind = Registry('kind', __name__, besides=('notes',))\n"
    )
    (folder / "one.py").write_text("from kinds_for_test import kind\n@kind('one')\ndef f(): return 1\n")
    (folder / "notes.py").write_text("raise RuntimeError('never imported')\n")
    (folder / "_private.py").write_text("raise RuntimeError('never imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    import kinds_for_test

    yield kinds_for_test.kind
    for name in [n for n in sys.modules if n.startswith("kinds_for_test")]:
        del sys.modules[name]


def test_files_are_listed_without_being_imported(package):
    assert package.names() == ["one"]
    assert "kinds_for_test.one" not in sys.modules
    assert package.get("one")() == 1


def test_an_unknown_name_is_refused_with_the_nearest(package):
    with pytest.raises(ConfigError, match="no kind is called 'on'") as caught:
        package.get("on")
    assert caught.value.hint == "Did you mean 'one'?"


def test_an_extension_from_outside_registers_under_any_name():
    registry = Registry[object]("kind", "tunesmith.core")
    registry("outside")(object())
    assert "outside" in registry.names()


def test_listing_extensions_loads_no_model_library():
    code = (
        "import sys; from tunesmith.tasks import task; from tunesmith.training.systems import system;"
        "assert 'classify' in task.names() and 'tfidf' in system.names();"
        "assert not {'torch', 'transformers', 'sklearn'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
