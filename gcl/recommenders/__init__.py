"""Recommenders: one method a file, each a short composition of encoders, views and objectives."""

from gcl.recommenders.base import Phase, Recommender

__all__ = ["Phase", "Recommender"]
