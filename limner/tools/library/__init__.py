"""An image library: records of a person's images in SQLite, their vectors in Qdrant, the images where they lie.

An image is identified by the SHA-256 of its bytes, so a renamed file keeps its vectors and a copy costs nothing.
Vectors are written before the record that refers to them, in batches: whenever a run is killed, every record has its
vectors, and the same command continues from there. Vectors without a record are never shown; the next run deletes
them.

`folders` knows where libraries lie, `records` their rows, `captions` the words that people write in a library,
`sources` where images come from, `folder` how a folder is scanned, `unpacking` how archives are; `library` reads and
writes one, `indexing` brings it up to date, `resync` with all its sources; `exporting`
writes it out.
"""

from limner.tools.library.exporting import export
from limner.tools.library.folders import (
    Connect,
    check_name,
    folder_library,
    folders_of,
    libraries,
    library_path,
    only_copies,
    own_encoders,
    remove,
    written_in,
)
from limner.tools.library.gathered import costs
from limner.tools.library.indexing import Progress, add, index, sync
from limner.tools.library.library import Library
from limner.tools.library.records import Record
from limner.tools.library.report import Report
from limner.tools.library.resolving import open_or_index
from limner.tools.library.resync import resync, staying
from limner.tools.library.sources import Folders, Source, image_identity

__all__ = [
    "Connect",
    "Folders",
    "Library",
    "Progress",
    "Record",
    "Report",
    "Source",
    "add",
    "check_name",
    "costs",
    "export",
    "folder_library",
    "folders_of",
    "image_identity",
    "index",
    "libraries",
    "library_path",
    "only_copies",
    "open_or_index",
    "own_encoders",
    "remove",
    "resync",
    "staying",
    "sync",
    "written_in",
]
