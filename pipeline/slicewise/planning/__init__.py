"""A labelled data set in; a plan with reasons, and what it costs on this machine, out."""
