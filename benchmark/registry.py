"""Names for things that can be chosen in an experiment file: backbones, augmenters, datasets,
encoders.

A file that holds a decorated class is all it takes to add one::

    @AUGMENTERS.register("towards")
    class Towards(Augmenter):
        '''Each pair moved towards another one of the batch; it keeps its labels.'''

        def __init__(self, *, share: float = 0.2): ...

Files of the registry's own package are read (`ast`), not imported, so that `list` and `status` know
every name, summary and hyper-parameter in a moment; importing torch takes seconds. A module is
imported when one of its entries is asked for, or when reading does not tell its hyper-parameters (a
constructor or a base of its `Options` in another file, a default that is a named constant). Files
elsewhere are imported: `run_benchmark.py --plugin my_augmenter.py`.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import UnknownNameError, UserError, did_you_mean

YOURS = "Yours? Name its file with --plugin"
REQUIRED = inspect.Parameter.empty  # the default of a hyper-parameter that has none
LIBRARIES = ("<", *(sysconfig.get_paths()[key] for key in ("stdlib", "purelib", "platlib")))
SUITE = tuple(
    f"{Path(__file__).parents[1] / part}{os.sep}"
    for part in ("augmenters", "backbones", "benchmark")
)
CONTRACTS = ("Augmenter", "Backbone", "Encoder")  # base classes whose constructor has no options


@dataclass
class Entry:
    """One registered name: where it lives and what it is.

    known: its hyper-parameters (name -> default); None: only an import tells.
    control: an augmenter that is a control, by its class attribute of that name.
    """

    name: str
    module: str
    summary: str
    known: dict[str, Any] | None
    target: Any = field(default=None, repr=False)
    qualname: str = ""
    control: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        """Its hyper-parameters (name -> default). Raises UserError as `load`."""
        if self.known is None:
            self.known = parameters_of(self.load())
        return self.known

    def load(self) -> Any:
        """The registered object. Raises UserError when its module cannot be imported."""
        if self.target is None:
            with _importing(self.module.replace(".", "/") + ".py"):
                self.target = getattr(importlib.import_module(self.module), self.qualname)
        return self.target


class Registry(Mapping[str, Any]):
    """A mapping from names to classes or functions, filled by decorator.

    Args:
        kind: the noun that error messages use ("augmenter"). The instance is named after it
            (AUGMENTERS): so it stands in front of `.register` in the source.
        package: the importable package whose files are searched for entries.
    """

    registered = 0  # how often a decorator ran, of all registries

    def __init__(self, kind: str, *, package: str):
        self.kind, self.package = kind, package
        self._entries: dict[str, Entry] = {}
        self._scanned = False

    def register(self, name: str) -> Callable[[Any], Any]:
        """Decorator that files a class under `name`. Raises UserError when another one has it."""
        if not isinstance(name, str):
            raise UserError(f'write @{self.kind.upper()}S.register("name") above a class')
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):  # runs are stored under it
            raise UserError(f"{self.kind} '{name}': a name is made of letters, digits, '_' and '-'")

        def decorate(target: Any) -> Any:
            place = module, qualname = target.__module__, target.__qualname__
            known = self.entries().get(name)
            if known is not None and (known.module, known.qualname) != place:
                raise UserError(
                    f"{self.kind} '{name}' is already registered in {known.module}: "
                    f"give the one in {module} another name"
                )
            summary, options = _summary(target.__doc__), parameters_of(target)
            control = getattr(target, "control", False)
            self._entries[name] = Entry(name, module, summary, options, target, qualname, control)
            Registry.registered += 1
            return target

        return decorate

    def entries(self) -> dict[str, Entry]:
        """All entries by name, found without importing them. A file that cannot be read is named,
        and the others go on working.
        """
        if not self._scanned:
            self._scanned = True
            for file, module in _modules_of(self.package):
                try:
                    for entry in _scan(file, f"{self.kind.upper()}S", module):
                        first = self._entries.setdefault(entry.name, entry)
                        if first is not entry:
                            told = f"{first.module} already has the name '{entry.name}'"
                            print(f"note: {file}: left out: {told}", file=sys.stderr)
                except (OSError, SyntaxError, ValueError) as error:
                    told = f"note: {file} cannot be read and is left out: {error}"
                    print(told, file=sys.stderr)
        return self._entries

    def entry(self, name: str) -> Entry:
        """The entry called `name`. Raises UnknownNameError with the nearest known names."""
        entries = self.entries()
        if name not in entries:
            hint = did_you_mean(name, entries, most=3)
            raise UnknownNameError(
                f"unknown {self.kind} '{name}'.{hint} Known: {', '.join(sorted(entries))}. {YOURS}"
            )
        return entries[name]

    def __getitem__(self, name: str) -> Any:
        return self.entry(name).load()

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries())

    def __len__(self) -> int:
        return len(self.entries())

    def __contains__(self, name: object) -> bool:  # Mapping's own would import
        return name in self.entries()


BACKBONES = Registry("backbone", package="backbones")
AUGMENTERS = Registry("augmenter", package="augmenters")
DATASETS = Registry("dataset", package="benchmark.data")
ENCODERS = Registry("encoder", package="backbones.encoders")


def load_plugin(path: str | Path) -> None:
    """Import the user's file, so that its decorators run. Raises UserError when that fails."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"--plugin {path}: no such file")
    name = f"plugin_{path.stem}"
    while name in sys.modules and Path(sys.modules[name].__file__).resolve() != path.resolve():
        name += "_"  # of another folder
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise UserError(f"--plugin {path}: not a Python file (its name must end in .py)")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    before = Registry.registered
    with _importing(f"--plugin {path}"):
        spec.loader.exec_module(module)
    if Registry.registered == before:
        kinds = "@AUGMENTERS, @BACKBONES or @ENCODERS"
        told = f'registers nothing; write {kinds}.register("name") above its class'
        print(f"note: --plugin {path} {told}", file=sys.stderr)


@contextmanager
def _importing(what: str) -> Iterator[None]:
    """Turn whatever a user's file raises into a UserError: its author can mend it."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        place = "" if isinstance(error, SyntaxError) else f" ({place_of(error)})"  # it has one
        raise UserError(f"{what} cannot be imported: {reason}{place}") from error


def place_of(error: BaseException, kind: type | None = None) -> str:
    """The file and line where it was raised: the last frame outside of libraries. For a class, the
    last in its own file or outside of the suite, if any: its author can change that.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(LIBRARIES)] or frames
    if kind is not None:
        file = getattr(sys.modules.get(kind.__module__), "__file__", None)
        mine = lambda name: name == file or not name.startswith(SUITE)
        own = [frame for frame in own if mine(frame.filename)] or own
    return f"{own[-1].filename}, line {own[-1].lineno}"


def _modules_of(package: str) -> Iterator[tuple[Path, str]]:
    """The files of a package and the names of their modules, without the copies that an editor or a
    notebook keeps.
    """
    for folder in map(Path, importlib.util.find_spec(package).submodule_search_locations or []):
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            if not any(part.startswith(".") for part in parts):
                yield file, ".".join([package, *parts])


def _scan(file: Path, variable: str, module: str) -> Iterator[Entry]:
    """The definitions of a source file that are decorated with `<variable>.register("<name>")`."""
    source = file.read_text(encoding="utf-8")
    if f"{variable}.register(" not in source:
        return
    top = ast.parse(source, filename=str(file)).body
    classes = {node.name: node for node in top if isinstance(node, ast.ClassDef)}
    for owner, node in list(classes.items()):
        inside = (inner for inner in node.body if isinstance(inner, ast.ClassDef))
        classes |= {f"{owner}.{inner.name}": inner for inner in inside}
    for node in top:
        for decorator in getattr(node, "decorator_list", []):
            if ast.unparse(decorator).startswith(f"{variable}.register("):
                match decorator:
                    case ast.Call(args=[ast.Constant(value=str(name))], keywords=[]):
                        summary = ast.get_docstring(node)
                    case _:
                        wanted = f'@{variable}.register("name")'
                        raise ValueError(f"line {decorator.lineno}: write {wanted}")
                control = any(ast.unparse(line) == "control = True" for line in node.body)
                known = _parameters_of_source(node, classes)
                yield Entry(name, module, _summary(summary), known, None, node.name, control)


def _summary(docstring: str | None) -> str:
    """The first paragraph, on one line."""
    return " ".join(inspect.cleandoc(docstring or "").partition("\n\n")[0].split())


def options_of(target: Any) -> Any:
    """The nested `Options` of a class, if its constructor takes them, by itself or by handing its
    **options on to its base.
    """
    for owner in getattr(target, "__mro__", ()):
        if "Options" in vars(owner):
            return owner.Options
        if "__init__" in vars(owner):
            kinds = {p.kind.name for p in inspect.signature(owner.__init__).parameters.values()}
            if "VAR_KEYWORD" not in kinds or "KEYWORD_ONLY" in kinds:
                return None


def parameters_of(target: Any) -> dict[str, Any]:
    """The fields of a class's `Options`, or keyword-only parameters."""
    if options := options_of(target):
        fields = options.model_fields.items()
        return {name: REQUIRED if f.is_required() else f.default for name, f in fields}
    signature = inspect.signature(target.__init__ if inspect.isclass(target) else target)
    return {p.name: p.default for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}


def _parameters_of_source(
    node: ast.ClassDef | ast.FunctionDef, classes: dict[str, ast.ClassDef]
) -> dict[str, Any] | None:
    """`parameters_of`, read from source; None where that takes an import: a base is of another
    file, or a default is no literal.

    classes: those of the same file ("Flow", "Flow.Options"), which may be inherited from.
    """
    try:
        found = _defaults(node, classes).items()
        return {name: REQUIRED if d is None else ast.literal_eval(d) for name, d in found}
    except (KeyError, ValueError):
        return None


def _defaults(
    node: ast.ClassDef | ast.FunctionDef, classes: dict[str, ast.ClassDef]
) -> dict[str, ast.expr | None]:
    """The options and their defaults as written. Raises KeyError: a base is of another file."""
    if isinstance(node, ast.ClassDef):
        inside = {n.name: n for n in node.body if isinstance(n, (ast.ClassDef, ast.FunctionDef))}
        if options := inside.get("Options"):
            return _fields(options, classes)
        init = inside.get("__init__")
        if init is None or (init.args.kwarg and not init.args.kwonlyargs):
            base = ast.unparse(node.bases[0]) if node.bases else ""
            return {} if base in CONTRACTS else _defaults(classes[base], classes)
        node = init
    names = (argument.arg for argument in node.args.kwonlyargs)
    return dict(zip(names, node.args.kw_defaults, strict=True))


def _fields(options: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> dict[str, ast.expr | None]:
    """The fields of an option model, those of its bases first. Raises KeyError as `_defaults`."""
    found: dict[str, ast.expr | None] = {}
    for base in map(ast.unparse, options.bases):
        if base != "OptionModel":
            found |= _fields(classes[base], classes)
    fields = (line for line in options.body if isinstance(line, ast.AnnAssign))
    return found | {field.target.id: field.value for field in fields}
