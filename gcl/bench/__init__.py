"""Comparisons: grids over models, objectives, data sets and seeds, under one budget and one protocol, with a report."""

from gcl.bench.runner import Outcome, bench
from gcl.bench.spec import Bench, Entry, Source, parse, read
from gcl.bench.tuning import Trial, Tuned, tune

__all__ = ["Bench", "Entry", "Outcome", "Source", "Trial", "Tuned", "bench", "parse", "read", "tune"]
