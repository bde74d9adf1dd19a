"""An archive in the folder of a published run, in the place of files that repeat each other.

The counts of a run share titles, gold facts and much else: together they take an eighth of their
room. DONE keeps the digests of the packed files, so such a run is verified like any other. An
archive is read in memory; nothing is ever unpacked onto the disk.
"""

from __future__ import annotations

import functools
import io
import lzma
import tarfile
from collections.abc import Mapping
from pathlib import Path

from benchmark.errors import UserError
from benchmark.store.files import written_atomically

ARCHIVE = "packed.tar.xz"


def pack(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write the archive of `folder`. The same files give the same bytes, whenever and whoever.

    Raises UserError naming the archive if it cannot be written.
    """
    with written_atomically(folder / ARCHIVE) as part, tarfile.open(part, "w:xz") as archive:
        for name in sorted(contents):
            member = tarfile.TarInfo(name)  # without time and owner
            member.size = len(contents[name])
            archive.addfile(member, io.BytesIO(contents[name]))


def packed_files(folder: Path) -> Mapping[str, bytes]:
    """The files in the archive of `folder`; none where it has no archive.

    Raises UserError naming the archive if it is torn.
    """
    path = folder / ARCHIVE
    try:
        known = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return _contents(path, known.st_mtime_ns, known.st_size)


@functools.lru_cache(maxsize=1)  # whoever reads one file of a run mostly reads the next
def _contents(path: Path, _changed: int, _size: int) -> dict[str, bytes]:
    try:
        with tarfile.open(path, "r:xz") as archive:
            members = (member for member in archive if member.isfile())  # read in one pass
            return {member.name: archive.extractfile(member).read() for member in members}
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
