"""``slicewise serve``: a model behind HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Work


def serve(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Folder or checkpoint of `slicewise train`, a run id, or models:/name@alias.",
        ),
    ],
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; the default is this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen at.")] = 5001,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--name", metavar="NAME", help="Name that clients may call it by; repeatable."
        ),
    ] = None,
    max_megabytes: Annotated[
        float, typer.Option("--max-megabytes", min=0.001, help="Largest request.")
    ] = 64,
    timeout_seconds: Annotated[
        float, typer.Option("--timeout-seconds", min=0.1, help="Longest wait for an answer.")
    ] = 120,
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, help="Predictions side by side; others wait.")
    ] = 2,
    allow_paths: Annotated[
        Path | None,
        typer.Option(
            "--allow-paths", metavar="DIR", help="Requests may name files below it by their path."
        ),
    ] = None,
    work: Work = DEFAULT_WORK,
) -> None:
    """Answer requests with masks, until it is ended with Ctrl-C.

    POST /invocations takes MLflow's JSON: a row a scan, whose column nifti holds a NIfTI file in
    base64 (nifti_NAME for each of several contrasts), and answers with mask, volumes_ml and
    confidence. A scan that cannot be used gets status 400 and the reason; a body that is too large
    413; a service that is busy 503; a foreign Host or Origin 403.

    There is no password: whoever reaches the address may ask.

    Examples:
      slicewise serve models:/hippocampus@champion

      slicewise predict --endpoint http://127.0.0.1:5001 scan.nii.gz --out mask.nii.gz
    """
    from slicewise.cli.console import loading, note

    with loading():
        from slicewise.cli.serving_run import run_service, served
        from slicewise.tracking.serving.memory import give_memory_back
        from slicewise.tracking.serving.request_limits import LOOPBACK, Limits

    hosts = LOOPBACK | {host, *(names or ())}
    limits = Limits(max_megabytes, timeout_seconds, at_once, frozenset(hosts))
    give_memory_back()
    service = served(model, limits, allow_paths, work)
    note(f"serving {model} at http://{host}:{port} (end with Ctrl-C); for example:")
    note(f"slicewise predict --endpoint http://{host}:{port} scan.nii.gz --out mask.nii.gz")
    run_service(service, host, port)
