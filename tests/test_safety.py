"""Nothing that is read can run: in the source, in experiment files, in names, in files of results,
in models of others.
"""

import ast
import json
import re
import time
from pathlib import Path

import pytest
import yaml
from command_line import invoke
from stored_runs import run, write

from benchmark.config import read_experiment
from benchmark.errors import ConfigError, UserError
from benchmark.grid.status import stored_directories
from benchmark.yamltext import parse_yaml

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "run_benchmark.py"]
SOURCES += [
    path
    for package in ("benchmark", "augmenters", "backbones")
    for path in (ROOT / package).rglob("*.py")
]

RUNS_CODE = "pickle cPickle _pickle dill cloudpickle joblib marshal shelve code codeop"
CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
METHODS = {  # of these modules and objects
    "torch": "load",
    "np": "load fromregex",
    "numpy": "load",
    "yaml": "load load_all full_load unsafe_load UnsafeLoader FullLoader Loader CLoader",
    "os": "system popen",
    "accelerator": "save_state load_state",
}


def unsafe(source):
    """What a source text calls or imports that can run what it reads."""
    tree = ast.parse(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    written = {call.func: set(map(ast.unparse, call.keywords)) for call in calls}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (n.name for n in names if n.name.split(".")[0] in RUNS_CODE.split())
            case ast.ImportFrom(module=str(name)) if name.split(".")[0] in RUNS_CODE.split():
                yield name
            case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                yield name
            case ast.Attribute(value=ast.Name(id=owner), attr=name):
                listed = name in METHODS.get(owner, "").split()
                if listed and "weights_only=True" not in written.get(node, ()):
                    yield f"{owner}.{name}"
    for function, options in written.items():
        # of transformers, whose classes may bring code; GLiNER's has no such option
        is_load = re.match(r"Auto\w*\.from_pretrained", ast.unparse(function))
        if is_load and not any(
            option.startswith("**") or option == "trust_remote_code=False" for option in options
        ):
            yield f"from_pretrained without trust_remote_code=False in line {function.lineno}"
        if options & {"shell=True", "allow_pickle=True"}:
            yield f"shell or allow_pickle in line {function.lineno}"


UNSAFE = """import pickle
from joblib import load
torch.load(path)
torch.load(path, weights_only=False)
read = torch.load
yaml.load(text)
x = eval(text)
np.load(path)
subprocess.run(text, shell=True)
AutoConfig.from_pretrained(name)
f(path, allow_pickle=True)"""


@pytest.mark.parametrize("line", UNSAFE.splitlines())
def test_the_search_finds(line):
    assert list(unsafe(line))


def test_no_source_runs_what_it_reads():
    assert len(SOURCES) > 80
    found = {str(path.relative_to(ROOT)): list(unsafe(path.read_text())) for path in SOURCES}
    assert {path: names for path, names in found.items() if names} == {}


FILE = """
name: trial
dataset: {name: synthetic}
encoder: tiny
backbones: [atlop]
augmenters: [none, gaussian]
seeds: [0]
train: {epochs: 4}
augment: {warmup_epochs: 2}
"""


def described(value):
    return f"{FILE}description: {value}\n"


def scaled(value):
    return FILE.replace("gaussian", f"gaussian: {{scale: {value}}}")


HOSTILE = {
    "a call": ("!!python/object/apply:os.system ['false']", "not valid YAML"),
    "an object": (described("!!python/object:benchmark.grid.plan.Job {}"), "not valid YAML"),
    "a name": (described("!!python/name:os.system"), "not valid YAML"),
    "a tag of its own": (described("!mine x"), "not valid YAML"),
    "aliases": (f"{FILE}description: &a [x]\nb: [*a, *a]\n", "line 11: *aliases are not read"),
    "brackets": ("a: " + "[" * 90_000, "nested too deeply"),
    "a long file": (f"{FILE}# " + "x" * 100_000, "at most 100,000 are read"),
    "a day that is none": (described("2026-13-45"), "not valid YAML"),
    "a day": (scaled("2026-12-05"), "scale: expected finite numbers or texts"),
    "a set": (scaled("!!set {a}"), "scale: expected finite numbers or texts"),
    "no number": (scaled(".nan"), "scale: expected finite numbers or texts, got nan"),
    "5,000 digits": (FILE.replace("[0]", "9" * 5000), "not valid YAML"),
    "400 digits": (FILE.replace("[0]", f"[{'9' * 400}]"), "seeds.0: expected a number less than"),
    "a null character": (described("'a\0b'"), "not valid YAML"),
    "Latin-1": (FILE.encode() + b"description: \xff\n", "not valid YAML"),
    "a number as key": (f"{FILE}1: 2\n", "1: Keys should be strings"),
    "a list as key": (f"{FILE}? [a]\n: 1\n", "not valid YAML"),
    "a key twice": (f"{FILE}name: x\n", "line 10: the key 'name' is given twice"),
    "a key twice, below": (described("{x: 2, x: 3}"), "line 10: the key 'x' is given twice"),
    "no truth value": (described("!!bool maybe"), "not valid YAML"),
    "two documents": (f"{FILE}---\nname: x\n", "expected a single document"),
}


@pytest.fixture
def trial(tmp_path):
    path = tmp_path / "trial.yaml"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_experiment_files_are_refused_by_name(trial, name):
    content, message = HOSTILE[name]
    trial.write_bytes(content if isinstance(content, bytes) else content.encode())
    began = time.process_time()
    with pytest.raises(ConfigError, match="trial.yaml") as caught:
        read_experiment(trial)
    assert message in str(caught.value) and time.process_time() - began < 5


def test_an_override_is_read_as_carefully(trial):
    for text in ("!!python/name:os.system", "[" * 5000, "2026-13-45", "[&x 1, *x]"):
        with pytest.raises(ConfigError, match="^--set description="):
            read_experiment(trial, [f"description={text}"])


@pytest.mark.parametrize(
    "text",
    ["", "a: 1", "[1, 2.5, null, true, 'x']"]
    + [f"[{text}]" for text in ("e3", "1e", "2e-4x", "0x1e3", "'2e-4'", "a1e3")],
)
def test_what_is_harmless_is_read_as_yaml_reads_it(text):
    assert parse_yaml(text) == yaml.safe_load(text)


@pytest.mark.parametrize("text", ["2e-4", "1e3", "+1E+2", "-.5e-1", "3.e2", "1.5e3"])
def test_a_number_with_an_exponent_is_a_number(text):
    assert parse_yaml(f"[{text}]") == [float(text)]


@pytest.mark.parametrize(
    "name",
    ["../../x", "/absolute", "..", ".", "", "a/b", "a\\b", "x\n", "-x", "x" * 101, "x\0", "é"],
)
def test_the_name_of_an_experiment_stays_in_its_folder(trial, name):
    with pytest.raises(ConfigError, match="name: expected a text of at most 100"):
        read_experiment(trial, [f"name={json.dumps(name)}"])


def test_every_run_lies_below_the_results(trial):
    for change in ("backbones=[../atlop]", "augmenters=[{../none: {}}]", "augmenters=[/none]"):
        with pytest.raises(ConfigError, match="unknown"):
            read_experiment(trial, [change])


@pytest.mark.parametrize("where", ["backbones", "augmenters"])
@pytest.mark.parametrize("name", ["../../outside", "/etc", "..", "a/b", ""])
def test_a_stored_grid_cannot_point_out_of_its_folder(tmp_path, where, name):
    found = run(tmp_path, "none", 0, 0.5)
    write(found)
    grid = {"backbones": [{"name": "atlop"}], "augmenters": [{"name": "none"}], "seeds": [0]}
    (tmp_path / "demo" / "experiment.json").write_text(json.dumps(grid | {where: [{"name": name}]}))
    with pytest.raises(UserError, match="experiment.json: not the grid of an experiment"):
        stored_directories(tmp_path / "demo")


def test_a_model_that_brings_code_is_refused(tmp_path):
    """Hugging Face would ask on the terminal whether to run it."""
    from backbones.encoders.huggingface import load_encoder

    marker = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass C: pass\n")
    names = {"AutoConfig": "evil.C", "AutoModel": "evil.C", "AutoTokenizer": ["evil.C", None]}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": names}))
    with pytest.raises(UserError, match="encoder"):
        load_encoder(str(tmp_path))
    assert not marker.exists()


def test_a_folder_named_like_markup_is_shown_as_it_stands(tmp_path):
    write(run(tmp_path, "[/b]".replace("/", "_"), 0, 0.5))
    strange = tmp_path / "demo" / "atlop" / "[bold]x[" / "seed-0"
    strange.mkdir(parents=True)
    (strange / "config.json").write_text("{}")
    done = invoke("status", tmp_path / "demo")
    assert done.exit_code == 0 and "[bold]x[" in done.stdout and "[_b]" in done.stdout
