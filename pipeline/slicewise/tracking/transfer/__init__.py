"""Runs and models of one store in, the same in another store out, by way of one file."""
