"""What the studio is made of: small modules, no inline script, no CDN, every word in every language."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http.app import PAGE_POLICY, create_app

WEB = Path(__file__).parents[3] / "limner" / "surfaces" / "web"
OURS = sorted(p for p in WEB.rglob("*.js") if "vendor" not in p.parts)
ALL = [*OURS, *sorted((WEB / "vendor").rglob("*.js")), WEB / "index.html", *sorted(WEB.rglob("*.css"))]
MESSAGE = re.compile(r"^([a-z][\w-]*) =", re.MULTILINE)


def test_own_script_is_small() -> None:
    packed = {p: len(gzip.compress(p.read_bytes())) for p in ALL if p.suffix == ".js"}
    assert sum(packed[p] for p in OURS) < 125_000
    assert sum(packed.values()) < 250_000
    assert [p.name for p in OURS if p.read_text(encoding="utf-8").count("\n") >= 400] == []


def test_what_others_wrote_comes_with_its_licence() -> None:
    told = (WEB / "vendor" / "README.md").read_text(encoding="utf-8")
    for one in (WEB / "vendor").iterdir():
        assert one.name == "README.md" or f"`{one.name}" in told, one
    for licence in re.findall(r"`(LICENSE\.[a-z]+)`", told):
        assert (WEB / "vendor" / licence).stat().st_size > 1000


def test_the_bundle_is_the_one_that_was_recorded() -> None:
    """`.ci/front` makes it again from the lock."""
    (recorded,) = re.findall(r"SHA-256 `([0-9a-f]{64})`", (WEB / "vendor" / "README.md").read_text(encoding="utf-8"))
    assert hashlib.sha256((WEB / "vendor" / "prosemirror.js").read_bytes()).hexdigest() == recorded
    importing = [p.name for p in OURS if "prosemirror.js" in p.read_text(encoding="utf-8")]
    assert importing == sorted(p.name for p in (WEB / "editor" / "rich").glob("*.js") if p.name not in ("read.js",))
    page = (WEB / "index.html").read_text(encoding="utf-8")
    assert "prosemirror" not in page
    others = [p for p in OURS if p.parent.name != "rich"]
    assert not any(re.search(r"^import .*rich/", p.read_text(encoding="utf-8"), re.MULTILINE) for p in others)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.relative_to(WEB).as_posix())
def test_nothing_is_fetched_from_elsewhere_and_nothing_is_made_into_code(path: Path) -> None:
    text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not re.search(r"\beval\(|new Function|document\.write|\binnerHTML\s*=[^=]", text) or path.name in (
        "preact.js",
        "prosemirror.js",
    )
    assert not re.search(r"""(?:src|href|from|import|fetch|url)\s*[=(]?\s*["'(]\s*(?:https?:)?//""", text)


def test_the_page_holds_no_script_of_its_own() -> None:
    page = (WEB / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script[^>]*>([^<]*)</script>", page) == [
        "",
        "",
    ]  # theme, then studio
    assert not re.search(r"<style|\son\w+=|style=", page)


def test_only_what_the_server_made_safe_is_set_as_html() -> None:
    places = [(p.name, line.strip()) for p in OURS for line in p.read_text(encoding="utf-8").splitlines()]
    assert [name for name, line in places if "dangerouslySetInnerHTML" in line] == ["text.js"]


def words(code: str) -> set[str]:
    return set(MESSAGE.findall((WEB / "locales" / f"{code}.ftl").read_text(encoding="utf-8")))


def test_every_language_has_every_word() -> None:
    assert words("en") == words("zh")
    for code in ("en", "zh"):
        text = (WEB / "locales" / f"{code}.ftl").read_text(encoding="utf-8")
        assert len(MESSAGE.findall(text)) == len(words(code)), "a word is there twice"


def test_every_word_that_is_asked_for_is_there_and_used() -> None:
    script = "\n".join(p.read_text(encoding="utf-8") for p in OURS)
    asked = set(re.findall(r"""\bt\("([\w-]+)\"""", script))
    begun = {b for b in re.findall(r"\bt\(`([\w-]+-)\$\{", script) if b}
    known = words("en")
    assert asked - known == set()
    quoted = set(re.findall(r'"([\w-]+)"', script))
    assert {w for w in known - asked - quoted if not w.startswith(tuple(begun))} == set()
    assert [b for b in begun if not any(w.startswith(b) for w in known)] == []


def test_the_policy_of_the_page(home: Path) -> None:
    jobs = Jobs(Settings(home=home))
    with TestClient(create_app(jobs.settings, jobs), base_url="http://localhost:8642") as client:
        page = client.get("/")
        assert page.headers["content-security-policy"] == PAGE_POLICY
        for kind in ("script-src", "style-src", "connect-src"):
            assert f"{kind} 'self';" in PAGE_POLICY
        assert "unsafe" not in PAGE_POLICY
        assert PAGE_POLICY.startswith("default-src 'none'")
        for name in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text):
            answer = client.get(name)
            assert answer.status_code == 200, name
            assert answer.headers["cache-control"] == "no-cache"
            assert "etag" in answer.headers
            assert answer.headers["content-type"].split(";")[0] in ("text/javascript", "text/css", "image/svg+xml")
    jobs.close()
