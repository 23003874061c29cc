"""The law between rooms: the table of docs/tour.md against what the sources say.

The table is the architecture document; these tests read it and hold every file of src/upbrush to it.
"""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import upbrush

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "upbrush"

HEAVY_PACKAGES = {"torch", "lightning_fabric", "pydantic", "safetensors", "onnx", "onnxscript"}
TALKING_PACKAGES = {"typer", "rich", "argparse"}
ENVIRONMENT = {"os.environ", "os.getenv", "sys.argv", "sys.exit", "sys.stdin", "sys.stdout", "sys.stderr"}
FILE_FUNCTIONS = {
    *("open", "Image.open", "os.replace", "os.remove", "os.walk", "os.listdir", "os.scandir", "os.makedirs"),
    *("np.load", "np.save", "np.savez", "torch.load", "torch.save", "safe_open", "load_file", "save_file"),
    *("onnx.load", "onnx.save", "ort.InferenceSession", "onnxruntime.InferenceSession"),
}
FILE_METHODS = {
    *("read_bytes", "write_bytes", "read_text", "write_text", "unlink", "mkdir", "rmdir", "touch"),
    *("iterdir", "rglob", "is_file", "is_dir", "exists"),
}
FILE_PACKAGES = {"tempfile", "shutil", "tarfile", "zipfile"}
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "opt"}
MOST_FILE_LINES, MOST_FUNCTION_LINES = 400, 60


class Room(NamedTuple):
    floor: int
    heavy: bool
    files: bool
    talks: bool


def table() -> dict[str, Room]:
    """The rows `| room | floor | half | may | what |` of docs/tour.md."""
    text = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| (\d) \| (light|heavy|both) \| ([a-z, —]+) \|", text, re.MULTILINE)
    return {name: Room(int(floor), half == "heavy", "files" in may, "talk" in may) for name, floor, half, may in rows}


ROOMS = table()
SOURCES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}
each_room = pytest.mark.parametrize("name", sorted(TREES.keys() & ROOMS.keys()))


def imports(tree: ast.AST) -> set[str]:
    """Every module that is imported anywhere in `tree`, inside functions too, by its full dotted name."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def at_import(tree: ast.Module) -> ast.Module:
    """The module without the bodies of its functions: what runs when it is imported."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef  # type: ignore[assignment]

    return Strip().visit(ast.parse(ast.unparse(tree)))


def rooms_in(modules: set[str]) -> set[str]:
    return {module.removeprefix("upbrush.") for module in modules if module.startswith("upbrush.")} & ROOMS.keys()


def packages_in(modules: set[str]) -> set[str]:
    return {module.split(".")[0] for module in modules}


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def test_every_room_is_in_the_table_and_every_row_is_a_room():
    assert set(SOURCES) == set(ROOMS)


@each_room
def test_arrows_go_down_or_along_a_floor(name):
    upward = {other for other in rooms_in(imports(TREES[name])) if ROOMS[other].floor > ROOMS[name].floor}
    assert not upward, f"{name} (floor {ROOMS[name].floor}) imports {upward} from above"


def test_no_cycles():
    graph = {name: rooms_in(imports(tree)) - {name} for name, tree in TREES.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)


@each_room
def test_light_rooms_never_import_heavy_things(name):
    if ROOMS[name].heavy:
        return
    # A room that talks may reach a heavy one, but only from inside a command.
    tree = at_import(TREES[name]) if ROOMS[name].talks else TREES[name]
    modules = imports(tree)
    assert not packages_in(modules) & HEAVY_PACKAGES
    assert not {room for room in rooms_in(modules) if ROOMS[room].heavy}


@each_room
def test_only_rooms_marked_files_touch_files(name):
    if ROOMS[name].files:
        return
    calls = {node.func for node in ast.walk(TREES[name]) if isinstance(node, ast.Call)}
    touched = {dotted(call) for call in calls} & FILE_FUNCTIONS
    touched |= {call.attr for call in calls if isinstance(call, ast.Attribute)} & FILE_METHODS
    touched |= packages_in(imports(TREES[name])) & FILE_PACKAGES
    assert not touched, f"{name} is not marked `files` in docs/tour.md, but uses {touched}"


@each_room
def test_only_rooms_marked_talk_print_exit_or_read_the_environment(name):
    if ROOMS[name].talks:
        return
    nodes = list(ast.walk(TREES[name]))
    said = {dotted(node) for node in nodes if isinstance(node, ast.Attribute)} & ENVIRONMENT
    said |= {node.id for node in nodes if isinstance(node, ast.Name)} & {"print", "input", "exit", "quit", "SystemExit"}
    said |= packages_in(imports(TREES[name])) & TALKING_PACKAGES
    assert not said, f"{name} is not marked `talk` in docs/tour.md, but uses {said}"


@each_room
def test_rooms_and_functions_are_short_and_well_named(name):
    assert not set(name.split(".")) & BANNED_NAMES
    lines = len(SOURCES[name].read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_FILE_LINES, f"{name}: {lines} lines"
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= MOST_FUNCTION_LINES, f"{name}.{node.name}: {length} lines"


def test_train_knows_neither_its_judges_nor_its_doors():
    assert not rooms_in(imports(TREES["train"])) & {"measure.evaluate", "measure.compare", "web", "cli", "painter"}


def test_all_is_what_is_exported():
    assert len(set(upbrush.__all__)) == len(upbrush.__all__)
    star: dict[str, object] = {}
    exec("from upbrush import *", star)
    assert star.keys() - {"__builtins__"} == set(upbrush.__all__)
    own = {name for name, value in vars(upbrush).items() if getattr(value, "__module__", "").startswith("upbrush.")}
    assert own <= set(upbrush.__all__)


def test_type_checkers_see_what_is_exported():
    """Names are loaded when first used; checkers read them from the imports under TYPE_CHECKING."""
    guarded = [node for node in TREES["__init__"].body if isinstance(node, ast.If)]
    seen = {alias.name for block in guarded for node in block.body for alias in node.names}
    assert seen | {"__version__"} == set(upbrush.__all__)


@pytest.mark.parametrize("module", ["upbrush", "upbrush.cli", "upbrush.painter", "upbrush.styles"])
def test_importing_a_light_room_loads_no_runtime(module):
    script = f"import sys, {module}; print(*sorted(name.split('.')[0] for name in sys.modules))"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    assert not set(out.stdout.split()) & {*HEAVY_PACKAGES, "onnxruntime", "openvino"}


def test_the_checks_see_what_they_look_for():
    """The helpers above are themselves a law: they must find an offence where there is one."""
    tree = ast.parse("import torch\ndef f():\n    from upbrush.nn import generator\n    open('x'); Image.open('y')")
    assert packages_in(imports(tree)) == {"torch", "upbrush"}
    assert "upbrush.nn.generator" in imports(tree)
    assert imports(at_import(tree)) == {"torch"}
    calls = {dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert calls == {"open", "Image.open"}
