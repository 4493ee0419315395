"""Commands run in this process, and a table for them."""

import json

from typer.testing import CliRunner

from gcl.cli.app import app

QUICK = ("train.epochs=1", "evaluate.k=[2,5]", "train.metric=ndcg@5", "--device", "cpu")


class Called:
    """What a command returned."""

    def __init__(self, result):
        self.code, self.out, self.err, self.error = result.exit_code, result.stdout, result.stderr, result.exception

    @property
    def json(self):
        return json.loads(self.out.splitlines()[-1])


def gcl(*arguments) -> Called:
    """Run a command in this process."""
    return Called(CliRunner().invoke(app, [str(a) for a in arguments]))


def good(*arguments) -> Called:
    """Run a command that must succeed."""
    called = gcl(*arguments)
    assert called.code == 0, called.out + called.err + repr(called.error)
    return called


def rows(users=24, items=18):
    """Pairs in two tastes; everybody has at least eight."""
    return [(f"u {u}", f"ï{i}") for u in range(users) for i in range(items) if (u + i) % 2 == 0 or (u * i) % 7 == 3]


def write_csv(path, pairs, header="user,item"):
    path.write_text("\n".join([header, *(",".join(map(str, pair)) for pair in pairs)]) + "\n", encoding="utf-8")
    return path
