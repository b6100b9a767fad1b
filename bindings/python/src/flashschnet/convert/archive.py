"""Reading the zip archive that ``torch.save`` writes, without believing it.

Every size is held against the file before anything of that size is allocated: members must be stored
uncompressed, so that what a member unpacks to is what it occupies, and together they may not claim more
bytes than the file has.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from .errors import ConvertError

__all__ = ["TorchArchive"]

#: The first pickle of a file in the format torch wrote before 1.6: its magic number.
_LEGACY_MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
_MAX_MEMBERS = 200_000
_MAX_PICKLE = 256 * 1024 * 1024


class TorchArchive:
    """The members of one ``torch.save`` archive."""

    def __init__(self, path: Path) -> None:
        """Open ``path`` and check its table of contents."""
        self.path = path
        self._check_magic()
        try:
            self._zip = zipfile.ZipFile(path)
            self._members = self._check_members(self._zip.infolist())
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError, OSError) as error:
            raise ConvertError(f"{path} is damaged: {error}") from error
        self._root = self._find_root()
        if any(name.startswith(f"{self._root}code/") for name in self._members) or (
            f"{self._root}constants.pkl" in self._members
        ):
            raise ConvertError(
                f"{path} is a TorchScript archive, which holds compiled code and not the model's parts; "
                "save the model itself with torch.save(model, ...)"
            )
        order = f"{self._root}byteorder"
        if order in self._members and self._read(order).strip() != b"little":
            raise ConvertError(f"{path} was written on a big-endian machine, which is not supported")

    def __enter__(self) -> TorchArchive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def pickle(self) -> bytes:
        """The pickle that describes the saved object."""
        name = f"{self._root}data.pkl"
        if self._members[name].file_size > _MAX_PICKLE:
            raise ConvertError(f"{self.path}: its pickle of {self._members[name].file_size} bytes is too large")
        return self._read(name)

    def storage_size(self, key: str) -> int:
        """The bytes that storage ``key`` really has."""
        return self._storage(key).file_size

    def storage(self, key: str) -> bytes:
        """The bytes of storage ``key``."""
        return self._read(self._storage(key).filename)

    def _storage(self, key: str) -> zipfile.ZipInfo:
        try:
            return self._members[f"{self._root}data/{key}"]
        except KeyError:
            raise ConvertError(f"{self.path} is damaged: the data of tensor storage {key!r} is missing") from None

    def _read(self, name: str) -> bytes:
        try:
            return self._zip.read(self._members[name])
        except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError, OSError) as error:
            raise ConvertError(f"{self.path} is damaged: {error}") from error

    def _check_magic(self) -> None:
        try:
            with self.path.open("rb") as file:
                head = file.read(512)
        except OSError as error:
            raise ConvertError(f"cannot read {self.path}: {error.strerror or error}") from error
        if head.startswith(b"PK"):
            return
        if head.startswith(_LEGACY_MAGIC) or head[257:262] == b"ustar":
            name = self.path.name
            raise ConvertError(
                f"{self.path} is in the format torch wrote before 1.6; save it again with "
                f'torch.save(torch.load("{name}", weights_only=False), "{name}.zip.pt")'
            )
        raise ConvertError(f"{self.path} is not a file written by torch.save")

    def _check_members(self, infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        if len(infos) > _MAX_MEMBERS:
            raise ConvertError(f"{self.path}: {len(infos)} members are too many for a model")
        total = 0
        members: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise ConvertError(f"{self.path}: member {info.filename!r} is compressed, which torch.save never does")
            if info.flag_bits & 0x1:
                raise ConvertError(f"{self.path}: member {info.filename!r} is encrypted")
            if info.filename in members:
                raise ConvertError(f"{self.path}: member {info.filename!r} is there twice")
            members[info.filename] = info
            total += info.file_size
        if total > self.path.stat().st_size:
            raise ConvertError(f"{self.path} is damaged: its members claim more bytes than the file has")
        return members

    def _find_root(self) -> str:
        roots = [name[: -len("data.pkl")] for name in self._members if name.split("/")[1:] == ["data.pkl"]]
        if len(roots) != 1:
            raise ConvertError(f"{self.path} is a zip archive, but not one written by torch.save")
        return roots[0]
