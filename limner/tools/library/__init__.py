"""An image library: records of a person's images in SQLite, their vectors in Qdrant, the images where they lie.

An image is known by the SHA-256 of its bytes, so a renamed file keeps its vectors and a copy costs nothing. Vectors
are written before the record that names them, in batches: whenever a run is killed, every record has its vectors, and
the same command goes on from there. Vectors without a record are never shown, and are taken away by the next run.


`places` says where libraries lie, `records` what is in their rows, `written` which of it people wrote, `sources` where
images come from, `sync` how a library comes to hold them; `library` is what others use.
"""

from limner.tools.library.folders import Connect, check_name, folder_library, libraries, remove, written_in
from limner.tools.library.indexing import Progress, Report
from limner.tools.library.library import Library, index, open_or_index
from limner.tools.library.records import Record
from limner.tools.library.sources import Folders, Source, image_identity

__all__ = [
    "Connect",
    "Folders",
    "Library",
    "Progress",
    "Record",
    "Report",
    "Source",
    "check_name",
    "folder_library",
    "image_identity",
    "index",
    "libraries",
    "open_or_index",
    "remove",
    "written_in",
]
