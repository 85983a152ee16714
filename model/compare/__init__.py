"""`peregrine compare`: every model through one search, one evaluator, one table.

candidate   what has a row in the table                     run       trains, times and evaluates one of them
searched    a baseline with its search as one of them       report    finished runs, results.json
peregrine   the system's own pipeline as one of them        versus    paired tests: who leads
lineup      who competes, by name                           table, summary, plots    what is read
"""
