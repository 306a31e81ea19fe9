"""A viewer of scans and masks that works offline in one HTML file."""
