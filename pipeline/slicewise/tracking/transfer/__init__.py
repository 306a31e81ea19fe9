"""Carries runs and models from one store to another, in one file."""
