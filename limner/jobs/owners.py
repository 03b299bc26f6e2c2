"""Owners of jobs: their tokens, libraries and limits."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import delete, func, insert, select, update

from limner.errors import BadInput, NotAllowed
from limner.jobs.ledger.database import Database
from limner.jobs.ledger.schema import now, owners, tokens
from limner.settings import Settings
from limner.workflows.allowed import BUNDLED, may_use, own_library

LOCAL = "local"
"""The owner of everything if no token is set, and of LIMNER_TOKEN."""
OPEN = "open"
"""The key of callers who came while no token was needed."""
LIMITS = ("jobs_at_a_time", "jobs_a_minute", "tokens_a_day", "dollars_a_day")
"""The columns of the limits, and their names in `Owner`."""
MOST_DOLLARS = 100_000  # as for a job


@dataclass(frozen=True)
class Owner:
    """The caller. libraries: names that it may use besides the starter, None for all."""

    name: str
    libraries: tuple[str, ...] | None = None
    jobs_at_a_time: int | None = None
    jobs_a_minute: int | None = None
    tokens_a_day: int | None = None
    dollars_a_day: float | None = None
    person: str = ""
    """The label of the token: tells apart people who share an owner."""
    key: str = field(default="", compare=False)
    """The key that admitted the caller, for `Owners.still_good`; "" if it cannot change while this process runs."""

    @property
    def own_library(self) -> str:
        """The library of the owner's uploads; nobody else may use it."""
        return own_library(self.name)

    def may_use(self, library: str) -> bool:
        """Whether the owner may search a library; another owner's looks as if it did not exist."""
        return may_use(self.name, self.libraries, library)

    def may_describe(self, library: str) -> bool:
        """Whether the owner may write a library's captions: those of its own libraries, not of limner's."""
        return self.may_use(library) and (self.libraries is None or library not in BUNDLED)


class Owners:
    """Owners and their tokens."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self._token = database, settings.token.get_secret_value()

    def closed(self) -> bool:
        """Whether requests need a token: if one is set or any owner exists. Removing an owner's tokens opens
        nothing."""
        if self._token:
            return True
        with self.database.read() as c:
            return c.execute(select(owners.c.name).where(owners.c.name != LOCAL).limit(1)).first() is not None

    def whose(self, token: str | None) -> Owner:
        """The owner of a bearer token; the local owner if no tokens exist. Raises NotAllowed."""
        if not self.closed():
            return replace(self.get(LOCAL), key=OPEN)
        if token and self._token and hmac.compare_digest(token.encode(), self._token.encode()):
            return self.get(LOCAL)
        digest = _digest(token or "")
        with self.database.read() as c:
            query = select(tokens.c.owner, tokens.c.label).where(tokens.c.digest == digest)
            found = c.execute(query).first()
        if found is None:
            raise NotAllowed("This needs a token: Authorization: Bearer TOKEN. `limner token add NAME` makes one.")
        return replace(self.get(found.owner), person=found.label, key=digest)

    def still_good(self, keys: Collection[str]) -> set[str]:
        """The given keys (`Owner.key`) that would admit a caller now."""
        wanted = set(keys)
        good = {"", OPEN} if OPEN in wanted and not self.closed() else {""}
        with self.database.read() as c:
            good |= set(c.execute(select(tokens.c.digest).where(tokens.c.digest.in_(wanted - {"", OPEN}))).scalars())
        return wanted & good

    def get(self, name: str) -> Owner:
        """An owner by name. An unknown one has no limits and no libraries, except `local`, which has all."""
        with self.database.read() as c:
            row = c.execute(select(owners).where(owners.c.name == name)).first()
        if row is None:
            return Owner(name, None if name == LOCAL else ())
        libraries = None if row.libraries is None else tuple(row.libraries)
        return Owner(name, libraries, **{limit: getattr(row, limit) for limit in LIMITS})

    def add_token(self, name: str, label: str = "", libraries: Sequence[str] | None = ()) -> str:
        """A new token for an owner, who is created with these libraries if new. Only this call returns the token."""
        if not re.fullmatch(r"[\w.@-]{1,64}", name):
            raise BadInput(f"{name[:70]!r} cannot be an owner's name. Use up to 64 letters, digits, and . _ @ -")
        token = f"limner_{secrets.token_urlsafe(32)}"
        with self.database.write() as c:
            if c.execute(select(owners.c.name).where(owners.c.name == name)).first() is None:
                held = None if libraries is None else list(libraries)
                c.execute(insert(owners).values(name=name, libraries=held, created=now()))
            c.execute(insert(tokens).values(digest=_digest(token), owner=name, label=label[:100], created=now()))
        return token

    def limit(
        self,
        name: str,
        *,
        libraries: Sequence[str] | None = None,
        all_libraries: bool = False,
        jobs_at_a_time: int | None = None,
        jobs_a_minute: int | None = None,
        tokens_a_day: int | None = None,
        dollars_a_day: float | None = None,
    ) -> Owner:
        """Set an owner's limits and libraries; None keeps a value, 0 removes a limit.

        Raises BadInput for an unknown owner, and for dollars that are negative, no number or more than MOST_DOLLARS.
        """
        if dollars_a_day is not None and not 0 <= dollars_a_day <= MOST_DOLLARS:  # NaN is neither
            raise BadInput(
                f"{dollars_a_day} US dollars a day are no limit. Give up to {MOST_DOLLARS:,}, or 0 for no limit."
            )
        limits = (jobs_at_a_time, jobs_a_minute, tokens_a_day, dollars_a_day)
        given = dict(zip(LIMITS, limits, strict=True))
        values: dict[str, object] = {k: v or None for k, v in given.items() if v is not None}
        if all_libraries or libraries is not None:
            values["libraries"] = None if all_libraries else list(libraries or ())
        with self.database.write() as c:
            there = c.execute(select(owners.c.name).where(owners.c.name == name)).first()
            if there is None and name != LOCAL:
                raise BadInput(f"Unknown owner {name[:70]!r}. `limner token list` shows all owners.")
            if there is None:
                c.execute(insert(owners).values(name=name, libraries=None, created=now()))
            if values:
                c.execute(update(owners).where(owners.c.name == name).values(**values))
        return self.get(name)

    def list(self) -> list[tuple[Owner, int]]:
        """All added owners, with their number of tokens."""
        query = select(owners.c.name, func.count(tokens.c.digest)).outerjoin(tokens).group_by(owners.c.name)
        with self.database.read() as c:
            rows = list(c.execute(query.order_by(owners.c.name)))
        return [(self.get(row[0]), row[1]) for row in rows]

    def remove_tokens(self, name: str) -> int:
        """Revoke an owner's tokens; returns how many. The jobs stay."""
        with self.database.write() as c:
            return c.execute(delete(tokens).where(tokens.c.owner == name)).rowcount


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
