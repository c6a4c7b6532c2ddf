"""SQL as one normal form, so that queries that differ in layout, case, quotes or names of aliases are equal."""

from __future__ import annotations

import contextlib
from functools import lru_cache
from typing import TYPE_CHECKING

from tunesmith.core.errors import MissingExtra

if TYPE_CHECKING:
    from sqlglot import exp

_REMEMBERED = 50_000
# SQLite reads most; the others for backticks, double-quoted texts and casts that it does not know.
_DIALECTS = ("sqlite", "mysql", "postgres", "tsql")
_RESULT = "result\N{MIDDLE DOT}"  # the new name of a result column; no query has such
_ONLY = ""  # the place among known names of the only table that a SELECT reads
# First words of statements, and what else must stand in one (any of these).
_STARTS = {
    "select": ("from", "("), "with": ("as select",), "insert": ("into",), "replace": ("into",), "update": ("set",),
    "delete": ("from",), "create": ("table", "view", "index"), "values": ("(",),
}  # fmt: skip


def looks_like_sql(text: str) -> bool:
    """Whether the text begins as a statement does and goes on like one; it need not be one."""
    words = text.casefold().replace("(", " ( ").split()
    first = next((word for word in words if word != "("), "")
    rest = f" {' '.join(words[words.index(first) + 1 :])} " if first else ""
    return any(all(f" {word} " in rest for word in needed.split()) for needed in _STARTS.get(first, ()))


@lru_cache(_REMEMBERED)
def normalised(text: str) -> str | None:
    """The normal form; None if no dialect reads it as exactly one statement. Raises MissingExtra without sqlglot.

    Equal after it: white space, comments, the last semicolon, case of keywords and names, single and double quotes
    around texts, <> and !=, names of tables' aliases (and whether there is one), the table before a column where only
    one is read, aliases of columns that nothing refers to. Not equal: another order of columns, tables or conditions.
    """
    tree, dialect = _parsed(text)
    if tree is None:
        return None
    with contextlib.suppress(RecursionError):
        return _normal(tree, quotes_name=dialect == "mysql")
    return None


def is_valid(text: str) -> bool:
    """Whether some dialect reads it as exactly one statement."""
    return _parsed(text)[0] is not None


def require() -> None:
    """Raise MissingExtra unless sqlglot is installed."""
    try:
        import sqlglot  # noqa: F401
    except ImportError:
        raise MissingExtra("comparing SQL", "code") from None


@lru_cache(_REMEMBERED)
def _parsed(text: str) -> tuple[exp.Expr | None, str]:
    require()
    import logging

    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it would log the text of what it does not know
    for dialect in ("mysql",) if "`" in text else _DIALECTS:
        try:
            found = [tree for tree in sqlglot.parse(text, read=dialect) if tree is not None]
        except (SqlglotError, RecursionError, ValueError):
            continue
        if len(found) == 1 and not isinstance(found[0], exp.Command | exp.Column | exp.Literal | exp.Alias):
            return found[0], dialect
    return None, ""


def _normal(tree: exp.Expr, *, quotes_name: bool) -> str:
    """quotes_name: quoted names are names; else they are texts, as SQLite takes "..." where no column is called so."""
    from sqlglot import exp

    tree = tree.copy()
    for column in [] if quotes_name else list(tree.find_all(exp.Column)):
        name = column.this
        if isinstance(name, exp.Identifier) and name.quoted and not column.table:
            column.replace(exp.Literal.string(name.name))  # "a text", where a name would be qualified or bare
    _unalias_columns(tree)
    _rename(tree, {}, [0])
    for identifier in tree.find_all(exp.Identifier):
        identifier.set("this", identifier.name.casefold())
        identifier.set("quoted", False)
    for ordered in tree.find_all(exp.Ordered):
        ordered.set("desc", bool(ordered.args.get("desc")))
        ordered.set("nulls_first", None)
    for join in tree.find_all(exp.Join):
        if str(join.args.get("kind") or "").upper() in ("INNER", "CROSS"):
            join.set("kind", None)
    return str(tree.sql(dialect="sqlite", comments=False, normalize_functions="upper"))


def _unalias_columns(tree: exp.Expr) -> None:
    """Take off the names of result columns that nothing refers to, and number the others."""
    from sqlglot import exp

    bare = {column.name.casefold() for column in tree.find_all(exp.Column)}
    number: dict[str, str] = {}
    for select in list(tree.find_all(exp.Select)):
        for at, item in enumerate(list(select.expressions)):
            if isinstance(item, exp.Alias):
                name = item.alias.casefold()
                if name not in bare:
                    select.expressions[at].replace(item.this)
                else:
                    number.setdefault(name, f"{_RESULT}{len(number) + 1}")
                    item.set("alias", exp.to_identifier(number[name]))
    for column in tree.find_all(exp.Column):
        if column.name.casefold() in number and not column.table:
            column.set("this", exp.to_identifier(number[column.name.casefold()]))


def _rename(node: exp.Expr, known: dict[str, str], count: list[int]) -> None:
    """Number the tables of every SELECT in order and call them so wherever they are referred to."""
    from sqlglot import exp

    if isinstance(node, exp.Select | exp.Update | exp.Delete | exp.Insert):
        known, read = dict(known), _sources(node)
        for table in read:
            name = (table.alias or table.name).casefold()
            count[0] += 1
            known[name] = f"t{count[0]}"
            alias = table.args.get("alias")
            if alias is not None:
                alias.set("this", exp.to_identifier(known[name]))
            else:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(known[name])))
        known[_ONLY] = f"t{count[0]}" if len(read) == 1 else ""
    if isinstance(node, exp.Column) and node.table:
        node.set("table", exp.to_identifier(known.get(node.table.casefold(), node.table.casefold())))
    elif isinstance(node, exp.Column) and known.get(_ONLY) and not _stays(node):
        node.set("table", exp.to_identifier(known[_ONLY]))
    for child in list(node.iter_expressions()):
        _rename(child, known, count)


def _stays(column: exp.Expr) -> bool:
    """Whether it is the name of a result, or all columns, rather than a column of a table."""
    return column.name.startswith(_RESULT) or column.is_star


def _sources(select: exp.Expr) -> list[exp.Expr]:
    """Tables and subqueries that a statement itself reads from, in order."""
    from sqlglot import exp

    held = [select.args.get("from_") or select.args.get("from"), *(select.args.get("joins") or [])]
    found = [part.this for part in held if part is not None]
    return [part for part in found if isinstance(part, exp.Table | exp.Subquery)]
