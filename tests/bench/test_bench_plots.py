"""Pictures of a table stay readable, whatever its length."""

import itertools
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure

from gcl.bench import plots

GROUPS = [("activity", 1, 4), ("activity", 5, 5), ("activity", 6, 9000)]


def drawn(draw, count):
    """The picture of so many models, and the axes on it."""

    def line(at):
        groups = {key: {"ndcg@10": at / 100 + n} for n, key in enumerate(GROUPS)}
        return SimpleNamespace(label=f"model {at}", spectrum=[1.0, 0.5 / (at + 1), 0.0], groups=groups)

    lines = [line(at) for at in range(count)]
    figure = Figure(figsize=(6.6, 4.1), layout="constrained")
    axes = figure.subplots()
    draw(axes, SimpleNamespace(lines=lines, metric="ndcg@10"))
    figure.draw_without_rendering()
    return figure, axes


def names(legend):
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("count", [2, 12, 13, 41])
def test_legends_neither_hide_nor_squeeze_the_picture(count):
    figure, axes = drawn(plots._spectrum, count)
    legend = figure.legends[0] if count > 12 else axes.get_legend()
    assert names(legend) == [f"model {at}" for at in range(count)]
    box, room = axes.get_window_extent(), figure.bbox
    shown = legend.get_window_extent()
    assert not shown.overlaps(box)
    assert shown.y0 >= -1 and shown.y1 <= room.y1 + 1 and shown.x0 >= -1 and shown.x1 <= room.x1 + 1, "all names show"
    assert box.width > 0.5 * room.width and box.height > 250


@pytest.mark.parametrize("count", [1, 41])
def test_groups_are_dots_in_a_row_a_model(count):
    figure, axes = drawn(plots._activity, count)
    assert [t.get_text() for t in axes.get_yticklabels()] == [f"model {at}" for at in range(count)]
    assert names(figure.legends[0]) == ["1 to 4", "5", "6 to 9,000"]
    assert figure.legends[0].get_title().get_text() == "train rows of the user"
    for n, dots in enumerate(axes.get_lines()):
        assert dots.get_xdata() == pytest.approx([at / 100 + n for at in range(count)])
        assert list(dots.get_ydata()) == list(range(count))
    heights = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(not a.overlaps(b) for a, b in itertools.pairwise(heights)), "names do not run together"


def test_a_group_without_a_figure_has_no_dot():
    lines = [
        SimpleNamespace(label="a", groups={GROUPS[0]: {"ndcg@10": 0.1}, GROUPS[1]: {}}),
        SimpleNamespace(label="b", groups={GROUPS[0]: {"ndcg@10": 0.2}, GROUPS[1]: {"ndcg@10": 0.3}}),
    ]
    axes = Figure().subplots()
    plots._activity(axes, SimpleNamespace(lines=lines, metric="ndcg@10"))
    first, second = axes.get_lines()
    assert list(first.get_ydata()) == [0, 1] and list(second.get_ydata()) == [1]
