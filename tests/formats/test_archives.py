"""Archives: what is good comes out whole, what is hostile stays inside or is refused."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from saccade.core.errors import FormatError
from saccade.core.report import Report
from saccade.formats.archives import ArchiveLimits, is_archive, unpack

FILES = {"data/a.txt": b"one", "data/sub/ü.txt": b"two" * 1000, "data/empty": b""}


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files.items():
            out.writestr(name, content)
    return path


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as out:  # type: ignore[call-overload]  # its modes are literals
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def out(tmp_path: Path) -> Path:
    (tmp_path / "inside" / "out").mkdir(parents=True)
    return tmp_path / "inside" / "out"


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_what_is_good_comes_out_whole(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"data.{kind}"
    mode = "w" if kind == "tar" else f"w:{kind.rpartition('.')[2]}"
    made = make_zip(path, FILES) if kind == "zip" else make_tar(path, FILES, mode)
    report = Report()
    assert is_archive(made)
    root = unpack(made, out(tmp_path), report)
    assert root.name == "data", "the only folder in the archive is the source"
    assert contents(root) == {name.removeprefix("data/"): content for name, content in FILES.items()}
    assert len(report) == 0


EVIL = ["../evil.txt", "a/../../evil.txt", "/evil.txt", "C:\\evil.txt", "..\\evil.txt", "a\x07b.txt"]


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_nothing_leaves_the_folder(name: str, kind: str, tmp_path: Path) -> None:
    files = {name: b"evil", "good.txt": b"good"}
    made = (make_zip if kind == "zip" else make_tar)(tmp_path / f"a.{kind}", files)
    report = Report()
    folder = out(tmp_path)
    unpack(made, folder, report)
    assert contents(folder) == {"good.txt": b"good"}
    assert [path.name for path in (tmp_path / "inside").iterdir()] == ["out"]
    assert len(report) == 1


def test_links_and_devices_are_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as made:
        for name, kind, target in (
            ("l", tarfile.SYMTYPE, "/etc"),
            ("h", tarfile.LNKTYPE, "good"),
            ("f", tarfile.FIFOTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            made.addfile(info)
        inner = tarfile.TarInfo("l/passwd")
        inner.size = 4
        made.addfile(inner, io.BytesIO(b"evil"))
    report = Report()
    folder = out(tmp_path)
    root = unpack(path, folder, report)
    assert contents(folder) == {"l/passwd": b"evil"}
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert root.name == "l"
    assert {finding.reason for finding in report} == {"link in the archive", "entry of the archive that is no file"}


def test_links_in_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        made.writestr(info, "/etc/passwd")
        made.writestr("good", "good")
    report = Report()
    folder = out(tmp_path)
    unpack(path, folder, report)
    assert contents(folder) == {"good": b"good"}
    assert [finding.reason for finding in report] == ["link in the archive"]


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (ArchiveLimits(entries=2), "more than 2 entries"),
        (ArchiveLimits(bytes=1000), "more than 1,000 bytes"),
    ],
)
def test_too_many_and_too_large(limits: ArchiveLimits, says: str, tmp_path: Path) -> None:
    made = make_zip(tmp_path / "a.zip", FILES)
    with pytest.raises(FormatError, match=says):
        unpack(made, out(tmp_path), Report(), limits)


@pytest.mark.slow
def test_a_bomb_is_stopped_early(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made, made.open("zeros", "w", force_zip64=True) as entry:
        for _ in range(1024):
            entry.write(b"\0" * (1 << 20))
    folder = out(tmp_path)
    with pytest.raises(FormatError, match="times its own size"):
        unpack(path, folder, Report())
    assert (folder / "zeros").stat().st_size < 1 << 29


def test_an_archive_in_an_archive_is_a_file(tmp_path: Path) -> None:
    inner = make_zip(tmp_path / "inner.zip", FILES).read_bytes()
    folder = out(tmp_path)
    unpack(make_zip(tmp_path / "a.zip", {"inner.zip": inner, "x": b""}), folder, Report())
    assert contents(folder) == {"inner.zip": inner, "x": b""}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        for name, content in (("a", "first"), ("a", "second"), ("a/b", "below a file")):
            made.writestr(name, content)
    report = Report()
    folder = out(tmp_path)
    unpack(path, folder, report)
    assert contents(folder) == {"a": b"first"}
    assert [finding.reason for finding in report] == ["second entry of a name in the archive"] * 2


@pytest.mark.parametrize("cut", [60, 300])
def test_damaged_archives_are_refused(cut: int, tmp_path: Path) -> None:
    files = {"random": os.urandom(5000)}
    for made in (make_zip(tmp_path / "a.zip", files), make_tar(tmp_path / "a.tar.gz", files)):
        whole = bytearray(made.read_bytes())
        whole[cut] ^= 0xFF
        made.write_bytes(bytes(whole))
        folder = tmp_path / f"out-{made.name}"
        folder.mkdir()
        with pytest.raises(FormatError, match="damaged"):
            unpack(made, folder, Report())


def test_a_picture_with_an_archive_behind_it_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff" + make_zip(tmp_path / "b.zip", FILES).read_bytes())
    assert not is_archive(path)
    (tmp_path / "c.zip").write_bytes(b"no archive")
    assert not is_archive(tmp_path / "c.zip")
    assert not is_archive(tmp_path / "none.zip")
