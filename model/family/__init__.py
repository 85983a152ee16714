"""The family of temporal graph models that came before: JODIE, DyRep, TGN, DynShare, DynLLM (MODEL.md section 4).

They are trained and evaluated offline in the form they were published in, a state that moves by batches of events; the
served preset is in `model.presets`.

state     what a node carries between batches     presets   the six compositions
network   one architecture, parts injected        training  BPR over the stream
parts     messages, updaters, heads               scorer    causal scores of all candidates
batches   how the stream is cut                   entries   names and searched settings
"""
