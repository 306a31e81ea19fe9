"""Trainings side by side: in child processes of this machine, or on a Dask cluster."""
