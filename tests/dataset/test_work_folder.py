"""The work folder of a user who may not write there."""

from __future__ import annotations

import pytest
from tests.ordinary_user import ordinary_user

from slicewise.dataset.work_folder import WorkFolder
from slicewise.errors import OutputError
from slicewise.tracking.store import open_store, prepare_mlflow


def test_a_work_folder_that_cannot_be_written_is_named_with_its_option() -> None:
    # Imported while the environment can be read.
    prepare_mlflow()
    with ordinary_user() as folder:
        closed = folder / "closed"
        closed.mkdir(mode=0o555)
        for work in (closed, closed / "deep"):
            with pytest.raises(OutputError, match="that this user can write to") as caught:
                _ = WorkFolder(work).private
            assert caught.value.where == f"`work` {closed}"
            with pytest.raises(OutputError) as caught:
                open_store(work)
            assert caught.value.where == f"`work` {closed}"
        assert WorkFolder(folder / "work").private.is_dir()
        assert not list(closed.iterdir())
