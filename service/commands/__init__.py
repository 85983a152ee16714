"""What the `peregrine` commands do, one file a command, and what several of them share. Imported when called."""
