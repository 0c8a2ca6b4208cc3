"""A clock that is set by hand and a disk that fails on demand, for tests of the store."""

from assertlib import disk

__all__ = ["FragileDisk", "ManualClock", "PowerCutError"]


class ManualClock:
    """A clock that only moves when told; seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.now += seconds


class PowerCutError(OSError):
    """The disk is gone."""


class FragileDisk(disk.RealDisk):
    """
    A disk whose power is cut at the *fatal*-th call that changes it.

    An append that is cut writes half.  What was not synced loses its last byte, or stays when
    *keeps_unsynced*: a power cut may do either.
    """

    def __init__(self, fatal: int = 10**9, *, keeps_unsynced: bool = False) -> None:
        super().__init__()
        self.calls = 0
        self._fatal = fatal
        self._keeps_unsynced = keeps_unsynced
        self._files: list[FragileFile] = []

    def fail_next(self) -> None:
        """Cut the power at the next call."""
        self._fatal = self.calls + 1

    def step(self) -> bool:
        """Count one call; True when it is the fatal one."""
        self.calls += 1
        if self.calls > self._fatal:
            raise PowerCutError("no power")
        return self.calls == self._fatal

    def open(self, path: str) -> disk.File:
        file = FragileFile(self, super().open(path))
        self._files.append(file)
        return file

    def rename(self, source: str, target: str) -> None:
        self._step_or_cut()
        super().rename(source, target)

    def remove(self, path: str) -> None:
        self._step_or_cut()
        super().remove(path)

    def sync_directory(self, path: str) -> None:
        self._step_or_cut()
        super().sync_directory(path)

    def cut_power(self) -> None:
        """Lose what is to be lost, and fail."""
        if not self._keeps_unsynced:
            for file in self._files:
                file.lose_unsynced()
        raise PowerCutError("power cut")

    def _step_or_cut(self) -> None:
        if self.step():
            self.cut_power()


class FragileFile:
    """A file of a `FragileDisk`."""

    def __init__(self, owner: FragileDisk, inner: disk.File) -> None:
        self._owner = owner
        self._inner = inner
        self._is_closed = False

    @property
    def written(self) -> int:
        return self._inner.written

    @property
    def synced(self) -> int:
        return self._inner.synced

    def append(self, data: bytes) -> None:
        fatal = self._owner.step()
        self._inner.append(data[: len(data) // 2] if fatal else data)
        if fatal:
            self._owner.cut_power()

    def read_at(self, offset: int, size: int) -> bytes:
        return self._inner.read_at(offset, size)

    def write_at(self, offset: int, data: bytes) -> None:
        fatal = self._owner.step()
        self._inner.write_at(offset, data[: len(data) // 2] if fatal else data)
        if fatal:
            self._owner.cut_power()

    def sync(self) -> None:
        if self._owner.step():
            self._owner.cut_power()
        self._inner.sync()

    def truncate(self, size: int) -> None:
        if self._owner.step():
            self._owner.cut_power()
        self._inner.truncate(size)

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._inner.close()

    def lose_unsynced(self) -> None:
        """As a power cut would, or nearly."""
        if not self._is_closed and self._inner.written > self._inner.synced:
            self._inner.truncate(self._inner.written - 1)
