"""Processes that work for this one: they can be limited, ended and replaced."""
