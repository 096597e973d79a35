"""Where a capture's bytes are: a folder, an archive of one (``.tar.xz``), or one file (``.xz`` or plain)."""

from __future__ import annotations

import io
import lzma
import tarfile
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING, Final

from migemu.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKED: Final = ".xz"
ARCHIVES: Final = (".tar", ".tar.xz", ".tar.gz")


class Files:
    """The files of a capture, by name.

    Raises:
        UsageError: there is nothing at `path`, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise UsageError(f"there is no capture at {path}")
        self._archive = any(str(path).endswith(end) for end in ARCHIVES)
        self._names = self._listed()

    def _listed(self) -> dict[str, str]:
        """Each file's own name, and where it is."""
        if self.path.is_dir():
            return {file.name: str(file) for file in sorted(self.path.iterdir()) if file.is_file()}
        if not self._archive:
            return {self.path.name.removesuffix(PACKED): str(self.path)}
        with self._refusing(), tarfile.open(self.path) as archive:
            return {PurePath(member.name).name: member.name for member in archive if member.isfile()}

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, tarfile.TarError, lzma.LZMAError) as error:
            raise UsageError(f"cannot read {self.path}: {error}") from None

    @property
    def names(self) -> list[str]:
        """All of them."""
        return sorted(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Read one of them, front to back.

        Raises:
            UsageError: it is not there, or cannot be read.
        """
        if name not in self._names:
            raise UsageError(f"{self.path} has no {name}; it has {', '.join(self.names) or 'nothing'}")
        with self._refusing():
            if self._archive:
                with tarfile.open(self.path) as archive:
                    yield archive.extractfile(self._names[name]) or io.BytesIO()
            elif self._names[name].endswith(PACKED):
                with lzma.open(self._names[name]) as packed:
                    yield packed
            else:
                with Path(self._names[name]).open("rb") as file:
                    yield file
