"""The mathematics: pure functions of tensors, unreduced."""

from gcl.losses.functional.energies import alignment, gaussian_lse, log_mean_potential
from gcl.losses.functional.negatives import exhausted, negative_partition
from gcl.losses.functional.numerics import lse, mean_of, normalise, softplus, square_distances
from gcl.losses.functional.partition import log_partition
from gcl.losses.functional.sampled import catalogue_softmax
from gcl.losses.functional.streaming import by_rows

__all__ = [
    "alignment",
    "by_rows",
    "catalogue_softmax",
    "exhausted",
    "gaussian_lse",
    "log_mean_potential",
    "log_partition",
    "lse",
    "mean_of",
    "negative_partition",
    "normalise",
    "softplus",
    "square_distances",
]
