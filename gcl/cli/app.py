"""The ``gcl`` application: its commands, and what every one does with an error."""

import logging
import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gcl.cli import bench, catalogue, compare, datasets, doctor, evaluate, export, pretrain, recommend, train, tune
from gcl.cli.console import LogLines, complain
from gcl.errors import InputError, Interrupted


class Commands(TyperGroup):
    """Commands whose errors become messages and exit codes: 2 for bad input, 1 for a failure."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; with ``GCL_DEBUG=1`` a failure keeps its traceback."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            if os.environ.get("GCL_DEBUG"):
                raise
            complain(str(error))
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            complain("stopped.")
            raise typer.Exit(130) from error
        except Interrupted as error:
            complain(str(error))
            raise typer.Exit(error.exit_code) from error
        except Exception as error:
            if os.environ.get("GCL_DEBUG") or hasattr(error, "exit_code") or isinstance(error, typer.Abort):
                raise
            notes = getattr(error, "__notes__", None) or ["Set GCL_DEBUG=1 to see the traceback."]
            complain(f"{type(error).__name__}: {error} {' '.join(notes)}")
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]}, rich_markup_mode=None,
)  # fmt: skip


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"gcl {version('gcl-rec')}")
        except PackageNotFoundError:
            typer.echo("gcl, not installed")
        raise typer.Exit


@app.callback()
def gcl(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Contrastive learning on graphs and in recommenders."""
    logger = logging.getLogger("gcl")
    logger.setLevel(logging.INFO)
    logger.handlers = [h for h in logger.handlers if not isinstance(h, LogLines)] + [LogLines()]


app.command(no_args_is_help=True)(train.train)
app.command(no_args_is_help=True)(evaluate.evaluate)
app.command(no_args_is_help=True)(recommend.recommend)
app.command(no_args_is_help=True)(export.export)
app.command(no_args_is_help=True)(compare.compare)
app.command(no_args_is_help=True)(bench.bench)
app.command(no_args_is_help=True)(tune.tune)
app.command(no_args_is_help=True)(pretrain.pretrain)
app.command(no_args_is_help=True)(pretrain.probe)
app.command()(catalogue.models)
app.command()(catalogue.losses)
app.command()(catalogue.views)
app.add_typer(datasets.app, name="datasets")
app.command()(doctor.doctor)
