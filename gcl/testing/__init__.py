"""Conformance suites: what every recommender, view and objective must hold, for those of gcl and for yours.

    from gcl.testing import check_recommender
    def test_mine():
        check_recommender(lambda data: MyModel(data, dim=8))

Each check raises AssertionError with the rule that was broken.
"""

from gcl.testing.data import tiny_dataset
from gcl.testing.data_views import check_data_view
from gcl.testing.objectives import check_objective
from gcl.testing.recommenders import check_recommender
from gcl.testing.views import check_graph_view

__all__ = ["check_data_view", "check_graph_view", "check_objective", "check_recommender", "tiny_dataset"]
