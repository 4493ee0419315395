"""What a report is made of, and how it is written as markdown and as one HTML file."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Tone = Literal["", "best", "better", "worse", "muted", "label"]


@dataclass(frozen=True)
class Text:
    """A cell of a grid; ``under``: what is said of it in smaller type."""

    text: str
    tone: Tone = ""
    under: str = ""


@dataclass(frozen=True)
class Heading:
    """A heading, 1 for the page."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """Running text; ``small`` for legends."""

    text: str
    small: bool = False


@dataclass(frozen=True)
class Grid:
    """A table: the first column names the row, the others are figures unless named in ``left``."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Text]]
    left: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plot:
    """A picture as SVG text; markdown has its caption alone."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Fold:
    """Blocks that a reader opens."""

    title: str
    blocks: "tuple[Block, ...]"


Block = Heading | Paragraph | Grid | Plot | Fold

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; color: #1c2330; background: #f6f7f9;
  margin: 0; }
main { max-width: 1240px; margin: 0 auto; padding: 28px 32px 64px; }
h1 { font-size: 27px; margin: 8px 0 4px; } h2 { font-size: 20px; margin: 44px 0 6px; padding-top: 18px;
  border-top: 1px solid #d8dce3; } h3 { font-size: 16px; margin: 26px 0 8px; }
p { margin: 6px 0; max-width: 90ch; } p.small { color: #5b6472; font-size: 13px; }
.wide { overflow-x: auto; background: #fff; border: 1px solid #e1e4ea; border-radius: 8px; margin: 10px 0; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 10px; text-align: right; white-space: nowrap; border-bottom: 1px solid #edeff3; }
th { font-weight: 600; color: #47505e; background: #fafbfc; } tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child, th.left, td.left { text-align: left; } td.left { white-space: normal; }
td:first-child { font-weight: 600; } tbody tr:hover td { background: #f7f9fc; }
.best { font-weight: 700; } .better { color: #12703d; } .worse { color: #a8322a; } .muted { color: #808895; }
.under { color: #808895; font-size: 12px; font-weight: 400; line-height: 1.3; white-space: normal; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(540px, 1fr)); gap: 16px; margin: 14px 0; }
figure { margin: 0; background: #fff; border: 1px solid #e1e4ea; border-radius: 8px; padding: 12px; }
figure img { width: 100%; height: auto; display: block; }
figcaption { color: #5b6472; font-size: 13px; padding-top: 6px; }
details { margin: 12px 0; } summary { cursor: pointer; font-weight: 600; color: #37404e; }
"""


def markdown(blocks: Sequence[Block]) -> str:
    """The report as markdown, without its plots."""
    return "\n\n".join(told for told in map(_markdown, blocks) if told) + "\n"


def page(title: str, blocks: Sequence[Block]) -> str:
    """The report as one HTML file that needs nothing else."""
    body = "\n".join(_html_all(blocks))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _markdown(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Plot():
            return ""
        case Fold(title, blocks):
            return f"**{title}**\n\n{markdown(blocks).rstrip()}"
        case Grid(columns, rows, left):
            marks = ["---" if at == 0 or name in left else "---:" for at, name in enumerate(columns)]
            lines = [[_escaped(name) for name in columns], marks, *([_marked(cell) for cell in row] for row in rows)]
            return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _marked(cell: Text) -> str:
    told = _escaped(cell.text)
    marked = f"**{told}**" if cell.tone == "best" and told else told
    return f"{marked} ({_escaped(cell.under)})" if cell.under else marked


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _html_all(blocks: Sequence[Block]) -> list[str]:
    """Blocks as HTML; plots that follow each other stand side by side."""
    found: list[str] = []
    plots: list[str] = []
    for block in [*blocks, None]:
        if isinstance(block, Plot):
            plots.append(_figure(block))
            continue
        if plots:
            found.append(f'<div class="plots">{"".join(plots)}</div>')
            plots = []
        if block is not None:
            found.append(_html(block))
    return found


def _html(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Paragraph(text, small):
            return f'<p class="small">{html.escape(text)}</p>' if small else f"<p>{html.escape(text)}</p>"
        case Plot():
            return _figure(block)
        case Fold(title, blocks):
            return f"<details><summary>{html.escape(title)}</summary>\n{' '.join(_html_all(blocks))}\n</details>"
        case Grid(columns, rows, left):
            classes = [' class="left"' if name in left else "" for name in columns]
            head = "".join(f"<th{c}>{html.escape(name)}</th>" for c, name in zip(classes, columns, strict=True))
            body = "".join(
                "<tr>" + "".join(_cell(cell, c) for c, cell in zip(classes, row, strict=True)) + "</tr>\n"
                for row in rows
            )
            return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def _cell(cell: Text, attributes: str) -> str:
    told = html.escape(cell.text)
    shown = f'<span class="{cell.tone}">{told}</span>' if cell.tone else told
    under = f'<div class="under">{html.escape(cell.under)}</div>' if cell.under else ""
    return f"<td{attributes}>{shown}{under}</td>"


def _figure(plot: Plot) -> str:
    data = base64.b64encode(plot.svg.encode()).decode()
    told = html.escape(plot.caption)
    return f'<figure><img alt="{told}" src="data:image/svg+xml;base64,{data}"><figcaption>{told}</figcaption></figure>'
