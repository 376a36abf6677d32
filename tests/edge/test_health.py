"""The files in which workers say which providers rest."""

from pathlib import Path

from edge.health import HealthFile, breakers_of, health_file

ROW: dict[str, object] = {"provider_id": "p", "model": "m", "state": "open"}


def test_all_workers_are_shown(tmp_path: Path) -> None:
    """Each row says whose it is; a worker without any leaves no file."""
    (tmp_path / "run").mkdir()
    assert breakers_of(tmp_path) == []
    files = [HealthFile(health_file(tmp_path, worker)) for worker in range(3)]
    for number, file in enumerate(files):
        file.write([ROW] * number)
    assert breakers_of(tmp_path) == [{"worker": "1", **ROW}, {"worker": "2", **ROW}, {"worker": "2", **ROW}]
    for file in files:
        file.write([])
    assert list((tmp_path / "run").iterdir()) == []


def test_the_file_says_what_is_so_now(tmp_path: Path) -> None:
    """What was written before is replaced, and goes away when all is well again."""
    path = tmp_path / "edge-worker-0.health"
    file = HealthFile(path)
    file.write([ROW])
    file.write([ROW, ROW])
    assert path.read_bytes().count(b"open") == 2
    file.write([])
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_worker_left(tmp_path: Path) -> None:
    """The next one takes it away; half a file is nothing."""
    path = health_file(tmp_path, 0)
    path.parent.mkdir()
    path.write_text('[{"state":')
    assert breakers_of(tmp_path) == []
    HealthFile(path).write([])
    assert not path.exists()
