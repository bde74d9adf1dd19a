"""Registries: found by reading, loaded on demand, told apart by precise errors."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.errors import UnknownNameError, UserError
from benchmark.registry import (
    AUGMENTERS,
    BACKBONES,
    DATASETS,
    ENCODERS,
    REQUIRED,
    Registry,
    load_plugin,
)

MODULE = '''
from things_registry import THINGS

@THINGS.register("first")
class First:
    """The first thing.

    More about it.
    """
    def __init__(self, *, size: int = 3, name: str = "x", must): ...

@THINGS.register("second")
def second(*, rate=0.5):
    """The second thing."""
    return rate

class NotRegistered: ...

raise_if_imported = 1 / (1 if __import__("os").environ.get("MAY_IMPORT") else 0)
'''


@pytest.fixture
def things(tmp_path, monkeypatch):
    """A registry of its own whose package cannot be imported by accident."""
    package = tmp_path / "things"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "module.py").write_text(MODULE)
    registry = Registry("thing", variable="THINGS", package="things")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "things_registry", type(sys)("things_registry"))
    sys.modules["things_registry"].THINGS = registry
    yield registry
    for name in ("things", "things.module"):
        sys.modules.pop(name, None)


def test_entries_are_found_without_importing_them(things):
    assert list(things) == ["first", "second"]
    assert things.entry("first").summary == "The first thing."
    assert things.entry("first").parameters == {"size": 3, "name": "x", "must": REQUIRED}
    assert things.entry("second").parameters == {"rate": 0.5}
    assert "things.module" not in sys.modules


def test_an_entry_is_imported_when_it_is_asked_for(things, monkeypatch):
    monkeypatch.setenv("MAY_IMPORT", "1")
    assert things["second"](rate=2) == 2
    assert things["first"].__name__ == "First"
    assert things.entry("first").parameters == dict(
        size=3, name="x", must=REQUIRED
    )  # by signature as by source


INHERITED = '''
from things_registry import THINGS
SIZE = 4

class Base:
    def __init__(self, *, size: int = SIZE): ...

@THINGS.register("inherits")
class Inherits(Base):
    """Takes what its base class takes."""

@THINGS.register("named")
def named(*, size: int = SIZE):
    """Its default is a named constant."""
'''


@pytest.mark.parametrize("name", ["inherits", "named"])
def test_where_reading_does_not_tell_the_options_the_module_is_imported(things, tmp_path, name):
    (tmp_path / "things" / "more.py").write_text(INHERITED)
    assert things.entry(name).parameters == {"size": 4}
    sys.modules.pop("things.more", None)


@pytest.mark.parametrize("text", ["@THINGS.register('x')\ndef broken(:", "# THINGS.register(\n\0"])
def test_a_file_that_cannot_be_read_is_named_and_the_others_work(things, tmp_path, capsys, text):
    (tmp_path / "things" / "aaa.py").write_text(text)
    assert list(things) == ["first", "second"]
    assert "aaa.py cannot be read; what it registers is left out" in capsys.readouterr().err


def test_a_module_that_cannot_be_imported_is_named_when_it_is_asked_for(things):
    with pytest.raises(UserError, match=r"things/module\.py cannot be imported: ZeroDivisionError"):
        things["first"]
    assert things.entry("second").parameters == {"rate": 0.5}


def test_unknown_names_get_the_nearest_known(things):
    with pytest.raises(UnknownNameError) as caught:
        things["frist"]
    assert str(caught.value) == "unknown thing 'frist'. Did you mean 'first'? Known: first, second"
    with pytest.raises(UnknownNameError, match=r"unknown thing 'zzz'\. Known: first, second"):
        things["zzz"]
    assert "zzz" not in things and things.get("zzz") is None


def test_a_name_is_registered_once(things):
    with pytest.raises(
        UserError, match=r"thing 'first' is registered twice: in things\.module and in"
    ):

        @things.register("first")
        class Another:
            pass


def test_what_is_registered_elsewhere_joins_in(things):
    @things.register("third")
    class Third:
        """A third thing."""

        def __init__(self, *, depth: int = 2): ...

    assert things["third"] is Third
    assert len(things) == 3 and things.entry("third").parameters == {"depth": 2}


def test_plugins_register_by_being_imported(things, tmp_path):
    plugin = tmp_path / "my_thing.py"
    plugin.write_text(
        "from things_registry import THINGS\n@THINGS.register('mine')\nclass Mine: ...\n"
    )
    load_plugin(plugin)
    load_plugin(plugin)  # twice is no conflict
    assert things["mine"].__name__ == "Mine"
    sys.modules.pop("plugin_my_thing")


CLASH = "from things_registry import THINGS\n@THINGS.register('first')\nclass Mine: ...\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("clash.py", CLASH, "registered twice"),
        ("bad.py", "import nowhere_to_be_found", r"bad\.py.*ModuleNotFoundError"),
        ("bad.py", "def broken(:", r"bad\.py.*SyntaxError"),
        ("bad.py", "1 / 0", r"bad\.py.*ZeroDivisionError"),
        ("leaves.py", "raise SystemExit(3)", r"leaves\.py.*SystemExit"),
        ("plugin.txt", "x", r"plugin\.txt: .*end in \.py"),
        ("nowhere.py", None, r"nowhere\.py: no such file"),
    ],
)
def test_a_plugin_that_fails_names_file_and_reason(things, tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        load_plugin(tmp_path / name)


def test_the_names_of_the_benchmark_are_known_without_torch():
    code = (
        "import sys; from benchmark.registry import *; from benchmark.registry import AUGMENTERS, "
        "BACKBONES, DATASETS, ENCODERS\n"
        "assert {'none', 'copies', 'gaussian', 'vae', 'vaediff'} <= set(AUGMENTERS), "
        "list(AUGMENTERS)\n"
        "assert {'baseline', 'kd_docre', 'atlop'} <= set(BACKBONES)\n"
        "assert {'synthetic', 're-docred', 'dwie'} <= set(DATASETS) and 'tiny' in ENCODERS\n"
        "assert 'torch' not in sys.modules and 'datasets' not in sys.modules"
    )
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


@pytest.mark.parametrize(
    "registry", [AUGMENTERS, BACKBONES, DATASETS, ENCODERS], ids=lambda registry: registry.kind
)
def test_every_entry_has_a_summary_and_what_source_says_holds(registry):
    for name, entry in registry.entries().items():
        read = (entry.summary, entry.parameters)
        assert entry.summary.endswith("."), (
            f"{name}: the first line of its docstring should be a sentence"
        )
        registry[name]
        assert (registry.entry(name).summary, registry.entry(name).parameters) == read


def test_a_name_that_is_no_folder_name():
    with pytest.raises(UserError, match="letters, digits"):
        AUGMENTERS.register("../x")


def test_a_constructor_of_the_same_file_is_read_without_importing(things, tmp_path):
    (tmp_path / "things" / "family.py").write_text(
        "raise RuntimeError('imported')\n"
        "from things_registry import THINGS\n"
        "class Parent:\n    def __init__(self, *, size: int = 4): ...\n"
        "@THINGS.register('child')\nclass Child(Parent):\n    '''A child.'''\n"
    )
    assert things.entry("child").parameters == {"size": 4}
