"""Scores of a whole run: tables and summaries."""
