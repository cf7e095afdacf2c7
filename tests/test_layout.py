"""The package graph, drawn from the imports, lazy ones too: no loop, and no arrow against the order."""

import ast
from collections.abc import Iterator
from pathlib import Path

import tandem

ROOT = Path(tandem.__file__).parent

ORDER = (
    "errors",
    "utils",
    "config",
    "data",
    "losses metrics decisions network optim distributed balance refine",
    "adversarial penalties reports",
    "jobs",
    "cli",
    "tasks trackers",
    "module",
    "callbacks",
    "factory",
    "runs",
    "train evaluate predict export study audit show_data explain_loss write_shards",
    "find_lr search",
    "list_runs doctor",
    "python",
    "plan",
    "paper",
)
"""Packages from low to high, as in docs/architecture.md: imports lead down, or to a package of the same line."""

LEVEL = {name: level for level, line in enumerate(ORDER) for name in line.split()}

LOOSE = 5
"""So many modules may lie beside the packages: the command line, errors, and the parts of a run that are one file."""


def room(path: Path) -> str:
    """The package that a file lies in, or its own name."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Packages of tandem that a file imports, anywhere in it, with the line; imports for types alone do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typed = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for part in node.body
        for inner in ast.walk(part)
    }
    for node in ast.walk(tree):
        if node in typed:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "tandem" and len(parts) > 1 and parts[1] in LEVEL:
                yield parts[1], node.lineno


def arrows() -> dict[tuple[str, str], list[str]]:
    """Pairs of packages of which the first imports the second, with the places where it does."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        here = room(path)
        if here == "__init__":  # a face above all
            continue
        for there, line in imported(path):
            if there != here:
                found.setdefault((here, there), []).append(f"{path.relative_to(ROOT)}:{line}")
    return found


def test_every_package_has_its_place_in_the_order() -> None:
    there = {room(path) for path in ROOT.rglob("*.py")} - {"__init__"}
    assert there == set(LEVEL)


def test_few_modules_lie_beside_the_packages() -> None:
    loose = sorted(path.stem for path in ROOT.glob("*.py") if path.stem not in ("__init__", "__main__"))
    assert len(loose) <= LOOSE, loose


def test_no_import_leads_up() -> None:
    up = {pair: places for pair, places in arrows().items() if LEVEL[pair[0]] < LEVEL[pair[1]]}
    assert not up, up


def test_packages_of_one_line_do_not_import_each_other_in_a_circle() -> None:
    edges: dict[str, set[str]] = {}
    for here, there in arrows():
        if LEVEL[here] == LEVEL[there]:
            edges.setdefault(here, set()).add(there)
    while leaves := [name for name in edges if not edges[name] & set(edges)]:
        for name in leaves:
            del edges[name]
    assert not edges, edges


def test_no_file_is_longer_than_a_reader_takes_in() -> None:
    long = {
        str(path.relative_to(ROOT)): n for path in ROOT.rglob("*.py") if (n := len(path.read_text().splitlines())) > 400
    }
    assert not long, long
