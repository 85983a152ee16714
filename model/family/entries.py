"""The presets of the family in the comparison, each with the settings that are searched."""

from __future__ import annotations

from model.baselines.baseline import Entry, grid
from model.family.presets import dynllm, dynllm_untrained, dynshare, dyrep, jodie, tgn
from model.family.training import FamilyFit

_RECURRENT = grid(learning_rate=(1e-3, 3e-3), dim=(64, 128))
_ATTENTION = grid(learning_rate=(1e-3, 3e-3), neighbours=(10, 20))
_TWO_LAYERS = grid(learning_rate=(1e-3, 3e-3), neighbours=(5, 10))
_DYNLLM = grid(learning_rate=(1e-3, 3e-3), neighbours=(3,))

FAMILY: tuple[Entry, ...] = (
    Entry("jodie", FamilyFit(jodie), _RECURRENT),
    Entry("dyrep", FamilyFit(dyrep), _RECURRENT),
    Entry("tgn", FamilyFit(tgn), _ATTENTION),
    Entry("dynshare", FamilyFit(dynshare), _TWO_LAYERS),
    Entry("dynllm", FamilyFit(dynllm), _DYNLLM),
    Entry("dynllm-untrained", FamilyFit(dynllm_untrained), _DYNLLM),
)
"""BPR in all of them; DynLLM with the 3 neighbours of its paper."""
