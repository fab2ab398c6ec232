"""Archives: valid ones are unpacked, malicious entries are skipped, and limits are enforced."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from saccade.core.errors import FormatError
from saccade.core.report import ConversionReport
from saccade.formats.archives import ArchiveLimits, is_archive, unpack

FILES = {"data/a.txt": b"one", "data/sub/ü.txt": b"two" * 1000, "data/empty": b""}


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as empty_folder:
        for name, content in files.items():
            empty_folder.writestr(name, content)
    return path


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as empty_folder:  # type: ignore[call-overload]  # its modes are literals
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            empty_folder.addfile(info, io.BytesIO(content))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def empty_folder(tmp_path: Path) -> Path:
    (tmp_path / "inside" / "out").mkdir(parents=True)
    return tmp_path / "inside" / "out"


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_valid_archives_are_unpacked(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"data.{kind}"
    mode = "w" if kind == "tar" else f"w:{kind.rpartition('.')[2]}"
    archive = make_zip(path, FILES) if kind == "zip" else make_tar(path, FILES, mode)
    report = ConversionReport()
    assert is_archive(archive)
    root = unpack(archive, empty_folder(tmp_path), report)
    assert root.name == "data", "the only folder in the archive is the source"
    assert contents(root) == {name.removeprefix("data/"): content for name, content in FILES.items()}
    assert len(report) == 0


EVIL = ["../evil.txt", "a/../../evil.txt", "/evil.txt", "C:\\evil.txt", "..\\evil.txt", "a\x07b.txt"]


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_paths_never_leave_the_folder(name: str, kind: str, tmp_path: Path) -> None:
    files = {name: b"evil", "good.txt": b"good"}
    archive = (make_zip if kind == "zip" else make_tar)(tmp_path / f"a.{kind}", files)
    report = ConversionReport()
    folder = empty_folder(tmp_path)
    unpack(archive, folder, report)
    assert contents(folder) == {"good.txt": b"good"}
    assert [path.name for path in (tmp_path / "inside").iterdir()] == ["out"]
    assert len(report) == 1


def test_links_and_devices_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind, target in (
            ("l", tarfile.SYMTYPE, "/etc"),
            ("h", tarfile.LNKTYPE, "good"),
            ("f", tarfile.FIFOTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
        inner = tarfile.TarInfo("l/passwd")
        inner.size = 4
        archive.addfile(inner, io.BytesIO(b"evil"))
    report = ConversionReport()
    folder = empty_folder(tmp_path)
    root = unpack(path, folder, report)
    assert contents(folder) == {"l/passwd": b"evil"}
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert root.name == "l"
    assert {finding.reason for finding in report} == {"link in the archive", "entry of the archive that is no file"}


def test_zip_links_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
        archive.writestr("good", "good")
    report = ConversionReport()
    folder = empty_folder(tmp_path)
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
def test_limits(limits: ArchiveLimits, says: str, tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", FILES)
    with pytest.raises(FormatError, match=says):
        unpack(archive, empty_folder(tmp_path), ConversionReport(), limits)


@pytest.mark.slow
def test_zip_bomb_is_stopped_early(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("zeros", "w", force_zip64=True) as entry,
    ):
        for _ in range(1024):
            entry.write(b"\0" * (1 << 20))
    folder = empty_folder(tmp_path)
    with pytest.raises(FormatError, match="times its own size"):
        unpack(path, folder, ConversionReport())
    assert (folder / "zeros").stat().st_size < 1 << 29


def test_nested_archive_is_a_file(tmp_path: Path) -> None:
    inner = make_zip(tmp_path / "inner.zip", FILES).read_bytes()
    folder = empty_folder(tmp_path)
    unpack(make_zip(tmp_path / "a.zip", {"inner.zip": inner, "x": b""}), folder, ConversionReport())
    assert contents(folder) == {"inner.zip": inner, "x": b""}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_names(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (("a", "first"), ("a", "second"), ("a/b", "below a file")):
            archive.writestr(name, content)
    report = ConversionReport()
    folder = empty_folder(tmp_path)
    unpack(path, folder, report)
    assert contents(folder) == {"a": b"first"}
    assert [finding.reason for finding in report] == ["second entry of a name in the archive"] * 2


@pytest.mark.parametrize("cut", [60, 300])
def test_damaged_archives(cut: int, tmp_path: Path) -> None:
    files = {"random": os.urandom(5000)}
    for path in (make_zip(tmp_path / "a.zip", files), make_tar(tmp_path / "a.tar.gz", files)):
        data = bytearray(path.read_bytes())
        data[cut] ^= 0xFF
        path.write_bytes(bytes(data))
        folder = tmp_path / f"out-{path.name}"
        folder.mkdir()
        with pytest.raises(FormatError, match="damaged"):
            unpack(path, folder, ConversionReport())


def test_image_with_appended_archive_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff" + make_zip(tmp_path / "b.zip", FILES).read_bytes())
    assert not is_archive(path)
    (tmp_path / "c.zip").write_bytes(b"no archive")
    assert not is_archive(tmp_path / "c.zip")
    assert not is_archive(tmp_path / "none.zip")
