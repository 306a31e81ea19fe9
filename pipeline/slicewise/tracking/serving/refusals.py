"""Answers to requests that are refused: JSON with an error in four parts."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from slicewise.errors import SlicewiseError, UsageError


class RefusedError(Exception):
    """A request that is answered with an error.

    Args:
        status: of the answer.
        error: shown to the client, so it names no file of this machine.
    """

    def __init__(self, status: int, error: SlicewiseError) -> None:
        super().__init__(status, error)
        self.status, self.error = status, error

    def response(self) -> Response:
        """The error as JSON."""
        parts = {key: getattr(self.error, key) for key in ("where", "expected", "found", "remedy")}
        content = {"message": str(self.error), "error": parts}
        headers = {"retry-after": "5"} if self.status == 503 else {}
        return JSONResponse(content, self.status, headers)


def refusal(status: int, where: str, *, expected: str, found: str, remedy: str) -> RefusedError:
    """A refusal with a status and the four parts of an error."""
    return RefusedError(status, UsageError(where, expected=expected, found=found, remedy=remedy))


def busy(found: str) -> RefusedError:
    """The refusal of a service that cannot answer now."""
    return refusal(
        503,
        "service",
        expected="a free place and an answer in time",
        found=found,
        remedy="try again later",
    )


def internal_error() -> RefusedError:
    """The refusal after a fault of the service: the client learns no more than that."""
    return RefusedError(
        500,
        SlicewiseError(
            "request",
            expected="an answer",
            found="an internal error of the service",
            remedy="its log says more; report it with the version",
        ),
    )


def wrong_request(found: str) -> SlicewiseError:
    """The error of a body that is no request."""
    return UsageError(
        "request",
        expected='{"dataframe_records": [{"nifti": "..."}]}, a file in base64',
        found=found,
        remedy="see the example in docs/serving.md, or the input example of the model",
    )
