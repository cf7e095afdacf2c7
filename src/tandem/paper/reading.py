"""Reads and checks the configuration of a paper."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.paper.measures import MEASURES
from tandem.paper.plan import (
    NATIVE,
    STORED,
    Budget,
    Column,
    Drawn,
    Paper,
    Planned,
    Published,
    RowTable,
    StudyTable,
    TableRow,
)
from tandem.utils.names import is_name

Thing = TypeVar("Thing")


def read_paper(node: Mapping[str, Any]) -> Paper:
    """Reads and checks a paper.

    Args:
        node: content of `conf/paper/*.yaml`, as plain containers.

    Raises:
        ConfigError: a key is unknown or missing, or a name refers to nothing.
    """
    whole = _make(dict, node, "paper", {field.name for field in fields(Paper)})
    for key in ("name", "title"):
        if not isinstance(whole.get(key), str):
            raise ConfigError(f"paper.{key} is {whole.get(key)!r}, but must be text")
    studies = {name: _words(words, f"paper.studies.{name}") for name, words in _named(whole, "studies").items()}
    budgets = {name: _thing(Budget, item, f"paper.budgets.{name}") for name, item in _named(whole, "budgets").items()}
    tables = {name: _table(item, f"paper.tables.{name}") for name, item in _named(whole, "tables").items()}
    figures = {
        name: _thing(Drawn, item, f"paper.figures.{name}") for name, item in (whole.get("figures") or {}).items()
    }
    rules = _named(whole, "refinements") if whole.get("refinements") else {}
    refine = whole.get("refine") or {}
    plans = {name: _thing(Planned, item, f"paper.plans.{name}") for name, item in (whole.get("plans") or {}).items()}
    paper = Paper(whole["name"], whole["title"], studies, tables, budgets, figures, refine, rules, plans)
    named = {"name": [paper.name], "studies": studies, "budgets": budgets, "tables": tables, "figures": figures,
             "plans": plans}  # fmt: skip
    for key, names in named.items():
        _check_names(names, f"paper.{key}")
    _check(paper)
    return paper


def _check_names(names: Iterable[Any], where: str) -> None:
    for name in names:
        if not is_name(name):
            raise ConfigError(f"{where} has the name {name!r}, which can be no file's name; use letters, digits and _")


def _named(node: Mapping[str, Any], key: str, where: str = "paper") -> Mapping[str, Any]:
    found = node.get(key)
    if not isinstance(found, Mapping) or not found:
        raise ConfigError(f"{where}.{key} is {found!r}, but must be a dict with at least one entry")
    return found


def _table(node: Any, where: str) -> RowTable | StudyTable:
    if isinstance(node, Mapping) and "study" in node:
        return _thing(StudyTable, node, where)
    table = _thing(RowTable, node, where)
    rows = {key: _thing(TableRow, row, f"{where}.rows.{key}") for key, row in _named(node, "rows", where).items()}
    columns = {
        key: _thing(Column, column, f"{where}.columns.{key}") for key, column in _named(node, "columns", where).items()
    }
    published = _thing(Published, table.published, f"{where}.published") if table.published else None
    return RowTable(table.title, rows, columns, table.baseline, published, table.note)


def _thing(kind: type[Thing], node: Any, where: str) -> Thing:
    known = {entry.name for entry in fields(kind)}  # type: ignore[arg-type] # each is a dataclass
    return _make(kind, node, where, known)


def _make(kind: type[Thing], node: Any, where: str, known: set[str]) -> Thing:
    """Builds an object from the entries of a dict; its constructor reports missing entries."""
    if not isinstance(node, Mapping):
        raise ConfigError(f"{where} is {node!r}, but must be a dict of {', '.join(sorted(known))}")
    for key in node:
        if key not in known:
            raise ConfigError(f"unknown key '{where}.{key}': {nearest(str(key), known)}")
    try:
        return kind(**node)
    except TypeError as error:
        missing = str(error).partition(": ")[2] or str(error)
        raise ConfigError(f"{where} is missing {missing}") from error


def _words(words: Any, where: str) -> list[str]:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ConfigError(f"{where} is {words!r}, but must be a list of overrides, such as [experiment=tiny]")
    return words


def _check(paper: Paper) -> None:
    """Checks that every name in a paper refers to something that exists."""
    _check_plans(paper)
    for name, table in paper.tables.items():
        where = f"paper.tables.{name}"
        if isinstance(table, StudyTable):
            _known(table.study, paper.studies, f"{where}.study")
            for other in table.also:
                _known(other, paper.studies, f"{where}.also")
            continue
        if table.baseline is not None:
            _known(table.baseline, table.rows, f"{where}.baseline")
        for key, column in table.columns.items():
            _check_column(column, f"{where}.columns.{key}")
        for row in table.published.rows if table.published else ():
            _known(row, table.rows, f"{where}.published.rows")
            for column_name in table.published.rows[row] if table.published else ():
                _known(column_name, table.columns, f"{where}.published.rows.{row}")
        if any(row.refine is True for row in table.rows.values()) and not paper.refine:
            raise ConfigError(f"{where} refines rows, but paper.refine is empty; choose refine=consistency")
        for key, one in table.rows.items():
            if isinstance(one.refine, str):
                _known(one.refine, paper.refinements, f"{where}.rows.{key}.refine")
            paper.refinement(one)  # a rule that cannot be built is refused before anything runs
    for name, figure in paper.figures.items():
        _known(figure.table, paper.tables, f"paper.figures.{name}.table")
        if figure.ranks and not isinstance(paper.tables[figure.table], StudyTable):
            raise ConfigError(f"paper.figures.{name}.ranks needs the table of a study; leave it out")
        if figure.curves:
            _check_curves(figure.curves, paper.tables[figure.table], f"paper.figures.{name}.curves")


def _check_plans(paper: Paper) -> None:
    for name, plan in paper.plans.items():
        where = f"paper.plans.{name}"
        for key in ("words", "rules"):
            if value := getattr(plan, key):
                _words(value, f"{where}.{key}")
        if plan.like:
            _known(plan.like, paper.plans, f"{where}.like")
            if paper.plans[plan.like].like:
                raise ConfigError(f"{where}.like is '{plan.like}', which is like another one; name that one")
    for name, budget in paper.budgets.items():
        if paper.plans and not budget.time:
            raise ConfigError(f"paper.budgets.{name} has no time, which plans need; add time: 10m")


def _check_curves(curves: Mapping[str, Mapping[Any, str]], table: RowTable | StudyTable, where: str) -> None:
    if not isinstance(table, RowTable):
        raise ConfigError(f"{where} needs a table with named rows; of a study, give heat or neither")
    for label, points in curves.items():
        for number, row in points.items():
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise ConfigError(f"{where}.{label} has the place {number!r}, but must have numbers")
            _known(row, table.rows, f"{where}.{label}.{number}")


def _check_column(column: Column, where: str) -> None:
    if (column.metric is None) == (column.measure is None):
        raise ConfigError(f"{where} must have either a metric (a logged name) or a measure (of the rows per image)")
    if column.measure is not None:
        _known(column.measure, MEASURES, f"{where}.measure")
    if column.at not in (STORED, NATIVE, 0.5):
        raise ConfigError(f"{where}.at is {column.at!r}, but must be 0.5, {STORED} or {NATIVE}")


def _known(name: str, there: Any, where: str) -> None:
    if name not in there:
        raise ConfigError(f"{where} is '{name}': {nearest(name, there)}")
