"""A web service for a model, with limits on its requests, and its client."""
