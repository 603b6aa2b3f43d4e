"""A path stands for the file or folder that lies there."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyflow.errors import IntegrityError, NotSerializableError
from pyflow.payload import LeftOutWarning, Payload, decode, encode
from pyflow.payload.header import write_header


def bytes_of(payload: Payload) -> memoryview:
    return memoryview(bytearray(b"".join(payload.parts)))


def tree(folder: Path) -> dict[str, object]:
    """What is in a folder: names with content, link target or None for a folder, and permission bits."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"→ {path.readlink()}"
        elif path.is_dir():
            found[name] = (None, oct(path.stat().st_mode & 0o777))
        else:
            found[name] = (path.read_bytes(), oct(path.stat().st_mode & 0o777))
    return found


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\0" * 300_000])
def test_a_file_arrives_under_its_name_elsewhere(tmp_path, content):
    """Content, name and permission bits are kept; the path is the reader's own."""
    source = tmp_path / "here" / "ta ble.csv"
    source.parent.mkdir()
    source.write_bytes(content)
    source.chmod(0o750)
    payload = encode(source)
    assert (payload.kind, payload.length) == ("file", None)
    back = decode(bytes_of(payload), scratch=tmp_path / "scratch")
    assert isinstance(back, Path)
    assert back != source
    assert back.is_relative_to(tmp_path / "scratch")
    assert (back.name, back.read_bytes(), back.stat().st_mode & 0o777) == ("ta ble.csv", content, 0o750)
    back.write_bytes(b"changed")
    assert source.read_bytes() == content


def test_two_files_of_one_name_do_not_meet(tmp_path):
    """Each file gets a folder of its own in the scratch folder."""
    source = tmp_path / "a.txt"
    source.write_text("x")
    data = bytes_of(encode(source))
    paths = {decode(data, scratch=tmp_path / "scratch") for _ in range(3)}
    assert len(paths) == 3


def test_without_a_scratch_folder_a_new_one_is_made(tmp_path, monkeypatch):
    """A caller who names no place gets a temporary one."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    source = tmp_path / "a.txt"
    source.write_text("x")
    back = decode(bytes_of(encode(source)))
    assert back.parent.parent == tmp_path
    assert back.read_text() == "x"


def make_folder(root: Path) -> Path:
    folder = root / "data"
    (folder / "empty").mkdir(parents=True)
    (folder / "deep" / ("n" * 120) / ("m" * 120)).mkdir(parents=True)
    (folder / "deep" / ("n" * 120) / ("m" * 120) / "f").write_text("far")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "secret").write_text("s")
    (folder / "secret").chmod(0o600)
    (folder / "ünï").write_text("u")
    (folder / os.fsdecode(b"\xff\xfe")).write_text("no utf-8")
    (folder / "link").symlink_to("run.sh")
    (folder / "deep" / "up").symlink_to("../empty")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "empty").chmod(0o750)
    return folder


def test_a_folder_arrives_with_all_that_is_in_it(tmp_path):
    """Files, modes, empty folders, long and odd names, links inside, dangling ones too."""
    folder = make_folder(tmp_path)
    payload = encode(folder)
    assert payload.kind == "folder"
    back = decode(bytes_of(payload), scratch=tmp_path / "scratch")
    assert back.name == "data"
    assert tree(back) == tree(folder)


def test_an_empty_folder_arrives(tmp_path):
    """A folder with nothing in it is a folder with nothing in it."""
    (tmp_path / "none").mkdir()
    back = decode(bytes_of(encode(tmp_path / "none")), scratch=tmp_path / "scratch")
    assert back.is_dir()
    assert list(back.iterdir()) == []


def test_one_content_gives_one_archive(tmp_path):
    """Times, owners and the order of creation leave no trace in the bytes."""
    first = make_folder(tmp_path / "1")
    second = make_folder(tmp_path / "2")
    for path in second.rglob("*"):
        os.utime(path, (5, 5), follow_symlinks=False)
    assert bytes_of(encode(first)) == bytes_of(encode(second))


def test_the_working_directory_itself_has_a_name(tmp_path, monkeypatch):
    """``Path(".")`` arrives under the name of the folder that it is."""
    folder = make_folder(tmp_path)
    monkeypatch.chdir(folder)
    back = decode(bytes_of(encode(Path())), scratch=tmp_path / "scratch")
    assert (back.name, (back / "run.sh").exists()) == ("data", True)


def test_a_link_to_a_file_is_the_file(tmp_path):
    """A path that is a link hands over what it leads to, under the link's own name."""
    (tmp_path / "v7.txt").write_text("7")
    (tmp_path / "latest.txt").symlink_to("v7.txt")
    back = decode(bytes_of(encode(tmp_path / "latest.txt")), scratch=tmp_path / "scratch")
    assert (back.name, back.is_symlink(), back.read_text()) == ("latest.txt", False, "7")


def test_an_absolute_link_inside_still_leads_inside(tmp_path):
    """A link written with the whole path is made relative, since the folder will lie elsewhere."""
    folder = make_folder(tmp_path)
    (folder / "deep" / "abs").symlink_to(folder / "run.sh")
    back = decode(bytes_of(encode(folder)), scratch=tmp_path / "scratch")
    assert (back / "deep" / "abs").readlink() == Path("../run.sh")


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "deep/../../outside", "here/../../outside", "here/.."])
def test_a_link_leading_outside_is_an_error(tmp_path, target):
    """What would be missing, or something else, on the other side is named."""
    (tmp_path / "outside").write_text("x")
    folder = make_folder(tmp_path)
    (folder / "here").symlink_to(".")
    (folder / "bad").symlink_to(target)
    with pytest.raises(NotSerializableError, match=r"The result of task 'x' .*the link 'bad' leads outside"):
        encode(folder, what="the result of task 'x'")


def test_pipes_and_sockets_are_refused(tmp_path):
    """What is neither file nor folder cannot travel, alone or in a folder."""
    folder = tmp_path / "f"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    with pytest.raises(NotSerializableError, match="'pipe' is neither"):
        encode(folder)
    with pytest.raises(NotSerializableError, match="pipe', which is neither"):
        encode(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(NotSerializableError, match="neither"):
            encode(tmp_path / "s")


@pytest.mark.parametrize("name", ["missing.png", "no/such/folder", "bad\0name"])
def test_a_missing_path_is_a_clear_error(name):
    """A task that returns a path it did not write is told so, with where it looked."""
    with pytest.raises(NotSerializableError, match=r"The result of task 'plot' (is|hands over) the path"):
        encode(Path(name), what="the result of task 'plot'")


def test_a_missing_path_says_what_would_work():
    """The message says where it looked, and what to write when only the name is meant."""
    with pytest.raises(NotSerializableError) as caught:
        encode(Path("missing.png"), what="the result of task 'plot'")
    assert "nothing lies there" in str(caught.value)
    assert str(Path.cwd()) in str(caught.value)
    assert "str(path)" in str(caught.value)


@dataclass
class Report:
    title: str
    plot: Path


class Dataset:
    def __init__(self, root: Path) -> None:
        self.root = root


def test_listed_paths_hand_over_their_files(tmp_path):
    """Paths in lists, dicts, tuples, sets and dataclasses bring their files and folders along."""
    one, two = tmp_path / "1.txt", tmp_path / "2.txt"
    one.write_text("one")
    two.write_bytes(b"2" * 200_000)
    folder = make_folder(tmp_path)
    value = {"list": [one, (two, {one})], "report": Report("t", two), "folder": folder, "number": 5}
    payload = encode(value)
    assert payload.kind == "pickle"
    back = decode(bytes_of(payload), scratch=tmp_path / "scratch")
    assert back["list"][0].read_text() == "one"
    assert back["list"][0].name == "1.txt"
    assert back["list"][1][0].read_bytes() == b"2" * 200_000
    assert back["report"].plot == back["list"][1][0]
    assert back["list"][1][1] == {back["list"][0]}
    assert tree(back["folder"]) == tree(folder)
    assert all(path.is_relative_to(tmp_path / "scratch") for path in (back["list"][0], back["folder"]))
    assert back["number"] == 5


def test_paths_that_lead_nowhere_or_are_attributes_stay_values(tmp_path):
    """A nested path where nothing lies, and one by which an object works, is a path and no more."""
    (tmp_path / "f").write_text("x")
    value = [Path("nothing/here"), Dataset(tmp_path), Path("bad\0name")]
    back = decode(bytes_of(encode(value)), scratch=tmp_path / "scratch")
    assert (back[0], back[1].root, back[2]) == (value[0], tmp_path, value[2])


def test_a_listed_folder_with_a_bad_link_is_an_error(tmp_path):
    """The same rules hold inside a value."""
    folder = make_folder(tmp_path)
    (folder / "bad").symlink_to("/etc")
    with pytest.raises(NotSerializableError, match="leads outside, to '/etc'"):
        encode([folder])


def test_a_path_subclass_is_a_plain_value(tmp_path):
    """A class of the user's may mean anything by its paths."""

    class Address(type(Path())):
        pass

    back = decode(bytes_of(encode(Address(tmp_path))))
    assert str(back) == str(tmp_path)


def archive(*members: tuple[str, bytes, str]) -> memoryview:
    """A folder's payload with members of our choice: name, type, and link target or content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
            else:
                info.linkname = text
                tar.addfile(info)
    body = stream.getvalue()
    fields = {"file": {"is": "folder", "name": "f", "mode": 0o700}}
    return memoryview(write_header("folder", len(body), fields) + body)


FILE, FOLDER, LINK = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", FILE, "x")],
        [("/evil", FILE, "x")],
        [("a/../../evil", FILE, "x")],
        [("./evil", FILE, "x")],
        [("", FILE, "x")],
        [("a", LINK, ".."), ("a/evil", FILE, "x")],
        [("a", LINK, "/"), ("b", FILE, "x")],
        [("a", LINK, "../..")],
        [("here", LINK, "."), ("b", LINK, "here/../../evil")],
        [("here", LINK, "."), ("b", LINK, "here/..")],
        [("a", FILE, "x"), ("a", FILE, "y")],
        [("a", FILE, "x"), ("a/b", FILE, "y")],
        [("no/folder", FILE, "x")],
        [("a", tarfile.LNKTYPE, "/etc/passwd")],
        [("a", tarfile.FIFOTYPE, "")],
        [("a", tarfile.CHRTYPE, "")],
        [("a", FOLDER, ""), ("a", FOLDER, "")],
    ],
    ids=str,
)
def test_a_hostile_archive_writes_nothing_outside(tmp_path, members):
    """Names and links that lead out, twice-used names and devices are refused, wherever they stand."""
    scratch = tmp_path / "scratch"
    with pytest.raises(IntegrityError):
        decode(archive(*members), scratch=scratch)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scratch"]
    assert not any(path.is_symlink() for path in scratch.rglob("*"))
    assert not any(path.name == "evil" for path in tmp_path.rglob("*"))


def test_a_truncated_archive_is_refused(tmp_path):
    """An archive that ends inside a file gives no short file."""
    info = tarfile.TarInfo("a")
    info.size = 10**15
    body = info.tobuf(tarfile.GNU_FORMAT) + b"x" * 512
    fields = {"file": {"is": "folder", "name": "f", "mode": 0o700}}
    with pytest.raises(IntegrityError):
        decode(memoryview(write_header("folder", len(body), fields) + body), scratch=tmp_path)


def test_a_large_file_is_mapped_and_not_read(tmp_path):
    """Encoding a file takes no memory of its size."""
    source = tmp_path / "large"
    with source.open("wb") as file:
        file.truncate(64 * 1024**3)
    payload = encode(source)
    assert payload.size > 64 * 1024**3


def test_folders_of_a_kind_stay_behind(tmp_path):
    """A folder in a folder that holds a file of the name that was given does not travel, and a warning says so."""
    folder = tmp_path / "project"
    for name in ("data/raw", "data/.store", "other"):
        (folder / name).mkdir(parents=True)
    (folder / "data" / ".store" / "marker.json").write_text("{}")
    (folder / "data" / ".store" / "large").write_bytes(bytes(100))
    (folder / "data" / "raw" / "x").write_text("x")
    with pytest.warns(LeftOutWarning, match=r"Argument 'src' hands over the folder '.*' without 'data/\.store' in it"):
        payload = encode(folder, what="argument 'src'", leaves_out="marker.json")
    found = decode(memoryview(bytearray(b"".join(payload.parts))), scratch=tmp_path / "scratch")
    assert sorted(str(path.relative_to(found)) for path in found.rglob("*")) == [
        "data",
        "data/raw",
        "data/raw/x",
        "other",
    ]


def test_a_folder_of_the_kind_itself_travels(tmp_path):
    """Who hands over such a folder itself means it."""
    (tmp_path / "marker.json").write_text("{}")
    payload = encode(tmp_path, leaves_out="marker.json")
    found = decode(memoryview(bytearray(b"".join(payload.parts))))
    assert [path.name for path in found.iterdir()] == ["marker.json"]
