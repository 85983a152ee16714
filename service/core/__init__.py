"""Pure core of the service: types, packing, Top-K, rules. Arrays in, arrays out; no I/O, no clock, no async."""
