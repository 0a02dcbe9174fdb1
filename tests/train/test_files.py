"""Files looked at before they are read, folders of one process, rights, and systems that lack what POSIX has."""

import ctypes
import os
import shutil
import stat
import subprocess
import sys
import threading

import pytest

import gatedrnn as gr
from gatedrnn import _memory
from gatedrnn._files import LOCK, check_regular, locked, made_folder, read_regular, same_file
from gatedrnn._output import whole_files
from gatedrnn.models import Model, load, save


def test_regular_files_only(tmp_path):
    """Neither a pipe, which would be waited for, nor a device, nor what is too large; nothing is read before."""
    (tmp_path / "file").write_bytes(b"12345")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "link").symlink_to("file")
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(2**40)
    assert read_regular(tmp_path / "file", 5) == read_regular(tmp_path / "link", 9) == b"12345"
    assert check_regular(tmp_path / "holes", 2**40) == 2**40
    for name, reason in (
        ("pipe", "not a regular file"),
        ("zero", "not a regular file"),
        ("holes", "1.1 TB, where at most 5 bytes can be"),
        (".", "Is a directory"),
    ):
        with pytest.raises(ValueError, match=reason):
            read_regular(tmp_path / name, 5)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "absent", 5)


def test_the_same_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_text("")
    (tmp_path / "b").symlink_to("a")
    os.link("a", "c")
    (tmp_path / "d").write_text("")
    for name in ("a", "./a", "b", "c", tmp_path / "a"):
        assert same_file("a", name)
    assert not same_file("a", "d") and not same_file("a", "absent")
    assert same_file("absent", "./absent")


def test_a_lock(tmp_path):
    """It keeps other threads and processes out, but not the thread that has it; nothing is left of it."""
    program = "import sys; from gatedrnn._files import locked\nwith locked(sys.argv[1]): print('in')"

    def other(folder):
        found = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True)
        return found.stdout or found.stderr.splitlines()[-1]

    found = []

    def inside():
        try:
            with locked(tmp_path / "run"):
                found.append("in")
        except ValueError as error:
            found.append(str(error))

    (tmp_path / "link").symlink_to("run")
    with locked(tmp_path / "run"), locked(tmp_path / "link"):
        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        said = other(tmp_path / "link")
    refused = "`folder` must be a folder that no other run is using; got "
    assert found == [f"{refused}{str(tmp_path / 'run')!r}."]
    assert said == f"ValueError: {refused}{str(tmp_path / 'link')!r}."
    assert not (tmp_path / "run").exists()
    assert other(tmp_path / "run") == "in\n"
    with locked(tmp_path):
        pass
    assert os.listdir(tmp_path) == ["link"]


def test_a_lock_that_a_killed_process_left(tmp_path):
    """The file is there, the lock is not."""
    (tmp_path / LOCK).write_text("")
    with locked(tmp_path):
        pass


def test_a_library_run_is_locked(tmp_path, fit):
    """`fit` refuses a folder in which another thread trains, and may itself be called with it locked."""
    said = []

    def second(_):
        def run():
            try:
                fit(tmp_path / "run", 8, resume=True)
            except ValueError as error:
                said.append(str(error))

        run()  # by the one that trains, too
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    with locked(tmp_path / "run"):
        fit(tmp_path / "run", 4, on_progress=second)
    assert said and all("`folder` must be a folder that no other run is using" in each for each in said)
    assert int(fit(tmp_path / "run", 8, resume=True).state.step[0]) == 8


def test_a_folder_that_was_made_goes_again(tmp_path):
    with made_folder(tmp_path / "a" / "b", "out"):
        pass
    assert not list(tmp_path.iterdir())
    with made_folder(tmp_path / "a" / "b", "out"):
        (tmp_path / "a" / "file").write_text("")
    assert os.listdir(tmp_path / "a") == ["file"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_rights_are_those_of_other_files(tmp_path, drawn, fit, mask):
    """Weights, their JSON, rows and checkpoints alike follow the umask."""
    before = os.umask(mask)
    try:
        model = Model(gr.gru, 2, 3, 1)
        save(tmp_path / "model", model, drawn(model), {})
        fit(tmp_path / "run", 4)
    finally:
        os.umask(before)
    paths = list(tmp_path.rglob("*"))
    assert len(paths) > 8
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == (0o777 if path.is_dir() else 0o666) & ~mask, path


def test_a_full_disk_is_named_with_its_file(tmp_path):
    """Whatever wrote there, and whether or not it says so."""

    def write():
        with whole_files(tmp_path) as draft, open("/dev/full", "w") as file:
            (draft / "numbers.json").write_text("half")
            file.write("rest")
            file.flush()

    with pytest.raises(ValueError, match="`out` must be a folder .*; got '.*/numbers.json': No space left on device"):
        write()
    assert not list(tmp_path.iterdir())


def test_memory_where_nothing_is_as_here(monkeypatch):
    """Without `os.sysconf`, as on Windows; with one that does not know; and with a Windows that tells."""
    monkeypatch.setattr(_memory, "_CGROUP_LIMITS", ())
    assert _memory.machine_bytes() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    monkeypatch.setattr(os, "sysconf", lambda name: -1 if name == "SC_PHYS_PAGES" else 4096)
    assert _memory.machine_bytes() == sys.maxsize
    monkeypatch.delattr(os, "sysconf")
    assert _memory.machine_bytes() == sys.maxsize

    class Kernel:
        @staticmethod
        def GlobalMemoryStatusEx(found):
            found._obj.physical = 2**34
            return found._obj.length == 64

    monkeypatch.setattr(ctypes, "windll", type("windll", (), {"kernel32": Kernel}), raising=False)
    assert _memory.machine_bytes() == 2**34


def pipe(path):
    os.mkfifo(path)


def endless(path):
    path.symlink_to("/dev/zero")


def holes(path):
    with path.open("wb") as file:
        file.truncate(3 * 2**30)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
@pytest.mark.parametrize("make", [pipe, endless, holes])
def test_a_model_of_what_is_no_file(tmp_path, drawn, make, name):
    """Refused before its first byte."""
    model = Model(gr.gru, 2, 3, 1)
    save(tmp_path, model, drawn(model), {})
    (tmp_path / name).unlink()
    make(tmp_path / name)
    said = "3.22 GB, where at most" if make is holes else "not a regular file"
    with pytest.raises(ValueError, match=f"^`path` must be a saved model, .*{name}': {said}"):
        load(tmp_path)
    shutil.rmtree(tmp_path)
