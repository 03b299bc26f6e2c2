"""The dialect of small models: plans read from briefs, and sentences that an article can or cannot use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from limner.agents.dialects import sentences, small
from limner.document import Brief, Source
from limner.errors import BadInput, UnreadableReply


def headings(text: str, kind: str = "") -> list[str]:
    return [s.heading for s in small.plan(Brief(text=text), kind).sections]


KNOWN = frozenset(sentences.words("How bees make honey"))
BEFORE = ["Bees collect nectar from flowers and carry it home."]


# --- plans ------------------------------------------------------------------------------------------------------------


def test_a_title_is_the_title_and_its_kind_gives_the_sections() -> None:
    plan = small.plan(Brief(text="How bees make honey"), "process")
    assert (plan.title, plan.topic) == ("How bees make honey", "how bees make honey")
    assert [s.heading for s in plan.sections][:3] == ["", "Where it begins", "Step by step"]
    assert plan.notes == ()


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("How bees make honey", "process"),
        ("How to bake bread", "howto"),
        ("A weekend in Lisbon", "place"),
        ("The history of tea", "history"),
        ("Marie Curie", ""),
    ],
)
def test_the_kind_that_a_title_asks_for(title: str, kind: str) -> None:
    assert small.kind_by_words(title) == kind


@pytest.mark.parametrize(
    "text",
    [
        "Tea\n- Wild leaves\n- Ships and taxes",
        "# Tea\n\n## Wild leaves\n\n## Ships and taxes",
        "Tea:\n1. Wild leaves\n2) Ships and taxes",
        "Tea\n\n* Wild leaves.\n  * Ships and taxes",
    ],
)
def test_an_outline_is_followed(text: str) -> None:
    plan = small.plan(Brief(text=text))
    assert plan.title == "Tea"
    assert [s.heading for s in plan.sections] == ["", "Wild leaves", "Ships and taxes"]


def test_an_outline_without_a_title_still_has_all_its_sections() -> None:
    assert headings("- Wild leaves\n- Ships and taxes") == ["", "Wild leaves", "Ships and taxes"]


def test_every_keyword_has_its_section() -> None:
    plan = small.plan(Brief(text="Keywords: lighthouse, storm, keeper"))
    assert plan.title == "Lighthouse, storm and keeper"
    assert [s.heading for s in plan.sections] == ["", "Lighthouse", "Storm", "Keeper"]
    many = small.plan(Brief(text=", ".join(f"word{n}" for n in range(11))))
    assert len(many.sections) == 1 + small.MAX_SECTIONS
    assert [w for s in many.sections for w in s.must] == [f"word{n}" for n in range(11)]


def test_no_heading_repeats_the_title_or_another() -> None:
    assert headings("Tea\n- Tea\n- Leaves\n- leaves!\n- Cups") == ["", "Leaves", "Cups"]
    for kind in small.KINDS:
        assert len(set(headings("Why it matters", kind))) == len(headings("Why it matters", kind))
        assert "Why it matters" not in headings("Why it matters", kind)


def test_free_text_and_sources_become_notes() -> None:
    text = "The mill was built in 1742 by Ann Hale. It ground rye for six villages. Volunteers run it today."
    plan = small.plan(Brief(text=text, sources=(Source(name="diary", text="The ducks came back. So did Mr. Hale."),)))
    assert plan.notes == (
        "The mill was built in 1742 by Ann Hale.",
        "It ground rye for six villages.",
        "Volunteers run it today.",
        "The ducks came back.",
        "So did Mr. Hale.",
    )
    assert small.own_title(Brief(text=text)) == ""
    assert {"1742", "hale", "six"} <= plan.known


def test_what_a_prompt_holds_of_the_notes_is_bounded() -> None:
    plan = small.plan(Brief(text="Mills", sources=(Source(name="s", text="The mill turns. " * 5000),)))
    assert len(plan.notes) + plan.left_out == 5000
    (question,) = small.ask_paragraph(plan, plan.sections[0], plan.notes)
    assert len(question.text) < small.NOTES_CHARS + 300


@given((st.text() | st.text("ab <>*#-1.\n,;![]()`&|_")).filter(lambda text: any(c.isalnum() for c in text)))
def test_any_brief_has_a_plan(text: str) -> None:
    plan = small.plan(Brief(text=text))
    assert plan.title
    assert plan.sections[0].heading == ""
    assert "\n" not in "".join([plan.title, *(s.heading for s in plan.sections)])


# --- languages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["How bees make honey", "Paella", "The red fox", "Łódź and the mill", "1 + 1"])
def test_english_passes(text: str) -> None:
    small.require_english(Brief(text=text))
    small.require_english(Brief(text=text, language="en-GB"))


@pytest.mark.parametrize(
    "brief",
    [
        Brief(text="How bees make honey", language="de"),
        Brief(text="How bees make honey", language="zh-CN"),
        Brief(text="Wie Bienen Honig machen"),
        Brief(text="Comment les abeilles font le miel"),
        Brief(text="Cómo hacen miel las abejas"),
        Brief(text="蜜蜂如何酿蜜"),
        Brief(text="Как пчёлы делают мёд"),
    ],
)
def test_other_languages_are_refused_with_a_way_out(brief: Brief) -> None:
    with pytest.raises(BadInput, match=r"only English.*LIMNER_MODEL_URL or --model-url") as error:
        small.require_english(brief)
    assert "\n" not in str(error.value)


def test_an_empty_brief_is_refused() -> None:
    with pytest.raises(BadInput, match="empty"):
        small.require_english(Brief(text=" \n-\n"))


# --- asking -----------------------------------------------------------------------------------------------------------


def test_the_next_sentence_continues_the_accepted_ones() -> None:
    plan = small.plan(Brief(text="How bees make honey"), "process")
    section = plan.sections[1]
    first = small.ask_sentence(plan, section, (), "")
    assert [type(m) for m in first] == [HumanMessage]
    assert "how bees make honey: where it begins" in first[0].text
    later = small.ask_sentence(plan, section, (), BEFORE[0], "Over time,")
    assert later[0] == first[0]  # the prefix that the server has cached
    assert isinstance(later[1], AIMessage)
    assert later[1].text == f"{BEFORE[0]} Over time,"


def test_sentences_are_cut_at_their_ends() -> None:
    text = 'Dr. Hale came at noon. "It turns!" she said. The wheel, e.g. its rim, was wet and'
    assert sentences.sentences(text)[0] == "Dr. Hale came at noon."
    assert not any(s.endswith("wet and") for s in sentences.sentences(text))


def test_a_good_sentence_is_read() -> None:
    plan = small.plan(Brief(text="How bees make honey"))
    good = "Inside the hive the younger workers dry the nectar with their wings."
    assert small.read_sentence(f" {good} And more", plan, BEFORE) == good
    assert small.read_sentence(" the honey ripens slowly in the comb.", plan, BEFORE, "Over time,").startswith(
        "Over ti"
    )


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("Bees are busy.", "too short"),
        ("Bees " + "and flowers " * 30 + "live together.", "too long"),
        ("Sure, the bees make honey in their hive all summer.", "speaks of itself"),
        ("In conclusion, the bees make honey in their hive.", "speaks of itself"),
        ("In this article the bees make honey in their hive.", "speaks of itself"),
        ("As an AI the writer knows nothing of the hive.", "speaks of itself"),
        ("The bees of Warsaw make honey in their wooden hives.", "names 'Warsaw'"),
        ("Aristotle watched the bees make honey in their hives.", "names 'Aristotle'"),
        ("A hive holds about 40 combs of honey in summer.", "counts"),
        ("A hive holds several thousand bees in a good summer.", "counts"),
        ("The scientist was born near a hive in the hills.", "claims"),
        ("Inside the hive they add an enzyme called propolis to it.", "the term 'propolis to'"),
        ("She was the first woman to make honey with bees.", "claims a first"),
        ("The bees make takaaa honey in their wooden hives.", "none"),
        ("The honey of the bees is honey and only honey.", "repeats itself"),
        ("Bees collect pollen in the early hours of the day.", "begins like"),
        ("Some collect nectar from flowers and carry it to others.", "repeats an earlier"),
    ],
)
def test_what_an_article_cannot_use(sentence: str, reason: str) -> None:
    assert reason in sentences.flaw(sentence, KNOWN, BEFORE)
    with pytest.raises(UnreadableReply, match=r"^The sentence .* Write another one\.$"):
        small.read_sentence(sentence, small.plan(Brief(text="How bees make honey")), BEFORE)


def test_what_the_user_named_and_counted_may_be_said() -> None:
    brief = Brief(
        text="The mill", sources=(Source(name="s", text="Ann Hale built the mill in 1742 for six villages."),)
    )
    plan = small.plan(brief)
    fact = "The mill was built by Ann Hale in 1742 for six villages."
    assert sentences.flaw(fact, plan.known) == ""
    assert sentences.flaw(fact.replace("1742", "1743"), plan.known)
    assert sentences.flaw(fact.replace("Ann", "Tom"), plan.known)


def test_the_users_own_terms_may_be_called_what_they_are() -> None:
    assert sentences.flaw("At last they close the cells over a thick juice called honey.", KNOWN) == ""


def test_places_are_known_to_history_but_not_to_lives() -> None:
    sentence = "The long road led from China across the desert to Rome."
    assert sentences.flaw(sentence, small.plan(Brief(text="The silk road"), "history").known) == ""
    assert sentences.flaw(sentence, small.plan(Brief(text="Marie Curie"), "person").known)


def test_a_pet_phrase_is_welcome_once() -> None:
    before = ["The hive is a testament to patience and to hard work."]
    assert "testament" in sentences.flaw("Each comb is one more testament to the skill of bees.", KNOWN, before)


def test_a_paragraph_keeps_its_usable_sentences() -> None:
    plan = small.plan(Brief(text="How bees make honey"))
    reply = (
        "Here is a paragraph about bees and their honey. Inside the hive the workers dry the nectar with their wings. "
        "In 1923 they stopped doing so for a whole year. When it is thick enough they close the comb with wax. It is"
    )
    assert small.read_paragraph(reply, plan, BEFORE) == [
        "Inside the hive the workers dry the nectar with their wings.",
        "When it is thick enough they close the comb with wax.",
    ]
    with pytest.raises(UnreadableReply):
        small.read_paragraph("Sure!", plan, BEFORE)


# --- titles -----------------------------------------------------------------------------------------------------------


def test_a_title_is_made_of_the_texts_own_words() -> None:
    plan = small.plan(
        Brief(text="The mill at the bridge was built long ago. It ground rye for the villages around it.")
    )
    assert small.read_title('"The Mill at the Bridge."\nIt is', plan) == "The Mill at the Bridge"
    with pytest.raises(UnreadableReply, match="castle"):
        small.read_title("The Castle at the Bridge", plan)
    with pytest.raises(UnreadableReply, match="title"):
        small.read_title("", plan)
