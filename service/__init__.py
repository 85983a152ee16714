"""The serving half of Peregrine: events in, lists out. Imports no torch."""
