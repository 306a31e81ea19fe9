"""The network: training it, and turning scans into masks with it."""
