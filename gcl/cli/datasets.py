"""``gcl datasets``: what there is, and where it comes from."""

import typer

app = typer.Typer(no_args_is_help=True, help="List, fetch, check and convert data sets.", rich_markup_mode=None)
