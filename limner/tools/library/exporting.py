"""Export a library as a folder that other programs read, and that `limner library add` reads back without loss.

Formats: imagefolder, Hugging Face's convention (pictures and metadata.jsonl); csv, the same with metadata.csv;
webdataset, shards in tar. Each file is written beside its place and renamed, the table last: a folder without one is an
export that did not end, which the same command continues.
"""

from __future__ import annotations

import csv
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from limner.errors import BadInput, LibraryEmpty, LibraryError
from limner.notes import note
from limner.text import printable_path
from limner.tools.library import machine
from limner.tools.library.exported import COLUMNS, MARK, VERSION
from limner.tools.library.folder import original_of
from limner.tools.library.library import Library
from limner.tools.library.records import Record
from limner.tools.library.scanned import folded

Format = Literal["imagefolder", "csv", "webdataset"]
FORMATS: tuple[Format, ...] = get_args(Format)
OWN = ".limner-export.json"
"""In the folder: the names of the files of the export."""
_TABLES = {"imagefolder": "metadata.jsonl", "csv": "metadata.csv"}
_SHARD = 1_000_000_000  # bytes of pictures
Row = dict[str, Any]


@dataclass
class Done:
    """The result of an export."""

    pictures: int = 0
    size: int = 0
    """Bytes of the pictures."""
    marked: int = 0
    """Pictures with words that a model wrote."""
    missing: list[str] = field(default_factory=list)
    """A line per picture that could not be read."""


def export(
    library: Library, folder: Path, form: str = "imagefolder", on_progress: Callable[[int, int], None] | None = None
) -> Done:
    """Write all pictures of a library with their words and facts into a folder, new or empty or of a former export.

    Files of a former export that are no longer needed are deleted, others are left alone. Raises BadInput for another
    folder, a full disk or an unknown format, LibraryEmpty for a library without pictures.
    """
    if form not in FORMATS:
        raise BadInput(f"--format {form[:40]!r}: choose {', '.join(FORMATS)}.")
    records = library.records()
    if not records:
        raise LibraryEmpty(note("library-without-images", name=library.name))
    with library.transaction() as connection:
        made = machine.of(connection)
    try:
        return _Export(library, folder.expanduser(), records, made, on_progress).run(form)
    except OSError as error:
        where = printable_path(str(error.filename or folder))
        raise BadInput(
            f"{where} cannot be written ({error.strerror}): free room or change rights, then repeat."
        ) from error


class _Export:
    """One run."""

    def __init__(
        self,
        library: Library,
        folder: Path,
        records: Sequence[Record],
        made: dict[str, machine.Suggestion],
        on_progress: Callable[[int, int], None] | None,
    ) -> None:
        self.library, self.folder, self.records, self.made = library, folder, records, made
        self.progress = on_progress or (lambda done, total: None)
        self.done = Done()
        self.names = dict(
            zip((r.id for r in records), placed([os.path.basename(r.path) for r in records]), strict=True)
        )
        self.before = _former(folder)
        self.written: list[str] = []

    def run(self, form: str) -> Done:
        """Write everything."""
        planned = [*self.names.values(), *_TABLES.values()] if form in _TABLES else []
        foreign = [name for name in planned if name not in self.before and os.path.lexists(self.folder / name)]
        if foreign:
            raise BadInput(f"{printable_path(str(self.folder / foreign[0]))} is not of an export: move it away first.")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._own([*self.before, *planned])
        for name in self.before:
            if name in _TABLES.values() or name.endswith(".tar"):
                (self.folder / name).unlink(missing_ok=True)  # a table must not speak of other pictures than are there
        if form == "webdataset":
            self._shards()
        else:
            rows = list(self._pictures())
            self._write(_TABLES[form], (_jsonl if form == "imagefolder" else _csv)(rows))
        self._clean()
        return self.done

    def _read(self) -> Iterator[tuple[Record, bytes]]:
        """The pictures that are there; the others are listed."""
        for number, record in enumerate(self.records, 1):
            try:
                data = self.library.image(record.id)
            except LibraryError as error:
                self.done.missing.append(str(error))
                continue
            self.done.pictures += 1
            self.done.size += len(data)
            self.done.marked += bool(record.machine_made)
            yield record, data
            self.progress(number, len(self.records))

    def _pictures(self) -> Iterator[Row]:
        for record, data in self._read():
            name = self.names[record.id]
            self._write(name, data)
            yield row(record, name, self.made.get(record.id))

    def _shards(self) -> None:
        """Shards of about a gigabyte, each complete under its name."""
        number, room, shard, part = 0, 0, None, self.folder / ".part"
        try:
            for record, data in self._read():
                if shard is not None and room < len(data):
                    shard.close()
                    number += self._shard(part, number)
                    shard = None
                if shard is None:
                    shard, room = tarfile.open(part, "w"), _SHARD  # noqa: SIM115
                room -= len(data)
                told = json.dumps(
                    row(record, f"{record.id}{record.suffix}", self.made.get(record.id)), ensure_ascii=False
                )
                for suffix, content in ((record.suffix, data), (".json", told.encode())):
                    member = tarfile.TarInfo(f"{record.id}{suffix}")
                    member.size = len(content)
                    shard.addfile(member, io.BytesIO(content))
            if shard is not None:
                shard.close()
                self._shard(part, number)
        finally:
            part.unlink(missing_ok=True)

    def _shard(self, part: Path, number: int) -> int:
        name = f"{self.library.name}-{number:06}.tar"
        self._own([*self.before, *self.written, name])
        part.replace(self.folder / name)
        self.written.append(name)
        return 1

    def _write(self, name: str, data: bytes) -> None:
        """Write a file in one step; one with the same bytes stays as it is."""
        path, part = self.folder / name, self.folder / ".part"
        self.written.append(name)
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return
        path.parent.mkdir(exist_ok=True)
        try:
            part.write_bytes(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _own(self, names: Sequence[str]) -> None:
        part = self.folder / f"{OWN}.part"
        try:
            part.write_text(json.dumps({"files": sorted(set(names))}), encoding="utf-8")
            part.replace(self.folder / OWN)
        finally:
            part.unlink(missing_ok=True)

    def _clean(self) -> None:
        """Delete what a former export left."""
        for name in set(self.before) - set(self.written):
            (self.folder / name).unlink(missing_ok=True)
            parent = (self.folder / name).parent
            if parent != self.folder and parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
        self._own(self.written)


def _former(folder: Path) -> list[str]:
    """The files of a former export in the folder. Raises BadInput for one that has others and none."""
    if not os.path.lexists(folder):
        return []
    if not folder.is_dir():
        raise BadInput(f"{printable_path(str(folder))} is a file: name a folder, new or empty.")
    try:
        names = json.loads((folder / OWN).read_text(encoding="utf-8"))["files"]
        inside = folder.resolve()
        return [n for n in names if isinstance(n, str) and (inside / n).resolve().is_relative_to(inside) and n != OWN]
    except FileNotFoundError:
        left = [name for name in os.listdir(folder) if not name.endswith(".part")]
        if not left:
            return []
    except (ValueError, KeyError, TypeError):
        pass  # not written by an export
    raise BadInput(f"{printable_path(str(folder))} is not empty and not of an export: name a new or empty folder.")


def placed(names: Sequence[str]) -> list[str]:
    """A path per picture that keeps its name, which may stand in for a caption: in the folder itself, or in one of the
    numbered folders 2, 3, … where another has the name, or would make it look like a scaled copy."""
    shelves: list[tuple[set[str], set[str], set[str]]] = []
    made = []
    for name in names:
        stem = folded(os.path.splitext(name)[0])
        original = original_of(stem)
        for number in range(len(shelves) + 1):
            if number == len(shelves):
                shelves.append((set(), set(), set()))
            files, stems, originals = shelves[number]
            if folded(name) in files or stem in originals or (original and original in stems):
                continue
            files.add(folded(name))
            stems.add(stem)
            if original:
                originals.add(original)
            made.append(name if number == 0 else f"{number + 1}/{name}")
            break
    return made


def row(record: Record, name: str, made: machine.Suggestion | None) -> Row:
    """The row of a picture."""
    caption = record.caption if record.described else ""
    words = {"caption": caption, "alt": record.alt, "credit": record.credit, "licence": record.licence}
    told: Row = {"file_name": name, **words}
    for fact, values in record.facts.items():
        several = len(values) > 1 or fact in ("tag", "person")
        told[COLUMNS.get(fact, fact)] = values if several else values[0]
    mark: Row = {"version": VERSION, "name": os.path.basename(record.path), "details": record.details}
    if record.machine_made:
        told["machine_made"] = list(record.machine_made)
        mark["machine_made"] = list(record.machine_made)
        if made:
            mark |= {"model": made.model, "language": made.language, "made": made.made}
    return {**told, MARK: mark}


def _jsonl(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _csv(rows: Sequence[Row]) -> bytes:
    made = io.StringIO(newline="")
    columns = dict.fromkeys(column for row in rows for column in row)
    table = csv.DictWriter(made, columns, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows({column: _cell(value) for column, value in row.items()} for row in rows)
    return made.getvalue().encode()


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
