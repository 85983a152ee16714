"""The equations of MODEL.md section 2: one equation, one module, one file. `model.presets` composes them.

Every module is a pure function of its inputs and weights: no running state, no batch statistics, so that a row alone
gives what it gives in any batch. B is the number of users (or rows), n of neighbours, d the width of memory.
"""
