"""The house rules as a test. Each rule says what is wrong, where, and what to do instead.

A rule is a name, the files it is for, a finder and the way out; it is shown on an example that it must find. What
linters check already (unused names, bare exceptions in style, direction of imports) is theirs.
"""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
BANNED_MODULES = (
    "utils",
    "util",
    "helpers",
    "helper",
    "manager",
    "managers",
    "base",
    "misc",
    "common",
    "lib",
    "tools",
)
IMPURE = (
    "asyncio", "datetime", "io", "logging", "os", "pathlib", "random", "secrets", "socket", "sqlite3", "subprocess",
    "sys", "threading", "time", "urllib", "uuid",
)  # fmt: skip
CLOCKS = ("time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today")
ENVIRONMENT = ("os.environ", "os.getenv", "os.environb", "os.putenv")
SKIPPING = ("pytest.skip", "pytest.xfail", "pytest.importorskip", "mark.skip", "mark.skipif", "mark.xfail")

# In pieces, so that this very file is not found.
HOSTS = tuple(
    name + "." + end
    for name, end in (
        ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("yarnpkg", "com"),
        ("repo1.maven", "org"), ("repo.maven.apache", "org"), ("golang", "org"), ("crates", "io"),
        ("rubygems", "org"), ("docker", "io"), ("quay", "io"), ("ghcr", "io"),
    )
)  # fmt: skip
PACKED_CASE = re.compile(r"^\s+\(.*gzip\.compress\((?!.*mtime)")
"""A case whose name holds the time of its making: two processes of tests then disagree about what tests there are."""
HOST = re.compile("|".join(rf"(?<![\w]){re.escape(host)}(?!\w)" for host in HOSTS))
MACHINE = re.compile(r"(?<![\w.}])/(?:" + "|".join(("work", "home", "root", "Users", "mnt")) + r")/\w")


class Found(NamedTuple):
    """One place that breaks a rule."""

    line: int
    what: str


Finder = Callable[[Path, str], Iterator[Found]]


class Rule(NamedTuple):
    """What must not be, where, and what to do instead."""

    name: str
    under: tuple[str, ...]
    """Folders and files (endings: "*.py") it is for."""
    find: Finder
    instead: str
    example: str
    """A text in which it must find something."""
    except_for: tuple[tuple[str, str], ...] = ()
    """(file or folder, the reason why it may)."""


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the repository and those about to be added; relative."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
    names = sorted({name for name in done.stdout.decode().split("\0") if name})
    return tuple(Path(name) for name in names if (ROOT / name).is_file())


def named(node: ast.expr) -> str:
    """`a.b.c` of a chain of names, its last two parts; "" if it is something else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    return ".".join(reversed(parts[:2]))


def nodes(text: str) -> Iterator[ast.AST]:
    """Every node of a module."""
    return ast.walk(ast.parse(text))


def imported(text: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every module and name that is imported."""
    for node in nodes(text):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def too_long(_file: Path, text: str) -> Iterator[Found]:
    lines = text.count("\n")
    if lines > MAX_FILE_LINES:
        yield Found(lines, f"{lines} lines")


def long_functions(_file: Path, text: str) -> Iterator[Found]:
    for node in nodes(text):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield Found(node.lineno, f"{node.name} has {length} lines")


def no_docstring(_file: Path, text: str) -> Iterator[Found]:
    if not ast.get_docstring(ast.parse(text)):
        yield Found(1, "no docstring")


def vague_name(file: Path, _text: str) -> Iterator[Found]:
    for part in (file.stem, *file.parts[:-1]):
        if part.strip("_") in BANNED_MODULES:
            yield Found(1, part)


def calls(*names: str) -> Finder:
    """Finds calls of these names."""

    def find(_file: Path, text: str) -> Iterator[Found]:
        for node in nodes(text):
            if isinstance(node, ast.Call) and named(node.func) in names:
                yield Found(node.lineno, f"{named(node.func)}()")

    return find


def mentions(*names: str) -> Finder:
    """Finds these dotted names, called or not, and imports of what stands last in them."""

    def find(_file: Path, text: str) -> Iterator[Found]:
        for node in nodes(text):
            if isinstance(node, ast.Attribute) and named(node) in names:
                yield Found(node.lineno, named(node))
        yield from (Found(line, name) for line, name in imported(text) if name in names)

    return find


def imports(*modules: str) -> Finder:
    """Finds imports of these modules or of anything in them."""

    def find(_file: Path, text: str) -> Iterator[Found]:
        for line, name in imported(text):
            if name.split(".")[0] in modules:
                yield Found(line, name)

    return find


def statements(*kinds: type[ast.AST]) -> Finder:
    """Finds statements of these kinds."""

    def find(_file: Path, text: str) -> Iterator[Found]:
        for node in nodes(text):
            if isinstance(node, kinds):
                yield Found(getattr(node, "lineno", 0), type(node).__name__.lower())

    return find


def catch_alls(_file: Path, text: str) -> Iterator[Found]:
    """`except:` without a kind, and any that is swallowed whole."""
    for node in nodes(text):
        if not isinstance(node, ast.ExceptHandler):
            continue
        if node.type is None:
            yield Found(node.lineno, "except:")
        elif named(node.type) in ("Exception", "BaseException") and isinstance(node.body[0], ast.Pass | ast.Continue):
            yield Found(node.lineno, f"except {named(node.type)}: {type(node.body[0]).__name__.lower()}")


def undocumented(_file: Path, text: str) -> Iterator[Found]:
    """Public functions and classes of a module, and public methods of its public classes."""

    def look(body: list[ast.stmt]) -> Iterator[Found]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_":
                if not ast.get_docstring(node):
                    yield Found(node.lineno, node.name)
                if isinstance(node, ast.ClassDef):
                    yield from look(node.body)

    yield from look(ast.parse(text).body)


def matches(pattern: re.Pattern[str]) -> Finder:
    """Finds lines that hold the pattern."""

    def find(_file: Path, text: str) -> Iterator[Found]:
        for number, line in enumerate(text.splitlines(), 1):
            match = pattern.search(line)
            if match:
                yield Found(number, line.strip()[max(0, match.start() - 40) :][:100])

    return find


PYTHON = ("*.py",)
PRODUCT = ("pipeline/",)
RULES = (
    Rule("files are short", PYTHON, too_long, f"split it by what belongs together: at most {MAX_FILE_LINES} lines",
         "x = 1\n" * (MAX_FILE_LINES + 1)),
    Rule("functions are short", PYTHON, long_functions, f"name its steps: at most {MAX_FUNCTION_LINES} lines",
         "def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES),
    Rule("modules state their law", PYTHON, no_docstring, "open it with what lives here, what never may", "x = 1\n"),
    Rule("modules are named for what they hold", PYTHON, vague_name, "name it for the one thing it is about", ""),
    Rule("the product doesn't print", PRODUCT, calls("print"), "log it, measure it; a command has `write_line`",
         "print(1)\n"),
    Rule("no catch-all", PYTHON, catch_alls, "name the exceptions that are expected here, and let others through",
         "try:\n    f()\nexcept:\n    g()\n"),
    Rule("no hidden clock", PRODUCT, mentions(*CLOCKS), "take `clock: Callable[[], int]` (app.wall_ms) or `now`",
         "import time\ntime.time()\n",
         (("pipeline/app.py", "wall_ms, the one place that reads the machine's clock"),
          ("pipeline/backends/sqlite/append.py", "stamps what it appends, as a broker does; decides nothing"))),
    Rule("no hidden settings", PRODUCT, mentions(*ENVIRONMENT), "take it from pipeline.settings.Settings",
         "import os\nos.environ['X']\n",
         (("pipeline/commands/opening.py", "hands the environment to settings.load"),)),
    Rule("the core is pure", ("pipeline/core/",), imports(*IMPURE), "take what it brings as an argument",
         "import random\n", (("pipeline/core/zones.py", "reckons with calendar days, and asks no clock"),
          ("pipeline/core/customer/occasions.py", "a birthday is a day of the calendar"))),
    Rule("no assert in the product", PRODUCT, statements(ast.Assert),
         "core.requirement.require, which optimised bytecode keeps, or a named exception", "assert True\n"),
    Rule("no global statement", PYTHON, statements(ast.Global), "keep it in an object that is handed on",
         "def f():\n    global x\n    x = 1\n"),
    Rule("the core is documented", ("pipeline/core/",), undocumented, "say what, shapes, units, errors",
         '"""Law."""\n\n\ndef f():\n    return 1\n'),
    Rule("tests are not skipped", ("tests/",), mentions(*SKIPPING), "let it fail with one line that says what to get",
         "import pytest\npytest.skip('no')\n"),
    Rule("cases are collected alike by every process", ("tests/",), matches(PACKED_CASE), "gzip.compress(…, mtime=0)",
         "    (gzip" ".compress(b'x'), 400),\n"),
    Rule("no package registry by name", ("",), matches(HOST), "leave where packages come from to their tools",
         f"see https://{HOSTS[0]}/x\n"),
    Rule("no path of one machine", ("",), matches(MACHINE), "make it relative to the file, or a setting",
         "open('/ho" "me/ada/x')\n"),
)  # fmt: skip


def concerned(rule: Rule) -> Iterator[tuple[Path, str]]:
    """The files a rule is for and their texts, exceptions included."""
    for file in tracked():
        name = file.as_posix()
        wanted = any(name.endswith(u[1:]) if u.startswith("*") else name.startswith(u) for u in rule.under)
        if not wanted or ("" not in rule.under and file.suffix != ".py"):
            continue
        try:
            yield file, (ROOT / file).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an archive or a picture


@cache
def broken(rule: Rule) -> list[tuple[Path, Found]]:
    """Every place that breaks the rule, exceptions included."""
    return [(file, found) for file, text in concerned(rule) for found in rule.find(file, text)]


def excepted(rule: Rule, file: Path) -> bool:
    """Whether the rule lets this file be."""
    return any(file.as_posix().startswith(place) for place, _ in rule.except_for)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_house_rule_holds(rule: Rule) -> None:
    places = [f"{file}:{found.line}: {found.what}" for file, found in broken(rule) if not excepted(rule, file)]
    assert not places, f"{rule.name}: {rule.instead}\n  " + "\n  ".join(places)


@pytest.mark.parametrize("rule", [r for r in RULES if r.example], ids=lambda rule: rule.name)
def test_the_rule_finds_its_example(rule: Rule) -> None:
    assert list(rule.find(Path("example.py"), rule.example))
    assert rule.instead


def test_vague_module_names_are_found() -> None:
    found = {name for name in ("utils", "kafka", "helpers", "base") if list(vague_name(Path(f"x/{name}.py"), ""))}
    assert found == {"utils", "helpers", "base"}


@pytest.mark.parametrize("rule", [r for r in RULES if r.except_for], ids=lambda rule: rule.name)
def test_no_exception_outlives_its_reason(rule: Rule) -> None:
    used = [file.as_posix() for file, _ in broken(rule)]
    stale = [place for place, _ in rule.except_for if not any(name.startswith(place) for name in used)]
    assert not stale, f"{rule.name}: take these exceptions away, nothing there needs them: {stale}"
