"""The files in which workers say which providers rest."""

from pathlib import Path

from edge.health import INTERVAL_S, HealthFile, breakers_of, health_file

ROW: dict[str, object] = {"provider_id": "p", "model": "m", "state": "open"}


def test_all_workers_are_shown(tmp_path: Path) -> None:
    """Each row says whose it is; a worker without any leaves no file."""
    (tmp_path / "run").mkdir()
    assert breakers_of(tmp_path) == []
    files = [HealthFile(health_file(tmp_path, worker)) for worker in range(3)]
    for number, file in enumerate(files):
        file.write([ROW] * number, 100.0)
    assert breakers_of(tmp_path) == [{"worker": "1", **ROW}, {"worker": "2", **ROW}, {"worker": "2", **ROW}]
    for file in files:
        file.write([], 100.0)
    assert list((tmp_path / "run").iterdir()) == []


def test_written_now_and_then(tmp_path: Path) -> None:
    """Not at every look, and at once when all is well again."""
    path = tmp_path / "edge-worker-0.health"
    file = HealthFile(path)
    file.write([ROW], 100.0)
    file.write([ROW, ROW], 100.0 + INTERVAL_S / 2)
    assert path.read_bytes().count(b"open") == 1
    file.write([ROW, ROW], 100.0 + INTERVAL_S)
    assert path.read_bytes().count(b"open") == 2
    file.write([], 100.0 + INTERVAL_S)
    assert not path.exists()


def test_what_a_dead_worker_left(tmp_path: Path) -> None:
    """The next one takes it away; half a file is nothing."""
    path = health_file(tmp_path, 0)
    path.parent.mkdir()
    path.write_text('[{"state":')
    assert breakers_of(tmp_path) == []
    HealthFile(path).write([], 0.0)
    assert not path.exists()
