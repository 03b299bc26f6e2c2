"""Words beside images as other programs write them: XMP, Google Takeout, tables, encodings; what is skipped."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from limner.tools.images.metadata import Described
from limner.tools.library.folder import describe, scan
from limner.tools.library.scanned import Scan

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:City="Lisboa" photoshop:DateCreated="1912-05-03T10:00">
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">A harbour crane</rdf:li></rdf:Alt></dc:description>
<dc:creator><rdf:Seq><rdf:li>Ana</rdf:li></rdf:Seq></dc:creator>
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">CC0</rdf:li></rdf:Alt></dc:rights>
<dc:subject><rdf:Bag><rdf:li>nets</rdf:li><rdf:li>boats</rdf:li></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def image(folder: Path, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def said(path: Path, found: Scan) -> Described:
    return describe(str(path), Described(), found)[0]


@pytest.mark.parametrize("name", ["a.xmp", "a.jpg.xmp", "A.XMP"])
def test_xmp_sidecars_of_both_spellings_are_read(folder: Path, name: str) -> None:
    path = image(folder, "a.jpg")
    (folder / name).write_text(XMP)
    expected = Described("A harbour crane", "", "Ana", "CC0", "nets, boats; Lisboa; 1912-05-03")
    expected.facts.update(tag=["nets", "boats"], city=["Lisboa"], date=["1912-05-03"])
    assert said(path, scan(folder)) == expected


LONG = "a photograph of the harbour crane in the evening.jpg"


@pytest.mark.parametrize(
    ("name", "sidecar"),
    [
        ("x.jpg", "x.jpg.supplemental-metadata.json"),
        ("x.jpg", "x.jpg.supplemental-meta.json"),
        ("x.jpg", "x.jpg.json"),
        ("x(1).jpg", "x.jpg.supplemental-metadata(1).json"),
        ("x(1).jpg", "x.jpg(1).json"),
        (LONG, f"{LONG[:46]}.json"),
        ("a crane in the harbour of a town.jpg", "a crane in the harbour of a town.jpg.supplemen.json"),
        ("x-edited.jpg", "x.jpg.supplemental-metadata.json"),
    ],
)
def test_google_takeouts_sidecars_are_found(folder: Path, name: str, sidecar: str) -> None:
    path = image(folder, name)
    taken = {"title": "x.jpg", "description": "A crane", "people": [{"name": "Ana"}]}
    (folder / sidecar).write_text(json.dumps(taken | {"photoTakenTime": {"timestamp": "1700000000"}}))
    assert said(path, scan(folder)) == Described(
        "A crane", details="Ana; 2023-11-14", facts={"person": ["Ana"], "date": ["2023-11-14"]}
    )


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8", "utf-8-sig", "utf-16-le"])
def test_captions_in_other_encodings_are_read(folder: Path, encoding: str) -> None:
    path = image(folder, "a.jpg")
    (folder / "a.txt").write_bytes("Die Müllerin am Bach".encode(encoding))
    assert said(path, scan(folder)).caption == "Die Müllerin am Bach"


def test_a_caption_in_no_plain_encoding_is_reported_and_not_stored(folder: Path) -> None:
    path = image(folder, "a.jpg")
    (folder / "a.txt").write_bytes("Müller".encode("cp437"))
    found = scan(folder)
    assert said(path, found).caption == "a"
    assert [reason for _, reason in found.problems] == ["in an uncertain encoding: save it as UTF-8"]


@pytest.mark.parametrize(
    "table",
    [
        "file_name;text\na.jpg;A crane, lifting",
        "file_name\ttext\r\na.jpg\tA crane, lifting\r\n",
        "sep=;\r\nfile_name;text\r\na.jpg;A crane, lifting",
        "\ufefffile_name;text\na.jpg;A crane, lifting",
        'SourceFile,XMP-dc:Description\n./a.jpg,"A crane, lifting"',
        'Filename,Caption-Abstract\na.jpg,"A crane, lifting"',
        'File Name,Image Description\na.jpg,"A crane, lifting"',
        'file_name,text\nA.JPG,"A crane, lifting"',
        'file_name,text\n.\\a.jpg,"A crane, lifting"',
    ],
)
def test_tables_of_other_programs_are_read(folder: Path, table: str) -> None:
    path = image(folder, "a.jpg")
    (folder / "metadata.csv").write_bytes(table.encode())
    found = scan(folder)
    assert said(path, found).caption == "A crane, lifting"
    assert found.problems == []


@pytest.mark.parametrize(("form", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_composed_and_decomposed_names_are_the_same(folder: Path, form: str, other: str) -> None:
    path = image(folder, unicodedata.normalize(form, "Müller.jpg"))  # type: ignore[arg-type]
    name = unicodedata.normalize(other, "müller.jpg")  # type: ignore[arg-type]
    (folder / "metadata.csv").write_text(f"file_name,text\n{name},A miller", encoding="utf-8")
    assert said(path, scan(folder)).caption == "A miller"


def test_rows_that_match_nothing_are_one_line(folder: Path) -> None:
    image(folder, "a.jpg")
    (folder / "metadata.csv").write_text("file_name,text\nb.jpg,B\nc.jpg,C\na.jpg,A\n")
    assert [reason for _, reason in scan(folder).problems] == [
        "2 rows match no image, the first 'b.jpg': correct the file names, or add the images"
    ]


@pytest.mark.parametrize("name", ["@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "Cache"])
def test_system_folders_are_skipped_with_a_line(folder: Path, name: str) -> None:
    kept = image(folder, "a.jpg")
    image(folder, f"{name}/b.jpg")
    found = scan(folder)
    assert list(found.files) == [str(kept)]
    assert [Path(path).name for path, _ in found.skipped] == [name]


def test_scaled_copies_are_folded_into_their_original(folder: Path) -> None:
    kept = [image(folder, "Crane.jpg"), image(folder, "tower-768x480.jpg")]
    for name in ("crane-768x480.jpg", "crane-150x150.webp", "crane-scaled.jpg"):
        image(folder, name)
    found = scan(folder)
    assert sorted(found.files) == sorted(map(str, kept))
    [(_, reason)] = found.skipped
    assert reason.startswith("3 scaled copies of images beside them, the first 'crane-150x150.webp'")
