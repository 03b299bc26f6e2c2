"""The language of short, long and mixed texts."""

from __future__ import annotations

import pytest

from limner.tools.language import language_of
from limner.workflows.inputs import draft_state

KNOWN = {
    "ar": "# الساحل\n\nترفع الرافعة الشباك من القوارب كل صباح.\n",
    "de": "# Der Hafen\n\nDer Kran hebt jeden Morgen die Netze aus den Booten.\n",
    "fr": "# Le port\n\nChaque matin, la grue soulève les filets des bateaux.\n",
    "he": "# הנמל\n\nהמנוף מרים את הרשתות מהסירות בכל בוקר.\n",
    "ja": "# 港\n\nクレーンは毎朝、船から網を持ち上げます。\n",
    "ko": "# 항구\n\n기중기는 매일 아침 배에서 그물을 들어 올립니다.\n",
    "th": "# ท่าเรือ\n\nปั้นจั่นยกอวนจากเรือทุกเช้า\n",
    "hi": "# बंदरगाह\n\nक्रेन हर सुबह नावों से जाल उठाती है।\n",
    "zh": "# 港口\n\n起重机每天早上从船上吊起渔网。\n",
    "en": "# The harbour\n\nThe crane lifts the nets from the boats every morning.\n",
}


@pytest.mark.parametrize("code", KNOWN)
def test_a_draft_is_in_the_language_that_it_is_found_to_be_in(code: str) -> None:
    article = draft_state(KNOWN[code])["article"]
    assert article.language == code
    assert article.made_with["language"]["confidence"] > 0.5
    assert article.notes == ()


@pytest.mark.parametrize(
    "text", ["12345 + 7\n", "foo bar baz\n", "Bees\n", "Hello world. Bonjour le monde. Hallo Welt.\n", "para\n"]
)
def test_what_is_too_short_or_mixed_is_unknown_and_said_to_be(text: str) -> None:
    article = draft_state(text)["article"]
    assert article.language == "und"
    assert "--language" in article.notes[0]


def test_a_long_text_of_two_languages_is_unknown() -> None:
    half = ["The crane lifts the nets from the boats every morning, and the men sing. " * 12]
    other = ["Der Kran hebt jeden Morgen die Netze aus den Booten, und die Männer singen. " * 12]
    assert language_of(half).code == "en"
    assert language_of(half + other).code == "und"
    assert language_of(half * 6 + other).code == "en"


def test_what_is_said_wins_over_what_is_found() -> None:
    source = f"---\nlang: pt-BR\n---\n\n{KNOWN['de']}"
    assert draft_state(source)["article"].language == "pt-BR"
    assert draft_state(source, language="nl")["article"].language == "nl"
    assert draft_state(KNOWN["de"], language="gsw")["article"].language == "gsw"
