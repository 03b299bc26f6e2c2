"""The tree of errors; every message says what is wrong and what to do next.

LimnerError                 anything a user can put right; the shell prints one line and exits with 2
├── BadInput                a brief, a draft, an option or a file that cannot be used as it is
│   └── EditRefused         a change to an article that cannot be made: something is locked, or not there
├── NotInstalled            an optional part is missing; the message names the install command
├── PluginFailed            a part that another package brings cannot be loaded, or failed at its work
├── LibraryError            the image library
│   ├── LibraryMissing      no library of that name, no such folder
│   ├── LibraryEmpty        nothing in it that could illustrate anything
│   ├── LibraryBusy         another process is writing it
│   ├── LibraryUnreachable  its Qdrant server does not answer
│   └── EncoderMismatch     it was made by other encoders than the ones at hand
│       └── EncoderSwitched it was given others since it was opened: opening it anew helps
├── ImageUnreadable         one file is not an image that can be shown (truncated, a bomb, not an image at all)
├── ModelError              the model server
│   ├── ModelUnreachable    nothing answers at its address
│   └── ModelRefused        it answers, but not with a completion (429, 500, HTML, an endless stream)
├── UnreadableReply         a completion that is not what was asked for: `ask` sends the reason back once
├── BudgetReached           the next call would go over --max-tokens; what is done is kept
├── JobError                the jobs
│   ├── JobUnknown          no job of that name
│   ├── JobConflict         the job is in a state that does not allow this (cancel a finished one, answer twice)
│   │   └── VersionConflict the article was changed by somebody else meanwhile
│   ├── LimitReached        the owner's jobs a minute, jobs at a time or tokens a day are used up
│   └── LedgerError         the database that says what is true cannot be used
├── NotAllowed              no token, or not yours
└── ExportFailed            the article could not be written, or was not whole when reopened
"""

from __future__ import annotations

import errno
from typing import Any

from limner.notes import Note


class LimnerError(Exception):
    """Base of all errors that a user can put right. `str(error)` is one line and ends with the next step.

    Programs read `code` and `params`: those of the message if it is a `Note`, else the code of the class.
    """

    exit_code = 2
    code = "error"
    """On a class, the kind of error; on an instance, the code of its message if it has one."""

    def __init__(self, message: str = "", *, afar: str = "") -> None:
        """afar: the message for callers on other machines if `message` names paths of this one."""
        super().__init__(message)
        self.note, self.afar = (
            text if isinstance(text, Note) and text.code else Note(text, type(self).code)
            for text in (message, afar or message)
        )
        self.code = self.note.code

    @property
    def params(self) -> dict[str, Any]:
        """Parameters of the message, by name."""
        return self.note.params


class BadInput(LimnerError):
    """A brief, a draft, an option or a file that cannot be used as it is."""

    code = "bad-input"


class EditRefused(BadInput):
    """A change to an article that cannot be applied: a part is locked, missing, or would lose its place."""

    code = "edit-refused"


class NotInstalled(LimnerError):
    """An optional part is missing; the message names the command that installs it."""

    code = "not-installed"


class PluginFailed(LimnerError):
    """Another package's part cannot be loaded or failed; the message names the package."""

    code = "plugin-failed"


class LibraryError(LimnerError):
    """Something about an image library."""

    code = "library-error"


class LibraryMissing(LibraryError):
    """No library of that name, or no such folder."""

    code = "library-missing"


class LibraryEmpty(LibraryError):
    """The library holds no image that could illustrate anything."""

    code = "library-empty"


class LibraryBusy(LibraryError):
    """Another process is writing the library."""

    code = "library-busy"


class LibraryUnreachable(LibraryError):
    """The Qdrant server that holds the library's vectors does not answer."""

    code = "library-unreachable"


class EncoderMismatch(LibraryError):
    """The library was made with other encoders, whose vectors cannot be compared."""

    code = "encoder-mismatch"


class EncoderSwitched(EncoderMismatch):
    """The library was given other encoders since this process opened it; opening it anew helps."""

    code = "encoder-switched"


class ImageUnreadable(LimnerError):
    """One file is not an image that can be shown."""

    code = "image-unreadable"


class ModelError(LimnerError):
    """The model server did not give a completion."""

    code = "model-error"


class ModelUnreachable(ModelError):
    """Nothing answers at the model server's address."""

    code = "model-unreachable"


class ModelRefused(ModelError):
    """The server answers, but not with a completion.

    status: the HTTP status, None without one. answer: the server's own answer in a few words, without advice.
    """

    code = "model-refused"

    def __init__(self, message: str, status: int | None = None, answer: str = "") -> None:
        super().__init__(message)
        self.status, self.answer = status, answer or message


class UnreadableReply(LimnerError):
    """A completion in the wrong form. The message is written for the model and sent back once."""

    code = "unreadable-reply"


class BudgetReached(LimnerError):
    """The next model call would go over the token budget; everything before it is kept."""

    code = "budget-reached"


class JobError(LimnerError):
    """Something about a job."""

    code = "job-error"


class JobUnknown(JobError):
    """No such job, or another owner's; both look the same."""

    code = "job-unknown"


class JobConflict(JobError):
    """The job's state does not allow the request."""

    code = "job-conflict"


class VersionConflict(JobConflict):
    """The article is not at the version that a change was made for.

    `head` is the current version, `changed` lists the differences since, `conflicts` those that the change would touch;
    both are lists of JSON objects {"block", "kind", "who", "what", "code", "params"}, the last two as of a note.
    """

    code = "version-conflict"

    def __init__(
        self, message: str, head: int, changed: list[dict[str, Any]], conflicts: list[dict[str, Any]] | None = None
    ) -> None:
        super().__init__(message)
        self.head, self.changed, self.conflicts = head, changed, conflicts or []


class LimitReached(JobError):
    """The owner's limit is reached. `retry_after` is in seconds."""

    code = "limit-reached"

    def __init__(self, message: str, retry_after: int = 60) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LedgerError(JobError):
    """The ledger's database cannot be used."""

    code = "ledger-error"


class NotAllowed(LimnerError):
    """No token, an unknown one, or something that belongs to somebody else."""

    code = "not-allowed"


class ExportFailed(LimnerError):
    """The article could not be written, or was not whole when reopened."""

    code = "export-failed"


_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_SQLITE_FULL, _POSTGRES_FULL = 13, "53100"


def no_room(error: BaseException) -> bool:
    """Whether a full disk, or a used up quota, is behind an error: by what the system or the database calls it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
            return True
        if getattr(cause, "sqlite_errorcode", None) == _SQLITE_FULL or getattr(cause, "sqlstate", "") == _POSTGRES_FULL:
            return True
        cause = cause.__cause__ or cause.__context__
    return False
