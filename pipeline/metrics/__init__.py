"""Agreement of two masks."""
