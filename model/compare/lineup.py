"""Who competes: the one place that names them all, in the order of the table."""

from collections.abc import Mapping

from model.compare.candidate import Candidate

LINEUP: Mapping[str, Candidate] = {}
