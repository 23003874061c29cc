"""Rows summed up: means with intervals, methods compared in pairs, distances between sets, faces verified; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbrush.measure import distributions
from upbrush.measure.catalogue import BY_KEY, METRICS, badness, features_title
from upbrush.measure.faces import Verification, verification
from upbrush.measure.intervals import Difference, Mean, Resampler, holm
from upbrush.measure.pairing import Case
from upbrush.measure.rows import Row

Values = dict[str, dict[str, list[float | None]]]  # method -> metric -> a value for each case


@dataclass(frozen=True)
class Comparison:
    """Two methods by one metric. adjusted: p with Holm's correction for every test of the report."""

    first: str
    second: str
    metric: str
    found: Difference
    adjusted: float | None

    @property
    def verdict(self) -> str:
        """In a word, at 5 % after correction."""
        if self.adjusted is None or self.adjusted >= 0.05:
            return "no clear difference"
        return f"{self.first if self.found.better < 0 else self.second} is better"


@dataclass(frozen=True)
class Summary:
    """Everything that a report says, before it is written.

    means: method -> metric -> mean. sets: method -> title -> estimate, or why there is none. missing: metric -> why it
    was not measured.
    """

    cases: Sequence[Case]
    methods: Sequence[str]
    values: Values
    means: Mapping[str, Mapping[str, Mean]]
    comparisons: Sequence[Comparison]
    sets: Mapping[str, dict[str, distributions.Estimate | float | str]]
    missing: Mapping[str, str]
    verified: Verification | None
    spectra: Mapping[str, NDArray[np.float64]]
    repaints: bool

    def facts(self) -> dict[str, Any]:
        """The numbers as plain values, for JSON."""
        return {
            "pictures": len(self.cases),
            "methods": list(self.methods),
            "means": {
                method: {key: asdict(mean) for key, mean in means.items()} for method, means in self.means.items()
            },
            "comparisons": [
                {"first": one.first, "second": one.second, "metric": one.metric, **asdict(one.found)}
                | {"p_holm": one.adjusted, "verdict": one.verdict}
                for one in self.comparisons
            ],
            "sets": {
                method: {
                    title: asdict(found) if isinstance(found, distributions.Estimate) else found
                    for title, found in sets.items()
                }
                for method, sets in self.sets.items()
            },
            "not_measured": dict(self.missing),
            "verification": None if self.verified is None else asdict(self.verified),
        }


def summarise(
    cases: Sequence[Case],
    rows: Sequence[Row],
    *,
    missing: Mapping[str, str],
    set_features: str,
    others: Sequence[NDArray[np.float32]] = (),
    false_accepts: float = 0.01,
    seed: int = 0,
) -> Summary:
    """Sum rows up.

    rows: one for each case and method. missing: metrics that could not be measured, and why. set_features: what the
    rows' vectors for sets are, such as "VGG19 relu5_1". others: embeddings of truths that are not in the cases, as
    further impostors. Methods are compared with the first.
    """
    methods = list(cases[0].outputs)
    found = {(row.method, row.name): row for row in rows}
    by_method = {method: [found[method, case.name] for case in cases] for method in methods}
    verified = _threshold(cases, by_method, others, false_accepts)
    values: Values = {}
    for method, own in by_method.items():
        values[method] = {metric.key: [row.values.get(metric.key) for row in own] for metric in METRICS}
        if verified is not None:
            values[method]["accepted"] = [_accepted(row, verified) for row in own]
    resampler = Resampler([[case.truth for case in cases], [case.style for case in cases]], seed)
    means = {
        method: {
            metric.key: mean
            for metric in METRICS
            if (mean := resampler.mean(values[method][metric.key], metric.share)) is not None
        }
        for method in methods
    }
    missing = {**_reasons(cases, means[methods[0]]), **missing}
    if cases[0].style is None:  # these judge repaints; nobody misses them here
        missing = {key: reason for key, reason in missing.items() if BY_KEY[key].group != "repaint"}
    return Summary(
        cases,
        methods,
        values,
        means,
        _compare(methods, values, resampler, cases[0].style is not None),
        {method: _sets(cases, own, set_features, seed) for method, own in by_method.items()},
        {key: reason for key, reason in missing.items() if key not in means[methods[0]]},
        verified,
        {method: np.mean([row.vectors["spectrum"] for row in own], 0, np.float64) for method, own in by_method.items()},
        cases[0].style is not None,
    )


def _threshold(
    cases: Sequence[Case], by_method: Mapping[str, Sequence[Row]], others: Sequence[NDArray[np.float32]], rate: float
) -> Verification | None:
    """The face verifier's threshold, from all truths with a face."""
    truths: dict[Path, NDArray[np.float32]] = {}
    for rows in by_method.values():
        truths |= {
            case.truth: row.vectors["face"] for case, row in zip(cases, rows, strict=True) if "face" in row.vectors
        }
    return verification(np.array([*truths.values(), *others]), rate)


def _accepted(row: Row, verified: Verification) -> float | None:
    """Does the verifier take the output for its truth? A face that is lost is taken for nobody."""
    cosine = row.values.get("identity")
    return None if cosine is None else float(cosine > verified.threshold and not row.values["lost"])


def _compare(methods: Sequence[str], values: Values, resampler: Resampler, repaints: bool) -> list[Comparison]:
    """The first method against each other one, by every metric that judges such pictures."""
    pairs, tests = [], []
    for second in methods[1:]:
        for metric in (one for one in METRICS if one.repaint or not repaints):
            both = [values[method][metric.key] for method in (methods[0], second)]
            bad = [
                np.array([np.nan if value is None else badness(metric, value) for value in column]) for column in both
            ]
            test = resampler.difference(both[0], both[1], bad[0], bad[1])
            if test is not None:
                pairs.append((methods[0], second, metric.key))
                tests.append(test)
    adjusted = holm([test.p for test in tests])
    return [Comparison(*pair, test, p) for pair, test, p in zip(pairs, tests, adjusted, strict=True)]


def _reasons(cases: Sequence[Case], means: Mapping[str, Mean]) -> dict[str, str]:
    """Why metrics have no value where nothing was missing to measure them with."""
    reasons = {
        "ms_ssim_y": "all pictures are too small for five sizes",
        "identity": "no face was found in any truth",
        "lost": "no face was found in any truth",
        "accepted": "fewer than two truths have a face, so there are no impostors",
    }
    if cases[0].low is None:
        reasons["down"] = "needs --low"
    return {key: reason for key, reason in reasons.items() if key not in means}


def _sets(
    cases: Sequence[Case], rows: Sequence[Row], features: str, seed: int
) -> dict[str, distributions.Estimate | float | str]:
    """Distances between all outputs and all references: the truths, or the styles of repaints."""
    if not features or any("output" not in row.vectors for row in rows):
        return {features_title("kid", "no features"): "needs weights: VGG19 or Inception"}
    owners = [case.style or case.truth for case in cases]
    references = list(dict.fromkeys(owners))
    kid, frechet = features_title("kid", features), features_title("frechet", features)
    fewest = min(len({case.truth for case in cases}), len(references))
    result: dict[str, distributions.Estimate | float | str] = {}
    if fewest < distributions.LEAST_FOR_KID:
        result[kid] = f"{fewest} different pictures are too few; {distributions.LEAST_FOR_KID} or more are needed"
    else:
        result[kid] = _kid(cases, rows, owners, seed)
    if fewest < distributions.LEAST_FOR_FRECHET:
        result[frechet] = (
            f"not shown: of {fewest} pictures it is mostly bias; {distributions.LEAST_FOR_FRECHET} are needed"
        )
    else:
        first = {owner: row.vectors["reference"] for owner, row in zip(owners, rows, strict=True)}
        x = np.array([row.vectors["output"] for row in rows], np.float64)
        result[frechet] = distributions.frechet(x, np.array(list(first.values()), np.float64))
    return result


def _kid(cases: Sequence[Case], rows: Sequence[Row], owners: Sequence[Path], seed: int) -> distributions.Estimate:
    """The kernel distance; where there are very many pictures, of some drawn by the seed."""
    chosen = list(range(len(rows)))
    if len(rows) > distributions.MOST_FOR_KID:
        drawn = np.random.default_rng(seed).choice(len(rows), distributions.MOST_FOR_KID, replace=False)
        chosen = sorted(drawn.tolist())
    truths = _codes([str(cases[i].truth) for i in chosen])
    own = _codes([str(owners[i]) for i in chosen])
    x = np.array([rows[i].vectors["output"] for i in chosen], np.float64)
    first = np.unique(own, return_index=True)[1]
    y = np.array([rows[chosen[i]].vectors["reference"] for i in first], np.float64)
    labels = own[first]
    within = np.equal.outer(truths, truths) | np.equal.outer(own, own)
    groups = [(own, labels)]
    if cases[0].style is not None:
        groups.append((truths, np.full(len(labels), -1)))
    return distributions.kid(x, y, np.equal.outer(own, labels), within, groups)


def _codes(labels: Sequence[str]) -> NDArray[np.intp]:
    return np.unique(labels, return_inverse=True)[1]
