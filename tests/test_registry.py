"""Registries: found by reading, loaded on demand, told apart by precise errors."""

import re
import sys

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
    parameters_of,
)

MODULE = '''
from benchmark.options import OptionModel
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

@THINGS.register("child")
class Child(First):
    """A constructor of the same file."""

class Many:
    class Options(OptionModel):
        size: int = 3

    def __init__(self, **options): ...

@THINGS.register("more")
class More(Many):
    """A constructor that passes its options on."""

    def __init__(self, **options):
        super().__init__(**options)

@THINGS.register("fewer")
class Fewer(Many):
    """A constructor with options of its own."""

    def __init__(self, *, rate: float = 0.5):
        super().__init__()

class NotRegistered: ...

raise_if_imported = 1 / (1 if __import__("os").environ.get("MAY_IMPORT") else 0)
'''
NAMES = ["first", "second", "child", "more", "fewer"]
OPTIONS = {"size": 3, "name": "x", "must": REQUIRED}
MORE = '''
from things_registry import THINGS
from things import Base, SIZE

@THINGS.register("inherits")
class Inherits(Base):
    """Takes what its base class takes."""

@THINGS.register("named")
def named(*, size: int = SIZE):
    """Its default is a named constant."""
'''


BASES = """
from things_registry import THINGS
from things_options import Elsewhere

class First:
    class Options(OptionModel):
        size: int = 3

    def __init__(self, **options): ...

@THINGS.register("wider")
class Wider(First):
    class Options(First.Options):
        width: int = 4

@THINGS.register("widest")
class Widest(First):
    class Options(Elsewhere):
        width: int = 4
"""


@pytest.fixture
def things(tmp_path, monkeypatch):
    """A registry of its own whose package cannot be imported by accident."""
    (tmp_path / "things").mkdir()
    base = "SIZE = 4\nclass Base:\n    def __init__(self, *, size: int = SIZE): ...\n"
    (tmp_path / "things" / "__init__.py").write_text(base)
    (tmp_path / "things" / "module.py").write_text(MODULE)
    registry = Registry("thing", package="things")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "things_registry", type(sys)("things_registry"))
    sys.modules["things_registry"].THINGS = registry
    yield registry
    for name in ("things", "things.module", "things.more", "plugin_my_thing"):
        sys.modules.pop(name, None)


def test_entries_are_found_without_importing_them_and_imported_when_asked_for(things, monkeypatch):
    assert list(things) == NAMES and len(things) == 5
    assert things.entry("first").summary == "The first thing."
    read = {name: things.entry(name).parameters for name in things}
    inherited = {"child": OPTIONS, "more": {"size": 3}, "fewer": {"rate": 0.5}}
    assert read == {"first": OPTIONS, "second": {"rate": 0.5}, **inherited}
    assert "things.module" not in sys.modules
    monkeypatch.setenv("MAY_IMPORT", "1")
    assert things["second"](rate=2) == 2 and things["first"].__name__ == "First"
    # by signature as by source
    assert {name: things.entry(name).parameters for name in things} == read


@pytest.mark.parametrize("name", ["inherits", "named"])
def test_where_reading_does_not_tell_the_options_the_module_is_imported(things, tmp_path, name):
    (tmp_path / "things" / "more.py").write_text(MORE)
    assert things.entry(name).parameters == {"size": 4}


def test_options_have_the_fields_of_their_bases(things, tmp_path):
    (tmp_path / "things" / "more.py").write_text(BASES)
    assert things.entry("wider").parameters == {"size": 3, "width": 4}
    assert things.entry("widest").known is None  # only an import tells


UNREADABLE = (
    "@THINGS.register('x')\ndef broken(:",
    "# THINGS.register(\n\0",
    "@THINGS.register(name='x')\nclass X: ...",
    "@THINGS.register()\nclass X: ...",
    "@THINGS.register(3)\nclass X: ...",
)


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_file_that_cannot_be_read_is_named_and_the_others_work(things, tmp_path, capsys, text):
    (tmp_path / "things" / "aaa.py").write_text(text)
    assert list(things) == NAMES
    assert "aaa.py cannot be read and is left out" in capsys.readouterr().err


def test_two_files_with_one_name_are_told(things, tmp_path, capsys):
    later = '@THINGS.register("{}")\nclass Other{}: ...\n'
    (tmp_path / "things" / "zzz.py").write_text(later.format("first", 1) + later.format("own", 2))
    assert things.entry("first").module == "things.module" and "own" in things
    told = capsys.readouterr().err
    assert "zzz.py: left out: things.module already has the name 'first'" in told


def test_the_copies_of_an_editor_are_no_entries(things, tmp_path, capsys):
    copies = tmp_path / "things" / ".ipynb_checkpoints"
    copies.mkdir()
    (copies / "module-checkpoint.py").write_text(MODULE)
    assert {entry.module for entry in things.entries().values()} == {"things.module"}
    assert not capsys.readouterr().err


def test_a_module_that_cannot_be_imported_is_named_when_it_is_asked_for(things):
    with pytest.raises(UserError, match=r"things/module\.py cannot be imported: ZeroDivisionError"):
        things["first"]
    assert things.entry("second").parameters == {"rate": 0.5}


def test_unknown_names_get_the_nearest_known(things):
    with pytest.raises(UnknownNameError) as caught:
        things["frist"]
    known = "Known: child, fewer, first, more, second. Yours? Name its file with --plugin"
    assert str(caught.value) == f"unknown thing 'frist'. Did you mean 'first'? {known}"
    with pytest.raises(UnknownNameError, match=re.escape(f"unknown thing 'zzz'. {known}")):
        things["zzz"]
    assert "zzz" not in things and things.get("zzz") is None


def test_what_is_registered_elsewhere_joins_in(things, tmp_path, capsys):
    @things.register("third")
    class Third:
        """A third thing."""

        def __init__(self, *, depth: int = 2): ...

    assert things["third"] is Third
    assert len(things) == 6 and things.entry("third").parameters == {"depth": 2}
    with pytest.raises(UserError, match="letters, digits"):
        things.register("../x")
    plugin = tmp_path / "my_thing.py"
    plugin.write_text(PLUGIN.format("mine"))
    load_plugin(plugin)
    load_plugin(plugin)  # twice is no conflict
    assert things["mine"].__name__ == "Mine" and not capsys.readouterr().err
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / plugin.name
    other.write_text(PLUGIN.format("mine"))
    with pytest.raises(UserError, match="'mine' is already registered in plugin_my_thing:"):
        load_plugin(other)
    plugin.write_text("class Mine: ...")
    load_plugin(plugin)
    assert "my_thing.py registers nothing" in capsys.readouterr().err


PLUGIN = "from things_registry import THINGS\n@THINGS.register('{}')\nclass Mine: ...\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "clash.py",
            PLUGIN.format("first"),
            r"'first' is already registered in things\.module: give the one in plugin_clash",
        ),
        ("bad.py", "import nowhere_to_be_found", r"bad\.py.*ModuleNotFoundError"),
        ("bad.py", "def broken(:", r"bad\.py.*SyntaxError"),
        ("bad.py", "import json\njson.loads(undefined)", r"NameError: .*bad\.py, line 2\)"),
        ("bad.py", "import json\njson.loads('')", r"JSONDecodeError: .*bad\.py, line 2\)"),
        ("bare.py", PLUGIN.replace("('{}')", ""), r'write @THINGS.register\("name"\)'),
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


@pytest.mark.parametrize(
    "registry", [AUGMENTERS, BACKBONES, DATASETS, ENCODERS], ids=lambda registry: registry.kind
)
def test_every_entry_has_a_summary_and_what_source_says_holds(registry):
    for name, entry in Registry(registry.kind, package=registry.package).entries().items():
        assert entry.summary.endswith("."), f"{name}: its docstring should begin with a sentence"
        assert entry.known == parameters_of(registry[name])
        assert registry.entry(name).summary == entry.summary
