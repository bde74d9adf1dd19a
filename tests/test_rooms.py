"""The rooms of the house: imports point one way, and tables need no torch."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# every room may import from the lines above its own, and from itself
FLOORS = (
    {"root"},
    {"store"},
    {"data"},
    {"scoring"},
    {"statistics"},
    {"quality"},
    {"training"},
    {"interop"},
    {"grid"},
    {"reports", "launch"},
    {"commands"},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
OF_CLASSES = {"registry", "options", "errors", "checks", "data"}  # what classes may import


def modules(package):
    for file in sorted((ROOT / package).rglob("*.py")):
        parts = file.relative_to(ROOT).parts
        yield file, parts


def all_modules():
    for package in ("benchmark", "augmenters", "backbones"):
        yield from modules(package)


def imported(file, *, at_the_top=False):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in tree.body if at_the_top else ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def room_of(name):
    """The room of benchmark that an imported name belongs to; None for other packages."""
    first, *rest = name.split(".")
    if first != "benchmark" or not rest:
        return None
    return rest[0] if (ROOT / "benchmark" / rest[0]).is_dir() else "root"


@pytest.mark.parametrize("room", sorted(FLOOR))
def test_no_import_climbs_up(room):
    for file, parts in modules("benchmark"):
        if (parts[1] if len(parts) > 2 else "root") != room:
            continue
        for name in imported(file):
            other = room_of(name)
            if other not in (None, room):
                assert FLOOR[other] < FLOOR[room], f"{'/'.join(parts)} imports {name}"


def test_no_modules_import_each_other():
    files = {".".join(parts).removesuffix(".py"): file for file, parts in all_modules()}
    graph = {
        name: {module for found in imported(file) for module in (found, found.rpartition(".")[0])}
        & files.keys()
        for name, file in files.items()
    }
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the modules


def test_every_room_has_a_floor():
    rooms = {path.parent.name for path in (ROOT / "benchmark").glob("*/__init__.py")}
    assert rooms | {"root"} == set(FLOOR)


@pytest.mark.parametrize("room", ["scoring", "statistics", "reports", "store"])
def test_tables_need_no_torch(room):
    for file, parts in modules(f"benchmark/{room}"):
        found = [n for n in imported(file) if n.split(".")[0] in ("torch", "transformers")]
        assert not found, f"{'/'.join(parts)} imports {found}"


@pytest.mark.parametrize("package", ["augmenters", "backbones"])
def test_classes_know_little_of_the_benchmark(package):
    for file, parts in modules(package):
        for name in imported(file):
            first, *rest = name.split(".")
            if first == "benchmark":
                assert rest[0] in OF_CLASSES, f"{'/'.join(parts)} imports {name}"
            other = {"augmenters": "backbones", "backbones": "augmenters"}[package]
            assert first != other, f"{'/'.join(parts)} imports {name}"


def test_the_benchmark_names_no_backbone_augmenter_or_encoder():
    bases = {"augmenters.base", "augmenters.diagnosis", "backbones.base", "backbones.encoders.base"}
    bases.add("backbones.encoders")  # encoders by name
    bases.add("backbones.parts.official")  # the names of official checkpoints
    for file, parts in modules("benchmark"):
        for name in imported(file):
            if name.split(".")[0] in ("augmenters", "backbones"):
                module = name.rpartition(".")[0]
                assert module in bases, f"{'/'.join(parts)} imports {name}"
