"""The command ``slicewise``, also as ``python -m slicewise``."""

import sys


def main() -> None:
    """Load the command line and run it; Ctrl-C meanwhile ends without a traceback."""
    try:
        from slicewise.cli.main import main as run
    except KeyboardInterrupt:
        # 128 + SIGINT, as after Ctrl-C at any later time.
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
