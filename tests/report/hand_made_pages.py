"""Pages made by hand, for the tests of the report."""

import math
from typing import Any

from convergence_jax.report.page import Deviation, DistanceChart, Page, TreeNode, UnusualAgent

HOSTILE = (
    "<script>alert(1)</script>",
    "</style><b>x",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ verdict.sentence }}",
    "\u202ereversed",
    "a\x00b\ud800c\u2028d",
    "&lt;already&gt;",
    "日本語",
    "x" * 5000,
    "",
)


def result(
    agents: int = 4043, flagged: int = 30, features: tuple[str, ...] = ("delay", "distance")
) -> dict[str, Any]:
    """What ``result.json`` holds, like that of a run on flights."""
    d = len(features)
    covariance = [[4.0 if i == j else (-1.0 if (i + j) % 2 else 1.5) for j in range(d)] for i in range(d)]
    return {
        "schema": "convergence.detect/1",
        "execution": {"backend": "xla", "devices": 1, "processes": [4123], "kernel_launches": None},
        "input": {
            "rows": 336776,
            "agents": agents,
            "agents_in_several_groups": 2391,
            "rejected": {"missing:delay": 8713, "not_finite:distance": 3, "out_of_range:delay": 0},
        },
        "lift": {
            f: {"scale_bits": 20, "range_bits": 11, "rounded_to_zero": 12, "nonzero": 4000} for f in features
        },
        "levels": [{"name": "origin", "groups": 3}, {"name": "carrier", "groups": 36}],
        "population": {
            "count": 328060,
            "features": list(features),
            "mean": [12.5] * d,
            "covariance": covariance,
        },
        "decision": {
            "alpha": 0.05,
            "method": "distance from a robust baseline",
            "assumes": ["agents are independent given their groups"],
            "flagged": flagged,
            "least_rejections": None,
            "transforms": dict.fromkeys(features, "none"),
        },
        "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "seconds": {"survey": 0.41, "accumulate": 1.32},
        "versions": {"convergence-jax": "0.1.0", "numpy": "2.3.1"},
    }


def agent(index: int = 0, name: str | None = None, flagged: bool = True, features: int = 2) -> UnusualAgent:
    """One agent, unusual in its first feature."""
    rows = [Deviation("delay", 61.25, 12.5, 13.46, 0.93)]
    rows += [Deviation(f"feature {i}", 1.0, 1.5, -0.5, 0.07 / features) for i in range(1, features)]
    label = name if name is not None else f"N{300 + index}AA"
    return UnusualAgent(label, ("EWR", "UA"), 615, "carrier", 20.0 - index / 100, 1e-12, 1e-9, flagged, rows)


def chart(name: str = "all", threshold: float | None = 8.0, agents: int = 4043) -> DistanceChart:
    """Scores in 48 bins, a few of them far out."""
    edges = [i / 2 for i in range(49)]
    weight = [math.exp(-((i - 5) ** 2) / 8) for i in range(48)]
    expected = [agents * w / sum(weight) for w in weight]
    counts = [float(round(m)) for m in expected]
    counts[30] += 7
    return DistanceChart(name, edges, counts, expected, threshold)


def flights() -> Page:
    """A page like that of a run on flights."""
    tree = [TreeNode((), 4043, 30)]
    for i, origin in enumerate(("EWR", "JFK", "LGA")):
        tree.append(TreeNode((origin,), 1800, 15 - 5 * i))
        tree += [TreeNode((origin, f"C{j:02}"), 700 // (j + 1), max(0, 7 - 2 * j - i)) for j in range(12)]
    charts = [chart("all"), chart("origin"), chart("carrier", None)]
    unusual = [agent(i, flagged=i < 30) for i in range(50)]
    return Page(
        result(),
        tree,
        charts,
        unusual,
        "convergence detect flights.parquet --agent tailnum",
        "flights.parquet",
    )


def hostile() -> Page:
    """A page in which every text that comes from data is an attack."""
    first, *others = HOSTILE
    told = result(features=HOSTILE[:4])
    told["decision"] |= {"method": first, "assumes": list(HOSTILE), "note": others[1]}
    told["input"]["rejected"] = {f"missing:{text}": 3 for text in HOSTILE} | {first: 1}
    told["input"]["source"] = others[0]
    told["levels"] = [{"name": text, "groups": 3} for text in HOSTILE[:2]]
    told["execution"] = {text: text for text in HOSTILE}
    told["seconds"] = dict.fromkeys(HOSTILE, 1.0)
    told["versions"] = {text: text for text in HOSTILE}
    told["digest"] = told["schema"] = first
    tree = [TreeNode((text,), 100, i) for i, text in enumerate(HOSTILE)]
    tree += [TreeNode((a, b), 10, 1) for a in HOSTILE for b in HOSTILE]
    unusual = [agent(name=text) for text in HOSTILE]
    drawn = DistanceChart(others[0], [0, 1, 2], [3, 4], [3, 4], 1.0, {first: others[1]})
    return Page(told, tree, [drawn], unusual, f"convergence detect '{first}'", others[1])
