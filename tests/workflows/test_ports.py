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


def test_a_port_out_of_range_is_an_error() -> None:
    with pytest.raises(UsageError, match="a free port of this machine"):
        listen("127.0.0.1", 70000)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_the_address_of_another_machine_is_an_error(host: str) -> None:
    with pytest.raises(UsageError, match="an address of this machine") as caught:
        listen(host, 0)
    assert "`host`" in caught.value.remedy
