"""`peregrine compare`: every model through one search, one evaluator, one table.

candidate  what has a row in the table       lineup     who competes, by name
"""
