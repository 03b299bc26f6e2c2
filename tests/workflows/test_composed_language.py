"""A composed article has its brief's language, else the one that its text is in."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted import ScriptedChatModel

from limner.workflows.context import build_context
from limner.workflows.inputs import make_brief
from limner.workflows.roles import models_for

GERMAN = (
    "# Am Hafen\n\nDer Wind kommt heute von Westen, und die Boote liegen fest vertäut am Ufer. Der alte Kran hebt die "
    "Netze aus den Booten, wie er es seit mehr als hundert Jahren tut.\n\nIm Herbst werden die Netze geflickt.\n"
)


@pytest.mark.parametrize(
    ("given", "text", "language"),
    [
        (None, GERMAN, "de"),
        ("de-AT", GERMAN, "de-AT"),
        ("zh-Hant-TW", "# 海港\n\n今天風從西邊來，船都繫在岸邊。\n", "zh-Hant-TW"),
        ("ar", "# الساحل\n\nترفع الرافعة الشباك من القوارب كل صباح.\n", "ar"),
        (None, "# A\n\nOk.\n", "en"),
    ],
)
def test_the_language_of_a_composed_article(given: str | None, text: str, language: str, bees: Path) -> None:
    model = ScriptedChatModel(lines=[text])
    context = build_context(library="bees", models=models_for(model, None))
    article = context.write(make_brief("The harbour", language=given), lambda _: None)
    assert article.language == language
