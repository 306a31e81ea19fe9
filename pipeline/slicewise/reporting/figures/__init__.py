"""Figures of the documentation: the architecture, sliding-window inference, example masks."""
