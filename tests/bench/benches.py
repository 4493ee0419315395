"""A small table, and comparisons on it that train in seconds."""

import yaml

SHORT = {"train.epochs": 2, "evaluate.k": [2, 5], "train.batch_size": 64}


def rows(users=30, items=20):
    """Pairs in two tastes."""
    return [(u, i) for u in range(users) for i in range(items) if (u + i) % 2 == 0 or (u * i) % 7 == 3]


def write_table(folder):
    """A table without times: 8:1:1 a user."""
    path = folder / "ratings.csv"
    path.write_text("user,item\n" + "\n".join(f"{u},{i}" for u, i in rows()) + "\n")
    return path


def comparison(table, **changes):
    """The mapping of a small comparison."""
    tree = {
        "datasets": [str(table)],
        "metric": "ndcg@5",
        "show": ["recall@5", "ndcg@5"],
        "seeds": [0, 1],
        "settings": SHORT,
        "models": {
            "Popularity": None,
            "LightGCN": {"settings": {"dim": 8}, "trials": [{"layers": 1}, {"layers": 2}]},
            "SimGCL": {"settings": {"dim": 8}, "objectives": ["DCL"], "note": "untuned"},
        },
        "reference": "LightGCN",
    }
    return {**tree, **changes}


def write(folder, tree, name="small.yaml"):
    """The file of a comparison."""
    path = folder / name
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def stable(record):
    """A line of results.jsonl without what differs from run to run."""
    from gcl.bench.records import TIMINGS

    return {key: value for key, value in record.items() if key not in TIMINGS}


def without_cost(report):
    """The markdown report without its sections of timings."""
    lines, skipped = [], False
    for line in report.splitlines():
        if line.startswith(("#", "**")):
            skipped = line == "### Cost"
        if not skipped:
            lines.append(line)
    return "\n".join(lines)
