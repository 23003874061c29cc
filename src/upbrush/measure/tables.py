"""A comparison as tables: Markdown for the README, HTML for people; what we lose is said as plainly as what we win."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from upbrush.errors import ConfigError
from upbrush.measure import page as pages
from upbrush.measure.catalogue import BY_KEY, Metric, shown, signed
from upbrush.measure.plan import OURS, Plan, PlannedSet, PlannedTable
from upbrush.measure.summary import Summary

BEGIN, END = "<!-- made by upbrush compare -->", "<!-- end of what upbrush compare made -->"
SPEED_LOW, SPEED_ENGINE = "128x128", "onnxruntime"


@dataclass(frozen=True)
class Table:
    """heads and rows of Markdown cells; the first column is words, the others numbers unless `words` says otherwise."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    words: bool = False

    def markdown(self) -> str:
        """As Markdown."""
        lines = [self.heads, ["---", *["---" if self.words else "---:"] * (len(self.heads) - 1)], *self.rows]
        return "\n".join([*("| " + " | ".join(line) + " |" for line in lines), "", *self.notes]).rstrip()


@dataclass(frozen=True)
class Tables:
    """All tables of a comparison, and what they say in sentences."""

    tables: Sequence[Table]
    sentences: Sequence[str]

    def markdown(self, level: int = 2) -> str:
        """Every table under its title, then the sentences."""
        parts = [f"{'#' * level} {table.title}\n{table.markdown()}\n" for table in self.tables]
        return "\n".join([*parts, *self.sentences]) + "\n"


def build(plan: Plan, summaries: Mapping[str, Summary], results: Mapping[str, Any]) -> Tables:
    """Make every table that there are numbers for. results: of the benchmarks, "speed" and "memory"."""
    sets = {one.id: one for one in plan.set}
    made = [_quality(table, sets, summaries) for table in plan.table]
    made += [table for table in (_speed(results), _verdicts(plan, summaries)) if table is not None]
    return Tables(made, [plan.note] * any(one.quoted for one in plan.set))


def parts(readme: Path) -> tuple[str, str]:
    """A readme before and after the place of the tables, marks included. Raises ConfigError where there is none."""
    try:
        text = readme.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{readme}: cannot be read ({error.strerror}); give a Markdown file") from None
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ConfigError(f"{readme}: has no place for the tables; put {BEGIN} and {END} on lines of their own")
    return before + begin, end + after


def seconds_by_method(results: Mapping[str, Any], networks: Mapping[str, str]) -> dict[str, float]:
    """A picture's seconds by method, where the speed benchmark measured its network."""
    found = {
        result["network"]: result["seconds"]["median"]
        for result in results.get("speed", {}).get("results", [])
        if (result["low"], result["engine"]) == (SPEED_LOW, SPEED_ENGINE)
    }
    return {method: found[network] for method, network in networks.items() if network in found}


def _quality(table: PlannedTable, sets: Mapping[str, PlannedSet], summaries: Mapping[str, Summary]) -> Table:
    """One planned table: methods as rows where there is one set, as columns where there are several."""
    metrics = [BY_KEY[key] for key in table.metrics]
    by_set = {name: _values(sets[name], summaries[name], table.methods, metrics) for name in table.sets}
    if len(by_set) == 1:
        values = next(iter(by_set.values()))
        cells = [_marked(metric, column) for metric, column in zip(metrics, zip(*values, strict=True), strict=True)]
        heads = [f"{len(summaries[table.sets[0]].cases)} pictures", *map(_head, metrics)]
        return Table(table.title, heads, [[name, *row] for name, *row in zip(table.methods, *cells, strict=True)])
    rows = []
    for name, values in by_set.items():
        cells = [_marked(metric, column) for metric, column in zip(metrics, zip(*values, strict=True), strict=True)]
        rows.append([sets[name].name, *(" / ".join(cell) for cell in zip(*cells, strict=True))])
    return Table(table.title, [" / ".join(map(_head, metrics)), *table.methods], rows)


Value = tuple[float | None, bool]  # a number, and whether it is quoted


def _values(one: PlannedSet, summary: Summary, methods: Sequence[str], metrics: Sequence[Metric]) -> list[list[Value]]:
    """The numbers of a set: measured here, or else quoted."""
    found = []
    for method in methods:
        means = summary.means.get(method, {})
        quoted = one.quoted.get(method, {})
        found.append([
            (means[metric.key].value, False) if metric.key in means else (quoted.get(metric.key), True)
            for metric in metrics
        ])  # fmt: skip
    return found


def _marked(metric: Metric, column: Sequence[Value]) -> list[str]:
    """The cells of one metric: the best bold, quoted ones in italics."""
    best = pages.best_of(metric, [value for value, _ in column])
    cells = []
    for index, (value, quoted) in enumerate(column):
        text = f"{value:g}" if quoted and value is not None else shown(metric, value)  # no digits that were not told
        text = f"**{text}**" if index in best else text
        cells.append(f"*{text}*" if quoted and value is not None else text)
    return cells


def _head(metric: Metric) -> str:
    return f"{metric.title}{f', {metric.unit}' if metric.unit else ''} {pages.ARROWS[metric.better]}".strip()


def _verdicts(plan: Plan, summaries: Mapping[str, Summary]) -> Table | None:
    """Where ours is better and worse than each rival, at 5 % after Holm's correction, by the tables' own metrics."""
    rows = []
    wanted: dict[str, list[str]] = {}
    for table in plan.table:
        for name in table.sets:
            wanted.setdefault(name, []).extend(key for key in table.metrics if key not in wanted.get(name, []))
    for one in plan.set:
        if one.id not in wanted:
            continue
        for rival in one.rivals:
            tests = [t for t in summaries[one.id].comparisons if t.second == rival and t.metric in wanted[one.id]]
            words: dict[str, list[str]] = {"wins": [], "even": [], "loses": []}
            for test in tests:
                clear = test.adjusted is not None and test.adjusted < 0.05
                side = "even" if not clear else "wins" if test.found.better < 0 else "loses"
                words[side].append(f"{BY_KEY[test.metric].title} {signed(BY_KEY[test.metric], test.found.value)}")
            rows.append([f"{one.name}: against {rival}", *(", ".join(words[key]) or "–" for key in words)])
    if not rows:
        return None
    heads = [f"{OURS}, difference of means", "better in", "no clear difference", "worse in"]
    return Table("Wins and losses", heads, rows, words=True)


def _speed(results: Mapping[str, Any]) -> Table | None:
    """Speed and peak memory of the networks, as the benchmarks measured them last."""
    speed = results.get("speed")
    if speed is None:
        return None
    measured = [result for result in speed["results"] if result["engine"] == SPEED_ENGINE]
    lows = list(dict.fromkeys(result["low"] for result in measured))
    peaks = {
        (result["network"], result["low"]): result["peak_bytes"]
        for result in results.get("memory", {}).get("networks", [])
    }
    rows = []
    for network in dict.fromkeys(result["network"] for result in measured):
        row = [network]
        for low in lows:
            found = next((r for r in measured if (r["network"], r["low"]) == (network, low)), None)
            row += ["–", "–"] if found is None else _timed(found)
            if peaks:
                peak = peaks.get((network, low))
                row.append("–" if peak is None else f"{peak / 1e6:.0f}")
        rows.append(row)
    heads = ["×4"]
    for low in lows:
        heads += [f"{low}, ms (IQR)", "ours / it", *["peak MB"] * bool(peaks)]
    facts = speed["circumstances"]
    quiet = (
        "" if facts["quiet"] else f"; the machine was not quiet (load {facts['load_before']:.1f}), ratios hold better"
    )
    note = f"{SPEED_ENGINE}, {facts['threads']} threads of {facts['processor']}, commit {facts['commit']}{quiet}."
    return Table("Speed and memory", heads, rows, [note])


def _timed(result: Mapping[str, Any]) -> list[str]:
    time, ratio = result["seconds"], result["ours_over_it"]
    own = result["network"].startswith(OURS)
    return [f"{1e3 * time['median']:.0f} ({1e3 * time['iqr']:.0f})", "" if own else f"{ratio['median']:.2f}"]


def page(tables: Tables, plan: Plan) -> str:
    """The tables as a page, with a link to each set's report."""
    parts = ["<h1>Ours and the rivals</h1><p class='faint'>Made by upbrush compare.</p>"]
    for table in tables.tables:
        kinds = [" class=words" if table.words or not column else "" for column in range(len(table.heads))]
        heads = "".join(f"<th{kind}>{escape(head)}</th>" for kind, head in zip(kinds, table.heads, strict=True))
        rows = ""
        for row in table.rows:
            cells = (f"<td{kind}>{_html(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
            rows += f"<tr>{''.join(cells)}</tr>"
        notes = "".join(f"<p class='faint'>{escape(note)}</p>" for note in table.notes)
        parts.append(
            f'<h2>{escape(table.title)}</h2><div class="scroll"><table><thead><tr>{heads}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div>{notes}"
        )
    parts += [f"<p class='faint'>{_html(sentence)}</p>" for sentence in tables.sentences]
    links = "".join(f'<li><a href="{one.id}/report.html">{escape(one.name)}</a></li>' for one in plan.set)
    return pages.document("Ours and the rivals", "".join(parts) + f"<h2>Each set in full</h2><ul>{links}</ul>")


def _html(cell: str) -> str:
    """The little Markdown that cells have."""
    text = escape(cell)
    for mark, tag in (("**", "b"), ("*", "i")):
        pieces = text.split(mark)
        text = (
            "".join(piece + (f"<{tag}>" if i % 2 == 0 else f"</{tag}>") for i, piece in enumerate(pieces[:-1]))
            + pieces[-1]
        )
    return text
