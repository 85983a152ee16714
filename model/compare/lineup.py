"""Who competes: the one place that names them all, in the order of the table."""

from collections.abc import Mapping, Sequence

from model.baselines.counts import OWN_FREQUENCY, POPULARITY, POPULARITY_7D, POPULARITY_DECAYED
from model.baselines.deep import DEEP
from model.baselines.ease import EASE
from model.baselines.ials import IALS
from model.baselines.item_knn import ITEM_KNN
from model.compare.candidate import Candidate
from model.compare.errors import UnknownModelError
from model.compare.peregrine import ABLATIONS, PEREGRINE, PROFILED
from model.compare.searched import Searched
from model.family.entries import FAMILY

_ENTRIES = (POPULARITY, POPULARITY_7D, POPULARITY_DECAYED, OWN_FREQUENCY, ITEM_KNN, EASE, IALS, *DEEP, *FAMILY)

LINEUP: Mapping[str, Candidate] = {
    **{entry.name: Searched(entry) for entry in _ENTRIES},
    PEREGRINE.name: PEREGRINE,
}
"""The models of the table."""

ABLATED: Mapping[str, Candidate] = {pipeline.name: pipeline for pipeline in (*ABLATIONS, *PROFILED)}
"""The system itself with one thing changed, or with profiles."""


def choose(names: str, ablations: bool) -> Sequence[Candidate]:
    """names: separated by commas, or `all`. Raises UnknownModelError, which lists the known ones."""
    known = {**LINEUP, **ABLATED}
    wanted = list(LINEUP) if names == "all" else [name.strip() for name in names.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in known]:
        raise UnknownModelError(f"no model is called {', '.join(unknown)}; known are {', '.join(known)}")
    if ablations:
        wanted += [pipeline.name for pipeline in ABLATIONS]
    if not wanted:
        raise UnknownModelError(f"--models names none; known are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(wanted)]
