"""MLflow's page shows a cross-validation as runs that are compared at a glance."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from tests.servers import free_port, wait_until_healthy

from slicewise.config import parse_config
from slicewise.tracking import Store, mlflow_ui_command, open_store, start_run

pytestmark = pytest.mark.slow

CONFIG = """
name: page
data: {labels: {core: 1}}
training: {steps: 4}
tracking: {experiment: "größe/a b"}
"""
DICE = (0.8123, 0.8456)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A parent with two folds."""
    store = open_store(tmp_path_factory.mktemp("page"))
    config = parse_config(CONFIG, "page")
    with start_run(store, config, "all <b>folds</b>") as parent:
        for fold, dice in enumerate(DICE):
            with start_run(store, config, f"fold {fold}", fold=fold, parent=parent.run_id) as run:
                for step in range(1, 6):
                    run.log_metrics(step, {"validation.dice": dice * step / 5})
                run.log_metrics(5, {"dice": dice})
        parent.log_metrics(0, {"dice": sum(DICE) / 2})
    return store


@pytest.fixture(scope="module")
def address(store: Store) -> Iterator[str]:
    """Where `slicewise mlflow` serves the page."""
    port = free_port()
    log = store.folder / "page.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            mlflow_ui_command(store, port=port),
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_healthy(url, process, log)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_runs_stand_side_by_side(open_page: Callable[..., Any], store: Store, address: str) -> None:
    experiment = store.experiment("größe/a b")
    page = open_page(f"{address}/#/experiments/{experiment}/runs")
    for text in ("all <b>folds</b>", "größe/a b"):
        page.wait(f"document.body.innerText.includes({text!r})")
    compared = store.client.search_runs([experiment], "attributes.run_name LIKE 'fold%'")
    ids = "[" + ",".join(f'"{run.info.run_id}"' for run in compared) + "]"
    page = open_page(f'{address}/#/compare-runs?runs={ids}&experiments=["{experiment}"]')
    for text in ("validation.dice", "fold 0", "fold 1"):
        page.wait(f"document.body.innerText.includes({text!r})")
    # The page is whole without the internet.
    assert [url for url in page.requests() if not url.startswith(address)] == []


@pytest.mark.fault(94, "E")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost:1"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "a b"}, 400),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_a_foreign_host_name_or_page_is_refused(
    address: str, headers: dict[str, str], status: int
) -> None:
    search = f"{address}/api/2.0/mlflow/experiments/search"
    found = requests.post(search, json={"max_results": 1}, headers=headers, timeout=20)
    assert found.status_code == status
    # Reading, too.
    for path in ("", "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"):
        assert requests.get(address + path, headers=headers, timeout=20).status_code == status
