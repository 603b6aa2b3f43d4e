"""The bundle's bytes, and its way back to a folder."""

import contextlib
import io
import os
import stat
import subprocess
import sys
import threading
import zipfile

import pytest

from pyflow.bundle import CodeBundle, install
from pyflow.errors import IntegrityError


def zip_of(*members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def test_same_files_give_same_bytes(tmp_path):
    """The bytes depend on names and contents, not on where or when the files were made."""
    written = []
    for number in (1, 2):
        path = tmp_path / str(number) / "m.py"
        path.parent.mkdir()
        path.write_text("x = 1")
        os.utime(path, (number, number))
        written.append(CodeBundle((("m.py", str(path)),)).write())
    assert written[0] == written[1]
    path.write_text("x = 2")
    assert CodeBundle((("m.py", str(path)),)).write() != written[0]


def test_install_gives_the_files_back(tmp_path):
    """Files come back under their names, with their contents and executable bits."""
    tool = tmp_path / "tool"
    tool.write_text("#!")
    tool.chmod(0o700)
    archive = CodeBundle((("pkg/__init__.py", b"x = 1"), ("pkg/data/tool", str(tool)))).write()
    folder = install(memoryview(archive), tmp_path / "code")
    assert (folder / "pkg/__init__.py").read_bytes() == b"x = 1"
    assert stat.S_IMODE((folder / "pkg/data/tool").stat().st_mode) == 0o755
    assert [path.name for path in (tmp_path / "code").iterdir()] == [folder.name]


def test_data_beside_code_is_found_by_file(tmp_path):
    """Code that reads data beside its own __file__ works from the installed folder."""
    archive = CodeBundle(
        (("m.py", b"import pathlib\nprint(pathlib.Path(__file__).with_name('d.txt').read_text())"), ("d.txt", b"found"))
    ).write()
    folder = install(archive, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", "import m"],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "found\n"


def test_second_install_changes_nothing(tmp_path):
    """An installed bundle is used as it is."""
    archive = zip_of(("m.py", "x = 1"))
    folder = install(archive, tmp_path)
    (folder / "__pycache__").mkdir()
    assert install(archive, tmp_path) == folder
    assert (folder / "__pycache__").is_dir()


def test_damaged_folder_is_made_anew(tmp_path):
    """A folder from which a cleaner took files is replaced, and nothing is left beside it."""
    archive = zip_of(("a.py", "x = 1"), ("b/c.py", "y = 2"))
    folder = install(archive, tmp_path)
    (folder / "b/c.py").unlink()
    assert install(archive, tmp_path) == folder
    assert (folder / "b/c.py").read_text() == "y = 2"
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_many_at_once_install_one_folder(tmp_path):
    """Many workers may install the same bundle at the same time."""
    archive = zip_of(*((f"pkg/m{i}.py", f"x = {i}") for i in range(50)))
    barrier = threading.Barrier(8)
    folders = []

    def work():
        barrier.wait()
        folders.append(install(archive, tmp_path / "code"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 8
    assert len(set(folders)) == 1
    assert len([*(folders[0] / "pkg").iterdir()]) == 50
    assert [path.name for path in (tmp_path / "code").iterdir()] == [folders[0].name]


@pytest.mark.parametrize(
    "name", ["../evil.py", "/etc/evil", "a/../../evil", "a//b", "./a", "a\\..\\b", "C:evil", "a/", "nul\0.py"]
)
def test_hostile_names_are_refused(tmp_path, name):
    """A name that leads out of the folder refuses the whole bundle, and nothing is written."""
    with pytest.raises(IntegrityError, match="Nothing was unpacked"):
        install(
            zip_of(("fine.py", ""), ("X" * len(name), "")).replace(b"X" * len(name), name.encode()), tmp_path / "code"
        )
    assert not (tmp_path / "code").exists()


def test_links_doubles_and_bombs_are_refused(tmp_path):
    """A symbolic link, a name given twice and a compressed file, which may be a bomb, are refused."""
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    doubled = zip_of(("a1.py", ""), ("a2.py", "")).replace(b"a2.py", b"a1.py")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(1024 * 1024))
    for hostile in (zip_of((link, "/etc/passwd")), doubled, buffer.getvalue()):
        with pytest.raises(IntegrityError, match="Nothing was unpacked"):
            install(hostile, tmp_path / "code")


def test_other_bytes_are_no_bundle(tmp_path):
    """Bytes that are no zip file, or a damaged one, give one clear error."""
    damaged = bytearray(zip_of(("m.py", "x = 12345")))
    damaged[damaged.index(b"12345")] = 0
    for data in (b"", b"no zip", bytes(damaged), zip_of(("m.py", "x"))[:-10]):
        with pytest.raises(IntegrityError, match="not a readable zip"):
            install(data, tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_flipped_bytes_never_do_harm(tmp_path):
    """Whatever byte is changed, nothing is written outside the folder, and there is one kind of error."""
    archive = zip_of(("pkg/a.py", "x = 1"), ("b.txt", "two"))
    for position in range(len(archive)):
        for flip in (0x01, 0xFF):
            damaged = bytearray(archive)
            damaged[position] ^= flip
            with contextlib.suppress(IntegrityError):
                install(damaged, tmp_path / "code")
    assert [path.name for path in tmp_path.iterdir()] == ["code"]
