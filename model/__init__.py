"""The model half of Peregrine. Importing it imports nothing, so that `service` may share `spec`, `process`, `text`."""
