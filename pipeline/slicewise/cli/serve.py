"""``slicewise serve``: a model behind HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Work
from slicewise.workflows.ports import SERVE_PORT


def serve(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Folder or checkpoint of `slicewise train`, run id, or models:/name@alias.",
        ),
    ],
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; by default this machine only.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen at.")] = SERVE_PORT,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="NAME", help="Host name that clients may use; repeatable."),
    ] = None,
    max_megabytes: Annotated[
        float, typer.Option("--max-megabytes", min=0.001, help="Largest request.")
    ] = 64,
    max_megavoxels: Annotated[
        float, typer.Option("--max-megavoxels", min=0.001, help="Largest scan, in million voxels.")
    ] = 100,
    max_memory_gigabytes: Annotated[
        float | None,
        typer.Option(
            "--max-memory-gigabytes",
            min=0.1,
            help="Memory of each prediction; by default what is free.",
        ),
    ] = None,
    timeout_seconds: Annotated[
        float,
        typer.Option(
            "--timeout-seconds", min=0.1, help="Longest wait for an answer; then it is ended."
        ),
    ] = 120,
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, help="Concurrent predictions; other requests queue.")
    ] = 2,
    allow_paths: Annotated[
        Path | None,
        typer.Option(
            "--allow-paths", metavar="DIR", help="Let requests name files below DIR by path."
        ),
    ] = None,
    work: Work = DEFAULT_WORK,
) -> None:
    r"""Serve a model over HTTP until it is stopped with Ctrl-C.

    POST /invocations takes MLflow's JSON with one scan per row: the column nifti
    has a NIfTI file in base64 (nifti_NAME for each of several contrasts). The
    answer has mask, volumes_ml and confidence.

    Status 400: a scan cannot be used; the answer says why. 403: a foreign Host or
    Origin. 408: too slow an upload. 413: too large a request. 503: the service is
    busy.

    Predictions run in child processes: one that takes too long, or whose client is
    gone, is ended.

    There is no password: everyone who can reach the address can use the model.

    Examples:
      slicewise serve models:/hippocampus@champion

      slicewise predict --endpoint http://127.0.0.1:5001 scan.nii.gz \
        --out mask.nii.gz
    """
    from slicewise.cli.console import PROGRESS, loading, note

    with loading():
        from slicewise.workflows.serve import ServeOptions
        from slicewise.workflows.serve import serve as serve_model
    options = ServeOptions(
        model,
        host,
        port,
        tuple(names or ()),
        max_megabytes,
        max_megavoxels,
        max_memory_gigabytes,
        timeout_seconds,
        at_once,
        allow_paths,
        work,
    )
    service = serve_model(options, PROGRESS)
    note("stop it with Ctrl-C; to predict with it:")
    note(f"slicewise predict --endpoint {service.url} scan.nii.gz --out mask.nii.gz")
    service.run()
