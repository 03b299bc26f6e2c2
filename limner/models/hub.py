"""Download a model from the model hub: in parts that a later run continues, each file checked.

huggingface_hub finds the files and transfers them. Its own `hf_hub_download` deletes what a cut connection left
(2.4.0), and compares no digests, so both are done here.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from limner.errors import NotInstalled, no_room
from limner.lazy import lazy
from limner.models.known import Known, WeightsFile, is_there, models_folder
from limner.settings import private_folder
from limner.text import one_line, printable, printable_path
from limner.version import __version__

if TYPE_CHECKING:
    import huggingface_hub
    from huggingface_hub import HfFileMetadata
else:  # most runs download nothing
    huggingface_hub = lazy("huggingface_hub")

Progress = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes of all files."""
_SPARE = 50_000_000  # bytes left free on the disk
_CHUNK = 1 << 20
_ETAG = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""git's SHA-1 of a file as a blob, or the SHA-256 of a large file: nothing else may become part of a file's name."""
_CHECKED = ".checked"
"""An empty file in a model's folder: all digests were compared."""


@dataclass(frozen=True)
class Hub:
    """Where models come from."""

    endpoint: str = "https://huggingface.co"
    """Its address (HF_ENDPOINT)."""
    offline: bool = False
    """Never reach for it (HF_HUB_OFFLINE)."""


def fetch(
    model: Known, home: Path, hub: Hub, say: Callable[[str], None], progress: Progress = lambda done, of: None
) -> Path:
    """Download a model, unless it is there; returns its folder.

    say: gets one line with size, licence and source before anything is transferred. Raises NotInstalled, in one line
    that says what to do.
    """
    folder = models_folder(home) / model.name
    if is_there(model, home):
        return _checked(model, folder)
    if hub.offline:
        raise NotInstalled(f"{model.name} is not on this machine, and HF_HUB_OFFLINE is set. {by_hand(model, home)}")
    private_folder(models_folder(home))
    try:
        with FileLock(models_folder(home) / f".{model.name}.lock", timeout=1):
            return _Fetching(model, folder, hub, say, progress).run()
    except Timeout as error:
        raise NotInstalled(f"Another program is downloading {model.name}: wait for it, then run this again.") from error


def by_hand(model: Known, home: Path) -> str:
    """How to bring a model to a machine without network."""
    folder = printable_path(str(models_folder(home) / model.name))
    names = ", ".join(file.path for file in model.files)
    where = f"huggingface.co/{model.repository}/tree/{model.revision[:12]}"
    return f"From a machine with a network copy {names} of {where} to {folder}."


class _Fetching:
    """One download of all files of a model."""

    def __init__(self, model: Known, folder: Path, hub: Hub, say: Callable[[str], None], progress: Progress) -> None:
        self.model, self.folder, self.hub, self.say, self.progress = model, folder, hub, say, progress
        self.parts = folder.with_name(f".{model.name}.part")
        """Holds what is being downloaded; becomes `folder` when all of it is there."""
        self.there = self.total = 0

    def run(self) -> Path:
        """Download what is missing; returns the folder. Raises NotInstalled."""
        _disable_telemetry()
        wanted = {file: found for file in self.model.files if (found := self._wanted(file))}
        sizes = {file: found.size or file.size for file, found in wanted.items()}
        kept = sum((self.parts / f.path).stat().st_size for f in self.model.files if f not in wanted)
        begun = sum(min(sizes[file], _size(self._part(file, found))) for file, found in wanted.items())
        self.there, self.total = kept + begun, kept + sum(sizes.values())
        resumed = f" ({self.there / 1e6:.0f} MB of them are here)" if self.there else ""
        self.say(
            f"{self.model.name} ({self.model.about}): {self.total / 1e6:.0f} MB{resumed} from {self.hub.endpoint}/"
            f"{self.model.repository}, licence {self.model.licence}, to {printable_path(str(self.folder))}"
        )
        self._check_room(self.total - self.there)
        with _quiet():
            for file, found in wanted.items():
                self._transfer(file, found, sizes[file])
        self._clear()
        if self.folder.exists():  # incomplete, perhaps copied by hand
            shutil.rmtree(self.folder)
        (self.parts / _CHECKED).touch()
        self.parts.rename(self.folder)
        return self.folder

    def _wanted(self, file: WeightsFile) -> HfFileMetadata | None:
        """The hub's facts of a file that is to be fetched; None for one that an earlier run has fetched.

        That run may have fetched another revision: only a file whose digest is this one's counts.
        """
        kept = self.parts / file.path
        if file.sha256 and kept.is_file() and _matches(kept, file.sha256, ""):
            return None
        found = self._metadata(file)
        if not file.sha256 and kept.is_file() and _matches(kept, "", found.etag or ""):
            return None
        return found

    def _clear(self) -> None:
        """Delete what the model does not name: files, and beginnings of files, of another revision."""
        named = {self.parts / file.path for file in self.model.files}
        for path in self.parts.rglob("*"):
            if path not in named and (path.is_symlink() or not path.is_dir()):
                path.unlink()

    def _part(self, file: WeightsFile, found: HfFileMetadata) -> Path:
        """Where the file's first bytes are kept; another version of it has another name."""
        return self.parts / f"{file.path}.{(found.etag or '')[:16]}.part"

    def _url(self, file: WeightsFile) -> str:
        return huggingface_hub.hf_hub_url(
            self.model.repository, file.path, revision=self.model.revision, endpoint=self.hub.endpoint.rstrip("/")
        )

    def _metadata(self, file: WeightsFile) -> HfFileMetadata:
        """The hub's own size and digest of a file."""

        def ask() -> HfFileMetadata:
            return huggingface_hub.get_hf_file_metadata(
                self._url(file), library_name="limner", library_version=__version__, endpoint=self.hub.endpoint
            )

        found = self._tried(ask)
        if not found.commit_hash or not _ETAG.fullmatch(found.etag or ""):
            raise NotInstalled(
                f"{self.hub.endpoint} does not answer like a model hub (a login page, or a proxy?). Check HF_ENDPOINT "
                f"and the network. {self._or_by_hand}"
            )
        if file.sha256 and len(found.etag) == 64 and found.etag != file.sha256:
            raise NotInstalled(
                f"{self.hub.endpoint} has another {file.path} of {self.model.repository} than limner knows. Use "
                "another HF_ENDPOINT."
            )
        return found

    def _transfer(self, file: WeightsFile, found: HfFileMetadata, size: int) -> None:
        """Download the rest of a file, check it, and put it in its place."""
        part = self._part(file, found)
        if size and _size(part) > size:
            part.unlink()
        if not size or _size(part) < size:
            self._tried(lambda: self._download(file, part))
        if (size and _size(part) != size) or not _matches(part, file.sha256, found.etag or ""):
            part.unlink()  # nothing to continue from
            raise NotInstalled(
                f"{file.path} of {self.model.repository} arrived damaged: its checksum is wrong. Run the command "
                f"again; the sound files are kept. If it stays so, use another HF_ENDPOINT. {self._or_by_hand}"
            )
        part.rename(self.parts / file.path)

    def _download(self, file: WeightsFile, part: Path) -> None:
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers

        private_folder(part.parent)
        headers = build_hf_headers(library_name="limner", library_version=__version__)
        with part.open("ab") as target:
            # Not by Xet, whose client keeps nothing that a later process could continue.
            http_get(
                self._url(file),
                target,
                resume_size=target.tell(),
                headers=headers,
                tqdm_class=self._bar(),
            )

    def _bar(self) -> Any:
        """A class that huggingface_hub reports to as if it were a progress bar."""
        fetching = self

        class Bar:
            def __init__(self, *_args: Any, **_more: Any) -> None:
                fetching.progress(fetching.there, fetching.total)

            def __enter__(self) -> Bar:
                return self

            def __exit__(self, *_error: object) -> None:
                pass

            def update(self, count: float | None = 1) -> None:
                fetching.there += int(count or 0)
                fetching.progress(fetching.there, fetching.total)

        return Bar

    def _check_room(self, needed: int) -> None:
        free = shutil.disk_usage(self.folder.parent).free
        if free < needed + _SPARE:
            raise self._full(f"{needed / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free")

    def _full(self, words: str) -> NotInstalled:
        where = printable_path(str(self.folder.parent))
        return NotInstalled(f"No room for {self.model.name} in {where} ({words}). Free some, or set LIMNER_HOME.")

    @property
    def _or_by_hand(self) -> str:
        return by_hand(self.model, self.folder.parent.parent)

    def _tried(self, ask: Callable[[], Any]) -> Any:
        """The answer of a call to the hub. Raises NotInstalled for whatever goes wrong."""
        try:
            return ask()
        except Exception as error:  # of huggingface_hub, of the HTTP client under it, of the system
            if no_room(error):
                raise self._full(
                    error.strerror if isinstance(error, OSError) and error.strerror else "disk full"
                ) from (error)
            raise NotInstalled(self._failure(error)) from error

    def _failure(self, error: Exception) -> str:
        """What went wrong and what to do, in one line."""
        source = f"{self.hub.endpoint}/{self.model.repository}"
        status = getattr(getattr(error, "response", None), "status_code", None)
        again = "Run the command again; it goes on where it stopped."
        if status == 429:
            return f"{source} asks to wait (429, too many requests). {again} An HF_TOKEN raises the limit."
        if status in (401, 403, 404):
            return f"{source} refuses {self.model.name} ({status}). Check HF_ENDPOINT and HF_TOKEN. {self._or_by_hand}"
        if status is not None:
            return f"{source} answers {status}. {again}"
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return f"{printable_path(str(self.parts))} cannot be written ({error.strerror}). Set LIMNER_HOME."
        words = printable(" ".join(str(error).split()))[:160] or type(error).__name__
        return f"{source} cannot be reached, or the connection was cut ({words}). {again} Without network: " + (
            self._or_by_hand
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the client's lines about each attempt: one line reports a failure in the end."""
    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _checked(model: Known, folder: Path) -> Path:
    """The folder, if its files are what limner knows of them. One that was copied by hand is read once for it."""
    if not (folder / _CHECKED).exists():
        for file in model.files:
            if file.sha256 and not _matches(folder / file.path, file.sha256, ""):
                where = printable_path(str(folder / file.path))
                raise NotInstalled(f"{where} is not the file of {model.repository} that limner knows: copy it again.")
        try:
            (folder / _CHECKED).touch()
        except OSError as error:  # a shared folder that only an administrator writes is read again next time
            if no_room(error):
                raise NotInstalled(f"No room in {printable_path(str(folder))}: free some.") from error
    return folder


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _matches(path: Path, sha256: str, etag: str) -> bool:
    """Whether a file has the digest that limner knows and the one that the hub declares.

    The hub declares the SHA-256 of a large file, and of a small one git's SHA-1 of it as a blob.
    """
    whole = hashlib.sha256()
    blob = hashlib.sha1(f"blob {_size(path)}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            whole.update(chunk)
            blob.update(chunk)
    declared = {64: whole.hexdigest(), 40: blob.hexdigest()}.get(len(etag))
    if sha256:
        return whole.hexdigest() == sha256 and declared in (None, etag)
    return declared == etag


# --- what a repository holds ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listing:
    """The files of a repository at its newest commit."""

    revision: str
    licence: str
    """As the repository declares it; "" if it does not."""
    files: tuple[WeightsFile, ...]


_MOST_FILES = 10_000
_SAFE = re.compile(r"[\w.-]+(/[\w.-]+)*", re.ASCII)
"""A path of a repository that may become one on this disk."""


def _disable_telemetry() -> None:
    """Else huggingface_hub reports the programs around it, and fetches a list of such programs from its maker first."""
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True


def listing(repository: str, hub: Hub) -> Listing:
    """The files of a repository. Raises NotInstalled, in one line that says what to do."""
    if hub.offline:
        raise NotInstalled(f"{repository} is not on this machine, and HF_HUB_OFFLINE is set. {_files_by_hand()}")
    _disable_telemetry()
    source = f"{hub.endpoint}/{repository}"
    try:
        with _quiet():
            found = huggingface_hub.HfApi(endpoint=hub.endpoint.rstrip("/"), library_name="limner").model_info(
                repository, files_metadata=True, timeout=_LISTING_SECONDS
            )
    except Exception as error:  # of huggingface_hub, of the HTTP client under it, of JSON of another shape
        raise NotInstalled(_unlisted(error, source, repository)) from error
    if not re.fullmatch(r"[0-9a-f]{40}", found.sha or ""):
        raise NotInstalled(f"{hub.endpoint} does not answer like a model hub. Check HF_ENDPOINT. {_files_by_hand()}")
    files = tuple(
        WeightsFile(f.rfilename, f.size or 0, f.lfs.sha256 if f.lfs else "")
        for f in (found.siblings or [])[:_MOST_FILES]
        if _SAFE.fullmatch(f.rfilename) and ".." not in f.rfilename
    )
    licence = getattr(found.card_data, "license", None)
    return Listing(found.sha or "", one_line(licence)[:60] if isinstance(licence, str) else "", files)


_LISTING_SECONDS = 20


def _unlisted(error: Exception, source: str, repository: str) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403, 404):
        return (
            f"{source} refuses ({status}): there is no such repository, or it needs an HF_TOKEN whose owner accepted "
            f"its terms. Check the name {repository}."
        )
    if status is not None:
        return f"{source} answers {status}. Run the command again later."
    words = printable(" ".join(str(error).split()))[:160] or type(error).__name__
    return f"{source} cannot be reached, or is no model hub ({words}). Check HF_ENDPOINT. {_files_by_hand()}"


def _files_by_hand() -> str:
    return "Or copy a GGUF and its mmproj into one folder, and run: limner model use PATH.gguf."
