"""Reading and writing of NIfTI files."""
