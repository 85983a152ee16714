"""The model half of Peregrine. Importing this package imports nothing, so that `service` may share `spec` and `process`."""
