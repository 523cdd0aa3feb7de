"""The pictures: scikit-learn's digits, which ship with it, and CIFAR-10, which is downloaded once.

CIFAR-10 comes in its binary form (no pickle is ever loaded): each record is one byte of label and
3 · 32 · 32 bytes of picture, red, green, blue, row by row.
"""

from __future__ import annotations

import hashlib
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


class DataError(RuntimeError):
    """The pictures cannot be had; the message says why and what to do."""


@dataclass(frozen=True)
class Pictures:
    images: Tensor  #: (N, C, H, W), float, 0 to 1
    labels: Tensor  #: (N,), int64

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> Pictures:
        return Pictures(self.images[index], self.labels[index])

    def to(self, device: str | torch.device) -> Pictures:
        return Pictures(self.images.to(device), self.labels.to(device))


def digits() -> Pictures:
    """1797 handwritten digits of 8 × 8, as scikit-learn carries them."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = torch.tensor(found.images / 16, dtype=torch.float32).unsqueeze(1)
    return Pictures(images, torch.tensor(found.target, dtype=torch.int64))


def split(pictures: Pictures, per_class: int, seed: int) -> tuple[Pictures, Pictures]:
    """``per_class`` pictures of each class, drawn by ``seed``, and all the others."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.zeros(len(pictures), dtype=torch.bool)
    for label in pictures.labels.unique():
        members = (pictures.labels == label).nonzero().flatten()
        order = torch.randperm(len(members), generator=generator)
        drawn[members[order[:per_class]]] = True
    return pictures[drawn], pictures[~drawn]


@dataclass(frozen=True)
class Archive:
    """A file of the network and what it must be."""

    url: str
    sha256: str

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


CIFAR10 = Archive(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
TRAIN = tuple(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6))
TEST = ("cifar-10-batches-bin/test_batch.bin",)
SHAPE = (3, 32, 32)


def cifar10(folder: Path, archive: Archive = CIFAR10) -> tuple[Pictures, Pictures]:
    """Training and test pictures; the archive is downloaded into ``folder`` if it is not there.

    Raises:
        DataError: if it cannot be downloaded, is not the file it should be, or cannot be read.
    """
    path = fetch(archive, folder)
    try:
        with tarfile.open(path, "r:gz") as tar:
            return _read(tar, TRAIN), _read(tar, TEST)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path} cannot be unpacked: {error}") from error


def fetch(archive: Archive, folder: Path) -> Path:
    """The archive as a file in ``folder``, checked against its checksum each time."""
    path = folder / archive.name
    if path.exists():
        found = _sha256(path)
        if found != archive.sha256:
            raise DataError(
                f"{path} is damaged: its SHA-256 is {found}, not {archive.sha256}. Delete it and "
                f"run the command again to download it anew"
            )
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with urllib.request.urlopen(archive.url, timeout=60) as source, part.open("wb") as target:
            while chunk := source.read(1 << 20):
                target.write(chunk)
        found = _sha256(part)
        if found != archive.sha256:
            raise DataError(
                f"what {archive.url} sent is not the file expected: its SHA-256 is {found}, not "
                f"{archive.sha256}. The download may have been cut short: run the command again"
            )
        part.replace(path)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise DataError(
            f"{archive.url} cannot be downloaded: {error}. On a machine without a network, put "
            f"the file into {folder} yourself"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _read(tar: tarfile.TarFile, names: tuple[str, ...]) -> Pictures:
    """Pictures of one or several members, read without unpacking anything to disk."""
    length = 1 + int(np.prod(SHAPE))
    parts = []
    for name in names:
        try:
            member = tar.extractfile(name)
        except KeyError:
            member = None
        if member is None:
            raise DataError(f"the archive holds no file {name}")
        raw = np.frombuffer(member.read(), dtype=np.uint8)
        if raw.size == 0 or raw.size % length:
            raise DataError(f"{name} is cut short: {raw.size} bytes are no multiple of {length}")
        parts.append(raw.reshape(-1, length))
    records = np.concatenate(parts)
    if records[:, 0].max() > 9:
        raise DataError(f"{names[0]} ... holds the label {records[:, 0].max()}; they are 0 to 9")
    images = torch.from_numpy(records[:, 1:].reshape(-1, *SHAPE).astype(np.float32)) / 255
    return Pictures(images, torch.from_numpy(records[:, 0].astype(np.int64)))
