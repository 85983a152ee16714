"""The presets of the family in the comparison, each with the settings that are searched."""

from __future__ import annotations

from model.baselines.baseline import Entry, grid
from model.family.presets import dynllm, dynllm_untrained, dynshare, dyrep, jodie, tgn
from model.family.training import FamilyFit

_RATES = (3e-3, 1e-3)
"""The larger one first: an epoch takes minutes, and where the budget ends after one or two it is the better."""
_RECURRENT = grid(dim=(64, 128), learning_rate=_RATES)
_ATTENTION = grid(neighbours=(10, 20), learning_rate=_RATES)
_TWO_LAYERS = grid(neighbours=(5, 10), learning_rate=_RATES)
_DYNLLM = grid(neighbours=(3,), learning_rate=_RATES)

FAMILY: tuple[Entry, ...] = (
    Entry("jodie", FamilyFit(jodie), _RECURRENT),
    Entry("dyrep", FamilyFit(dyrep), _RECURRENT),
    Entry("tgn", FamilyFit(tgn), _ATTENTION),
    Entry("dynshare", FamilyFit(dynshare), _TWO_LAYERS),
    Entry("dynllm", FamilyFit(dynllm), _DYNLLM),
    Entry("dynllm-untrained", FamilyFit(dynllm_untrained), _DYNLLM),
)
"""BPR in all of them; DynLLM with the 3 neighbours of its paper."""
