"""The exchangeable parts of an objective: similarity, margin, temperature, weighting, kernel."""

from gcl.losses.slots.kernels import Kernel, LogRatio, Summary
from gcl.losses.slots.margins import AdditiveShift, AngularShift, Margin, NoMargin
from gcl.losses.slots.resolve import resolve
from gcl.losses.slots.similarities import (
    Angular,
    Bilinear,
    Cosine,
    Dot,
    Euclidean,
    PowerKernel,
    Shifted,
    Similarity,
    SquareEuclidean,
)
from gcl.losses.slots.temperatures import Fixed, Learnable, Temperature
from gcl.losses.slots.weightings import Uniform, Weighting

__all__ = [
    "AdditiveShift",
    "Angular",
    "AngularShift",
    "Bilinear",
    "Cosine",
    "Dot",
    "Euclidean",
    "Fixed",
    "Kernel",
    "Learnable",
    "LogRatio",
    "Margin",
    "NoMargin",
    "PowerKernel",
    "Shifted",
    "Similarity",
    "SquareEuclidean",
    "Summary",
    "Temperature",
    "Uniform",
    "Weighting",
    "resolve",
]
