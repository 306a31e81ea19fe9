from __future__ import annotations

import socket

import pytest

from slicewise.errors import UsageError
from slicewise.tracking.group_server import DEFAULT_PORT
from slicewise.workflows.mlflow_servers import MlflowUiOptions
from slicewise.workflows.ports import listen, require_free_port
from slicewise.workflows.serve import ServeOptions


def test_every_server_has_its_own_default_port() -> None:
    ports = {DEFAULT_PORT, MlflowUiOptions().port, ServeOptions("model").port}
    assert len(ports) == 3


def test_a_taken_port_is_an_error_with_a_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError) as caught:
            require_free_port("127.0.0.1", port, "MLFLOW_PORT in server.env")
    assert str(port) in caught.value.where
    assert "MLFLOW_PORT in server.env" in caught.value.remedy
    require_free_port("127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 0), ("127.0.0.1", 70000)])
def test_an_impossible_address_is_an_error(host: str, port: int) -> None:
    with pytest.raises(UsageError, match="a free port of this machine"):
        listen(host, port)
