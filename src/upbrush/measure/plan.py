"""What is compared with what: sets of pictures, rivals' outputs and tables, read from a TOML file."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from upbrush.config import Settings
from upbrush.errors import ConfigError
from upbrush.measure.catalogue import BY_KEY

OURS, BICUBIC = "upbrush", "bicubic"


class PlannedSet(Settings):
    """Pictures on which methods are compared."""

    id: str = Field(pattern=r"^[\w.-]+$", description="its folder, and its name for --only")
    name: str = Field(description="as tables show it")
    truth: Path = Field(description="folder of the true high pictures")
    low: Path = Field(description="folder of the low pictures that ours are painted from")
    style: Path | None = Field(None, description="folder of the styles of repaints")
    pairs: Path | None = Field(None, description="CSV of repaints: content, style")
    fidelity: float = Field(0.5, ge=0, le=1, description="that ours are restored with")
    rivals: dict[str, Path] = Field({}, description="folders of other methods' outputs")
    quoted: dict[str, dict[str, float]] = Field({}, description="numbers told elsewhere, by method and metric")


class PlannedTable(Settings):
    """A table of the README. With one set, methods are its rows; with several, sets are."""

    title: str
    sets: tuple[str, ...] = Field(min_length=1)
    metrics: tuple[str, ...] = Field(min_length=1)
    methods: tuple[str, ...] = Field(min_length=1)


class Plan(Settings):
    """A comparison. Paths that begin with data/ or rivals/ are in the folders of that name on the command line."""

    note: str = Field("", description="where quoted numbers come from")
    networks: dict[str, str] = Field({}, description="method -> its name in the speed benchmark")
    set: tuple[PlannedSet, ...] = Field(min_length=1)
    table: tuple[PlannedTable, ...] = ()


def load(path: Path, roots: Mapping[str, Path], only: Sequence[str] = ()) -> Plan:
    """Read a plan and put its paths in place.

    roots: what the first part of a path may stand for. only: ids of the sets wanted, all if empty.
    Raises ConfigError for a file that cannot be read, an unknown key, set, metric or method, and a root not given.
    """
    try:
        plan = Plan.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); expected a plan as benchmarks/rivals.toml"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML ({error}); benchmarks/rivals.toml is an example") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {where}: {first['msg']}") from None
    known = {one.id for one in plan.set}
    unknown = [name for name in (*only, *(name for table in plan.table for name in table.sets)) if name not in known]
    unknown += [key for table in plan.table for key in table.metrics if key not in BY_KEY]
    unknown += [key for one in plan.set for quoted in one.quoted.values() for key in quoted if key not in BY_KEY]
    if unknown:
        raise ConfigError(f"{path}: no set or metric is called {', '.join(dict.fromkeys(unknown))}; expected a set of "
                          f"{', '.join(sorted(known))}, or a metric of {', '.join(BY_KEY)}")  # fmt: skip
    chosen = tuple(_placed(one, path, roots) for one in plan.set if not only or one.id in only)
    tables = tuple(
        table.model_copy(update={"sets": tuple(name for name in table.sets if not only or name in only)})
        for table in plan.table
    )
    return plan.model_copy(update={"set": chosen, "table": tuple(table for table in tables if table.sets)})


def _placed(one: PlannedSet, plan: Path, roots: Mapping[str, Path]) -> PlannedSet:
    def place(path: Path | None) -> Path | None:
        if path is None or path.is_absolute():
            return path
        first, *rest = path.parts
        if first in roots:
            return roots[first].joinpath(*rest)
        if first in ("data", "rivals"):
            raise ConfigError(f"{plan}: set {one.id} needs {path}; say with --{first} where that folder is")
        return plan.parent / path

    paths = {name: place(getattr(one, name)) for name in ("truth", "low", "style", "pairs")}
    return one.model_copy(update={**paths, "rivals": {name: place(path) for name, path in one.rivals.items()}})


def methods_of(one: PlannedSet) -> Iterator[str]:
    """The methods that are measured on a set, ours first."""
    yield OURS
    if one.style is None:
        yield BICUBIC
    yield from one.rivals
