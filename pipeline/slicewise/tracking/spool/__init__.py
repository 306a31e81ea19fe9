"""A journal of each run on disk, from which the tracking store is filled: nothing is lost."""
