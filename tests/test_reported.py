"""Real input from public reports about other programs of this trade; each test names its report.

The inputs are the reports' own, or as small as they can be without another cause. Some found limner wrong and were
mended, others found it right and are kept.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from clients import ANSWER, assistant, system, user
from PIL import Image
from PIL.ExifTags import Base

from limner.document import Article, Verbatim, read_markdown
from limner.exports import own_images, write_article
from limner.exports.documents import pandoc
from limner.exports.safe import serialised
from limner.exports.text import text_of
from limner.surfaces.http.openai import chores
from limner.surfaces.http.openai.conversation import meant
from limner.surfaces.http.openai.request import ChatRequest
from limner.tools.documents import document_text
from limner.tools.images.images import displayable, metadata
from limner.tools.images.metadata import Described
from limner.tools.images.xmp import read_xmp
from limner.tools.library.folder import describe, scan


def draft(source: str) -> Article:
    return read_markdown(source).model_copy(update={"made_with": {"draft": True}})


def shown(source: str) -> Element:
    return text_of(draft(source)).root


def page(source: str) -> str:
    return serialised(shown(source))


def picture(**options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (60, 40), (200, 120, 40)).save(out, "JPEG", **options)
    return out.getvalue()


# --- front matter ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["no", "NO", "'no'", '"no"'])
def test_norwegian_is_a_language_and_no_refusal(said: str) -> None:
    """huggingface_hub#797, acceptbitcoincash#1011: YAML reads `no` as false."""
    assert read_markdown(f"---\ntitle: Kranen\nlang: {said}\n---\n\nTekst.\n").language.lower() == "no"


@pytest.mark.parametrize("title", ["001999", "016", "1.10", "12:30", "1_000", "0x1F", "1e3", "on", "Yes"])
def test_a_title_of_digits_stays_as_it_is_written(title: str) -> None:
    """fern#16514, jekyll#4294: YAML reads `001999` as 1999, `016` as 14, `12:30` as 750, `on` as true."""
    assert read_markdown(f"---\ntitle: {title}\n---\n\nText.\n").title == title


@pytest.mark.parametrize(
    ("author", "names"),
    [
        ("\n  - name:\n      given: John\n      family: Smith\n      literal: John Smith", "John Smith"),
        ("\n  - name:\n      given: John\n      family: Smith\n  - name: Ana", "John Smith, Ana"),
        ("\n  - given: Ana\n    family: Sá", "Ana Sá"),
        (" {family: Sá}", "Sá"),
    ],
)
def test_an_author_in_parts_has_a_name(author: str, names: str) -> None:
    """quarto-cli#3483: `true` for an author with a given and a family name."""
    assert read_markdown(f"---\ntitle: test\nauthor:{author}\n---\n\nText.\n").author == names


def test_an_author_that_is_the_key_of_an_affiliation_has_a_name() -> None:
    """lua-filters#282, pandoc#3696: authors as keys are missing in the page."""
    authors = (
        "\n  - Jane Doe:\n      institute:\n        - federation\n      email: jane.doe@example.com\n  - John Q. Doe:\n"
    )
    authors += "      institute: [federation, acme]\n  - Ana\n"
    assert read_markdown(f"---\ntitle: test\nauthor:{authors}---\n\nText.\n").author == "Jane Doe, John Q. Doe, Ana"


# --- images in a draft -----------------------------------------------------------------------------------------------


def sizes(source: str) -> list[tuple[str, str]]:
    return [(image.get("src", ""), image.get("alt", "")) for image in shown(source).iter("img")]


def test_an_embed_with_a_size_is_an_image_in_a_table_and_beside_one() -> None:
    """quartz-syncer#140, obsidian-enveloppe#244: in a table the `|` of `![[image.png|400]]` is written `\\|`."""
    table = "| Image | Note |\n| --- | --- |\n| ![[image.png\\|400]] | [[#Note\\|there]] |"
    source = f"{table}\n\n![[image.png\\|400]]\n\n# Note\n"
    assert sizes(source) == [("image.png", "image")] * 2
    assert '<a href="#note">there</a>' in page(source)
    article = draft(source)
    assert [type(block) for block in article.body[:2]] == [Verbatim, Verbatim]
    assert article.source == source


@pytest.mark.parametrize(
    ("image", "alt"),
    [
        ("![Alt|100x100](image.png)", "Alt"),
        ("![Alt|100](image.png)", "Alt"),
        ("![[image.png|A *crane*|200]]", "A *crane*"),
        ("![|300](image.png)", ""),
        ("![Alt|100][1]\n\n[1]: image.png", "Alt"),
        ("![either|or](image.png)", "either|or"),
        ("![2024](image.png)", "2024"),
    ],
)
def test_a_size_is_no_part_of_an_alternative_text(image: str, alt: str) -> None:
    """retype#694, obsidian-html#520: Obsidian's `![Alt|100x100](image.png)` is read out with its size."""
    assert sizes(f"Text.\n\n{image}\n") == [("image.png", alt)]


@pytest.mark.parametrize(
    "image",
    [
        "![](path/image.png =100x200)",
        "![](path/image.png =100x)",
        "![](path/image.png =50%x)",
        '![](path/image.png "A title" =100x200)',
        "![](path/image.png =x20 )",
    ],
)
def test_an_image_with_a_size_after_its_name_is_an_image(image: str) -> None:
    """BoostNote-Legacy#598, october#747, hackmd-io-issues#394: `![](image.png =100x200)` is shown as text."""
    assert sizes(f"Text.\n\n{image}\n") == [("path/image.png", "")]


@pytest.mark.parametrize("ending", ["#gh-dark-mode-only", "?raw=true", "?v=2#right"])
def test_an_image_with_a_fragment_is_found_beside_the_draft(tmp_path: Path, ending: str) -> None:
    """sveltia-cms#522: an image with `#gh-dark-mode-only` after its name is not found."""
    (tmp_path / "crane 1.png").write_bytes(picture())
    found = own_images(draft(f"![A crane](crane%201.png{ending})\n"), tmp_path)
    assert found == {"crane 1.png": (tmp_path / "crane 1.png").resolve()}


def test_a_file_with_such_a_name_comes_first(tmp_path: Path) -> None:
    """The neighbour of sveltia-cms#522: the sign may belong to the name."""
    (tmp_path / "why?.png").write_bytes(picture())
    (tmp_path / "a#b.png").write_bytes(picture())
    assert {*own_images(draft("![](why?.png) ![](a%23b.png)\n"), tmp_path)} == {"why?.png", "a#b.png"}


# --- marks within a line ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("==Some yellow, highlighted text==", "<mark>Some yellow, highlighted text</mark>"),
        ("A ==bold *word*==.", "A <mark>bold <em>word</em></mark>."),
        ("这是==重点==。", "这是<mark>重点</mark>。"),
        ("`==code==` a == b, c == d", "<code>==code==</code> a == b, c == d"),
        ("a==b and c==d ====", "a==b and c==d ===="),
        ("===no===", "===no==="),
    ],
)
def test_a_highlight_is_one(source: str, html: str) -> None:
    """oboe#10, obsidian-enhancing-export#95: `==` stays around highlighted text."""
    assert f"<p>{html}</p>" in page(source)


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("H~2~O", "H<sub>2</sub>O"),
        ("2^10^ is 1024.", "2<sup>10</sup> is 1024."),
        ("21^st^ century, SO~4~^2-^", "21<sup>st</sup> century, SO<sub>4</sub><sup>2-</sup>"),
        ("~~old~~ `H~2~O`", "<s>old</s> <code>H~2~O</code>"),
        ("(^_^) x^2 + y^2", "(^_^) x^2 + y^2"),
    ],
)
def test_letters_below_and_above_the_line_are_there(source: str, html: str) -> None:
    """Zettlr#309, MultiMarkdown#34: pandoc's `H~2~O` and `2^10^` stay as they are written."""
    assert f"<p>{html}</p>" in page(source)


def test_these_marks_pass_the_checks_of_every_format(tmp_path: Path) -> None:
    """oboe#10, Zettlr#309, pi-web#385: the checks of an export read such a line again."""
    article = draft("# Water\n\nH~2~O has ==two *atoms*== of hydrogen, 10^23^ molecules, 5~7U × 100~200倍.\n")
    made = write_article(article, tmp_path / "water", lambda _: (picture(), ".jpg"), ("html", "docx", "epub", "pdf"))
    assert all(path.is_file() for path in made.files.values())
    with zipfile.ZipFile(made.files["docx"]) as book:
        words = book.read("word/document.xml").decode()
    assert ('w:val="subscript"' in words, 'w:val="superscript"' in words, "<w:highlight" in words) == (True,) * 3


def test_a_note_after_a_note_is_no_letter_above_the_line() -> None:
    """The neighbour of Zettlr#309: `^[` begins a footnote."""
    assert page("a^[one]b^[two]").count('class="footnote-ref"') == 2


@pytest.mark.parametrize(
    "line",
    [
        "5~7U 保证金 × 100~200倍杠杆",
        "最高气温27~28℃，夜间雷阵雨转晴，最低气温14~17℃",
        "Recommended sample: 4~6\nand 1~2 more.",
        "1~2日,3~4日、周一~周五",
        "Between ~1.34 and ~5.4, ~1,~2, see /~ana/~bo",
    ],
)
def test_tildes_between_numbers_stay(line: str) -> None:
    """pi-web#385, markdown_widget#263, vmark#1280, marked#3863: two ranges in a line are struck out or set lower."""
    assert f"<p>{line}</p>" in page(line)


# --- words about pictures --------------------------------------------------------------------------------------------


def commented(kind: int, comment: bytes) -> bytes:
    """A JPEG with an EXIF UserComment of a type: 7 is UNDEFINED, as in the standard, 2 is ASCII."""
    head = b"Exif\0\0MM\0*" + struct.pack(">I", 8)
    pointer = struct.pack(">HHHIII", 1, 0x8769, 4, 1, 26, 0)
    field = struct.pack(">HHHIII", 1, 0x9286, kind, len(comment), 44, 0)
    return picture(exif=head + pointer + field + comment)


@pytest.mark.parametrize("kind", [7, 2])
@pytest.mark.parametrize(
    "comment", [b"ASCII\0\0\0A harbour crane\0", b"UNICODE\0" + "A harbour crane".encode("utf-16-le")]
)
def test_a_comment_is_read_whatever_its_type(kind: int, comment: bytes) -> None:
    """piexifjs#85: a UserComment of type ASCII is cut at its first zero byte."""
    assert metadata(commented(kind, comment)).caption == "A harbour crane"


@pytest.mark.parametrize("kind", [7, 2])
def test_a_camera_s_numbers_are_no_caption(kind: int) -> None:
    """metadata-extractor#105: a camera writes its own numbers into UserComment and declares them ASCII."""
    numbers = "0A0000004A4B4A4B2708BA3C79F80000C7F9000000000000DCDA0100000001002283010000000000"
    assert metadata(commented(kind, b"ASCII\0\0\0" + bytes.fromhex(numbers))) == Described()


@pytest.mark.parametrize(
    ("lost", "kept"),
    [("??????? podezd", False), ("?????", False), ("Where is it??? Nobody knows", True), ("What?", True)],
)
def test_question_marks_in_place_of_letters_are_no_caption(lost: str, kept: bool) -> None:
    """aves#448: a Cyrillic ImageDescription was written as question marks; Windows has the text in its own field."""
    exif = Image.Exif()
    exif[Base.ImageDescription] = lost
    assert metadata(picture(exif=exif)).caption == (lost if kept else "")
    exif[Base.XPComment] = "Подъезд".encode("utf-16-le")
    assert metadata(picture(exif=exif)).caption == (lost if kept else "Подъезд")


PACKET = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
 xmlns:digiKam="http://www.digikam.org/ns/1.0/">{}</rdf:Description></rdf:RDF></x:xmpmeta>"""
PATHS = "<rdf:li>Place|Portugal|Lisbon</rdf:li><rdf:li>Nets</rdf:li>"


def said(body: str) -> dict[str, str]:
    return {key: value for key, value in read_xmp(PACKET.format(body)).items() if value}


@pytest.mark.parametrize("list_", ["Bag", "Seq"])
@pytest.mark.parametrize("field", ["lr:hierarchicalSubject", "digiKam:TagsList"])
def test_keywords_in_a_hierarchy_are_read(field: str, list_: str) -> None:
    """immich#12164, photoprism#1779, darktable#4095: Capture One and digiKam may write keywords as paths only."""
    found = said(f"<{field}><rdf:{list_}>{PATHS}</rdf:{list_}></{field}>")
    assert found == {"keywords": "Place|Portugal|Lisbon\nNets"}


def test_flat_keywords_are_not_lost_beside_a_hierarchy() -> None:
    """immich#28015: IPTC's and dc:subject's keywords are ignored where there is a hierarchy."""
    flat = "<dc:subject><rdf:Bag><rdf:li>Lisbon</rdf:li><rdf:li>2026 Trip</rdf:li></rdf:Bag></dc:subject>"
    both = f"<lr:hierarchicalSubject><rdf:Bag>{PATHS}</rdf:Bag></lr:hierarchicalSubject>{flat}"
    assert said(both) == {"keywords": "Lisbon\n2026 Trip"}


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ('<rdf:li xml:lang="c">A crane</rdf:li>', "A crane"),
        ('<rdf:li xml:lang="x-default"/><rdf:li xml:lang="de">Ein Kran</rdf:li>', "Ein Kran"),
        ('<rdf:li xml:lang="en">A crane</rdf:li><rdf:li xml:lang="x-default">Ein Kran</rdf:li>', "Ein Kran"),
    ],
)
def test_a_description_in_any_language_is_one(items: str, text: str) -> None:
    """Photini#361, pdf.js#21999: a description in the language "c" is not found, or several run into one."""
    assert said(f"<dc:description><rdf:Alt>{items}</rdf:Alt></dc:description>") == {"description": text}


def test_an_empty_description_is_none() -> None:
    """osxphotos#350: elements of XMP without a list in them."""
    assert said("<dc:description></dc:description><dc:title></dc:title><dc:creator/>") == {}


def test_a_sidecar_of_exiftool_is_read(tmp_path: Path) -> None:
    """photoprism#767, photoprism#756, osxphotos#303, immich#12164: a list of one object, with groups and numbers."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    row = {"SourceFile": "a.jpg", "XMP:Description": "A crane", "IPTC:Keywords": ["Harbour", 2023], "XMP:Title": 1912}
    (tmp_path / "a.jpg.json").write_text(json.dumps([{**row, "EXIF:Flash": False, "File:FileSize": "3 MB"}]))
    found = scan(tmp_path.resolve())
    words, own = describe(str(tmp_path.resolve() / "a.jpg"), Described(), found)
    assert (words, own) == (
        Described("A crane", details="1912; Harbour, 2023", facts={"tag": ["Harbour", "2023"]}),
        True,
    )
    assert found.problems == []


def test_a_list_of_several_objects_is_no_sidecar(tmp_path: Path) -> None:
    """The neighbour of photoprism#767: no object is chosen by chance, and the file is named."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "a.json").write_text(json.dumps([{"caption": "A"}, {"caption": "B"}]))
    found = scan(tmp_path.resolve())
    assert describe(str(tmp_path.resolve() / "a.jpg"), Described(), found)[0].caption == "a"
    assert [reason for _, reason in found.problems] == ['not a JSON object such as {"caption": "..."}: correct it']


def test_a_jpeg_that_is_named_heic_is_a_jpeg(tmp_path: Path) -> None:
    """photoprism#4421, darktable#11974, immich-go#1436: Google Photos gives out JPEGs with the suffix .HEIC."""
    exif = Image.Exif()
    exif[Base.ImageDescription] = "A crane"
    data = picture(exif=exif)
    (tmp_path / "IMG_2020.HEIC").write_bytes(data)
    assert [Path(path).name for path in scan(tmp_path.resolve()).files] == ["IMG_2020.HEIC"]
    assert displayable(data) == (data, ".jpg")
    assert metadata(data).caption == "A crane"


# --- files and clients -----------------------------------------------------------------------------------------------


def test_a_word_document_is_read_with_its_changes_accepted() -> None:
    """python-docx#1123, all2md#480: text that tracked changes inserted is missing, or deleted text is there."""
    made = pandoc("markdown", "docx", b"Two QUICK foxes jump.")
    change = 'w:id="1" w:author="Ana" w:date="2026-01-01T00:00:00Z"'
    tracked = (
        f"</w:t></w:r><w:del {change}><w:r><w:delText>slow</w:delText></w:r></w:del><w:ins {change}><w:r>"
        '<w:t>quick</w:t></w:r></w:ins><w:r><w:t xml:space="preserve">'
    )
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(made)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"QUICK", tracked.encode()))
    assert document_text(out.getvalue(), "a.docx") == "Two quick foxes jump."


WISH = (
    "You are an assistant who is good at conversations. Summarize the user's conversation into a title of at most 10 "
    "words, in the user's language. Leave out punctuation and special symbols."
)
TURNS = [{"role": "user", "mainText": "How bees make honey"}, {"role": "assistant", "mainText": ANSWER, "files": ["a"]}]


@pytest.mark.parametrize(
    "talk", [json.dumps(TURNS), f"user: How bees make honey\nassistant: {ANSWER}"], ids=["Cherry Studio", "DeepChat"]
)
def test_a_request_for_the_name_of_a_topic_gets_one(talk: str) -> None:
    """cherry-studio#12596, deepchat#1808: the wish is the system message, the conversation JSON or lines."""
    asked = meant(ChatRequest(model="limner", messages=[system(WISH), user(talk)]).messages)  # type: ignore[arg-type]
    assert asked.chore is not None
    assert asked.chore.kind == "title"
    assert chores.heading(asked.chore.about) == "How Bees Make Honey"


@pytest.mark.parametrize(
    "talk", ["[1, 2]", '[{"name": "bee"}]', '[{"role": "user"', "[{]", "[" * 5_000 + "{", json.dumps(TURNS)]
)
def test_json_is_a_brief_where_no_title_is_wanted(talk: str) -> None:
    """The neighbour of cherry-studio#12596: a list is no conversation, and a conversation alone no wish."""
    wish = "Answer briefly." if "mainText" in talk else WISH
    asked = meant(ChatRequest(model="limner", messages=[system(wish), user(talk)]).messages)  # type: ignore[arg-type]
    assert asked.chore is None


def test_a_title_is_not_made_of_a_model_s_thoughts() -> None:
    """open-webui#9348, open-webui#9067: the answer of a reasoning model comes with its thoughts."""
    thoughts = '<details type="reasoning" done="true" duration="3">\n<summary>Thought</summary>\n> # Plan\n</details>\n'
    history = f"<chat_history>\nUSER: Bees\nASSISTANT: {thoughts}{ANSWER}\n</chat_history>"
    task = f'### Task:\nA title.\n\nJSON format: {{ "title": "your title" }}\n\n### Chat History:\n{history}'
    talk = [user("Bees"), assistant(ANSWER), user(task)]
    asked = meant(ChatRequest(model="limner", messages=talk).messages)  # type: ignore[arg-type]
    assert asked.chore is not None
    assert chores.heading(asked.chore.about) == "How Bees Make Honey"
