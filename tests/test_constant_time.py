"""Secrets are compared in constant time: the time of an answer says nothing about how much of a guess was right."""

from __future__ import annotations

import ast
import hmac
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

import limner
from limner.jobs.request import JobRequest
from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http.app import create_app

SECRET = ("secret", "password", "signature", "bearer", "api_key")
# A child's own line on its own pipe, which nobody else writes to.
FINE = {"key == self.api_key"}


def compared(tree: ast.AST) -> Iterator[ast.Compare]:
    """The comparisons by == and != of what is named like a secret."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            sides = (node.left, *node.comparators)
            names = [n.id if isinstance(n, ast.Name) else n.attr if isinstance(n, ast.Attribute) else "" for n in sides]
            empty = any(isinstance(side, ast.Constant) for side in sides)
            if not empty and any(name.lower().endswith(SECRET) for name in names):
                yield node


def test_no_secret_is_compared_by_equality() -> None:
    folder = Path(limner.__file__).parent
    found = {
        ast.unparse(node)
        for path in folder.rglob("*.py")
        for node in compared(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found - FINE == set()
    assert list(compared(ast.parse("given == self._secret"))), "else this test sees nothing"


def test_the_token_and_a_signature_are_compared_in_constant_time(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str | bytes, str | bytes]] = []
    compare = hmac.compare_digest

    def noted(a: str, b: str) -> bool:
        asked.append((a, b))
        return compare(a, b)

    settings = Settings(home=home, token=SecretStr("right"))
    with closing(Jobs(settings)) as jobs, TestClient(create_app(settings, jobs), base_url="http://localhost") as client:
        monkeypatch.setattr(hmac, "compare_digest", noted)
        answers = [client.get("/v1/jobs", headers={"Authorization": f"Bearer {t}"}) for t in ("right", "wrong")]
        guess = "0" * 64
        [(job, _new)] = jobs.submit([JobRequest(brief="Honey")])
        shared = client.get(f"/v1/shared/{job.id}/bees/{'a' * 32}?expires=2000000000&signature={guess}")
    assert [a.status_code for a in answers] == [200, 401]
    assert shared.status_code == 401
    assert {pair[0] for pair in asked} >= {b"right", b"wrong"}
    assert any(guess in pair for pair in asked)
