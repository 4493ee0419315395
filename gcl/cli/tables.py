"""How a run and its figures are shown."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gcl.cli.console import Output

if TYPE_CHECKING:
    from gcl.config import Resolved
    from gcl.evaluation import Group

NAMES = {"recall": "Recall", "ndcg": "NDCG", "hit_rate": "HitRate", "mrr": "MRR"}


def metrics(out: Output, figures: Mapping[str, Mapping[str, float]]) -> None:
    """A row a part and cut-off, a column for each of Recall, NDCG, HitRate and MRR."""
    rows = []
    for part, values in figures.items():
        for end in (name.partition("@")[2] for name in values if name.startswith("ndcg@")):
            rows.append([f"{part} @{end}", *(f"{values[f'{name}@{end}']:.4f}" for name in NAMES)])
    out.table(["", *NAMES.values()], rows, numbers=True)


def groups(out: Output, found: "Sequence[Group]") -> None:
    """A row a group of users or items, a column for each Recall and NDCG that it has."""
    columns = list(dict.fromkeys(n for group in found for n in group.metrics if n.startswith(("recall@", "ndcg@"))))
    rows = [[g.name, str(g.size), *(f"{g.metrics[n]:.4f}" if n in g.metrics else "" for n in columns)] for g in found]
    if rows:
        titles = [f"{NAMES[name]}@{end}" for name, _, end in (n.partition("@") for n in columns)]
        out.table(["group", "size", *titles], rows, numbers=True)


def configuration(out: Output, config: "Resolved") -> None:
    """Every value of a configuration and where it came from; values that are null by default on one line."""
    out.line(f"{config.name} on {config.dataset}")
    leaves = config.leaves()
    unset = [path for path, value in leaves.items() if value is None and config.origins[path] == "default"]
    rows = [[path, text(value), config.origins[path]] for path, value in leaves.items() if path not in unset]
    out.table(("setting", "value", "from"), rows)
    if unset:
        out.line(f"not set: {', '.join(unset)}")
    out.line()


def finished(out: Output, result: Mapping[str, Any]) -> None:
    """The figures of a run on test, what it took, and where it lies."""
    chosen = f"epoch {result['best_epoch']} of {result['epochs']} chosen" if result["epochs"] else "in closed form"
    out.line(f"{result['model']} on {result['dataset']}, seed {result['seed']}: {chosen}")
    figures = {part: values for part, values in result["metrics"].items() if values}
    if figures:
        metrics(out, figures)
    out.line(f"{result['seconds']:.1f} s, peak memory {result['peak_mb']:.0f} MB")
    out.line(f"run: {result['run']}")


def text(value: Any) -> str:
    """A value as it is typed on the command line."""
    import yaml

    dumped = yaml.safe_dump(value, default_flow_style=True, width=1 << 20, sort_keys=False, allow_unicode=True)
    return dumped.strip().removesuffix("...").strip()
