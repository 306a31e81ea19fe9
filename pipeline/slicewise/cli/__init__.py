"""The command ``slicewise``: one thin subcommand a task."""
