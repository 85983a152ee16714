"""Thin mains, one a process."""
