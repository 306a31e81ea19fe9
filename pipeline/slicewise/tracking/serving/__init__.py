"""A servable model in, a web service with limits out; and the client that asks it."""
