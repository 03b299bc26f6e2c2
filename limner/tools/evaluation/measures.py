"""Every measure that `limner evaluate` prints, explained: what it is, where it comes from, what it cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Unit = Literal["", "share", "probability", "deviations", "points"]


class Explained(NamedTuple):
    """A measure."""

    title: str
    what: str
    """One sentence."""
    source: str
    limit: str
    """What it does not say."""
    better: Literal["more", "less", ""] = ""
    """Which way is better; "" where neither is."""
    unit: Unit = ""


_OURS = "limner"
_RULES = "WCAG 2.2, 1.1.1; docs/export.md"
_SENSE = "Whether the words are true or good is not looked at."

POSITIONS: Mapping[str, Explained] = {
    "words": Explained("words", "Words of the running text.", _OURS, "A character of Chinese counts as a word."),
    "paragraphs": Explained("paragraphs", "Blocks of running text.", _OURS, "A list is one paragraph."),
    "figures": Explained(
        "figures", "Images that limner placed.", _OURS, "Images that a draft's own text shows are not counted."
    ),
    "per_1000_words": Explained(
        "figures per 1000 words", "Figures divided by words.", _OURS, "Authors differ: a textbook has about 3."
    ),
    "distance": Explained(
        "paragraphs between figures", "Mean distance of neighbouring figures, in paragraphs.", _OURS,
        "A textbook's authors have 4.2 (bench/evaluate.md).",
    ),
    "clumps": Explained(
        "clumps", "Share of figures at most one paragraph after the figure before.", _OURS,
        "Not bad by itself: a textbook's authors have 0.16 (bench/evaluate.md).", "", "share",
    ),
    "longest_without": Explained(
        "longest run without a figure", "Most paragraphs in a row without a figure.", _OURS, "Some text needs none."
    ),
    "opening": Explained(
        "before the text begins", "Share of figures before the first 25 words of the text.", _OURS,
        "A picture at the top can be meant.", "", "share",
    ),
    "own_text": Explained(
        "after their own text", "Share of figures right after the paragraph that shares most words with caption and "
        "alternative text.", "limner; terms weighted as in BM25 (Robertson and Zaragoza 2009)",
        "Words, not sense: a textbook's authors reach 0.55. A caption taken from its paragraph always hits.", "more",
        "share",
    ),
    "before_text": Explained(
        "before their own text", "Share of figures before the paragraph that shares most words with them.", _OURS,
        "As above.", "less", "share",
    ),
    "text_distance": Explained(
        "distance to their own text", "Mean number of paragraphs between a figure and that paragraph.", _OURS,
        "As above.", "less",
    ),
}  # fmt: skip
PICTURES: Mapping[str, Explained] = {
    "opens": Explained(
        "files that open", "Share of figures whose file is there and decodes whole.", _OURS, "", "more", "share"
    ),
    "dpi": Explained(
        "resolution, dpi", "Median dots per inch if figures are printed as large as limner's PDF allows: 16 x 11.5 cm.",
        "exports/typeset.py", "limner prints figures under 150 dpi smaller instead.", "more",
    ),
    "low_dpi": Explained(
        "under 150 dpi", "Share of figures with fewer dots per inch than that.", "exports/typeset.py",
        "A drawing needs more than a photograph.", "less", "share",
    ),
    "sharpness": Explained(
        "sharpness", "Median variance of the Laplacian of the grey image at 512 px.",
        "Pech-Pacheco et al. 2000, ICPR", "Grows with texture and noise: a clear sky is not blurred.", "",
    ),
    "blurred": Explained(
        "perhaps blurred", "Share of figures with a sharpness under 100.",
        "limner; the threshold was not fitted to anything",
        "Plain drawings and skies are among them; look yourself.", "less", "share",
    ),
    "near_copies": Explained(
        "near-copies", "Pairs of figures that look the same in 16 x 16 fields of colour.", "tools/images/looks.py",
        "Finds scaled and re-encoded copies, not two photographs of one thing.", "less",
    ),
}  # fmt: skip
WORDING: Mapping[str, Explained] = {
    "no_caption": Explained("without caption", "Share of figures.", _OURS, _SENSE, "less", "share"),
    "no_alt": Explained("without alternative text", "Share of figures.", _RULES, _SENSE, "less", "share"),
    "alt_is_caption": Explained(
        "caption as alternative text", "Share of alternative texts that repeat the caption: it is then read out twice.",
        _RULES, _SENSE, "less", "share",
    ),
    "alt_is_name": Explained(
        "file name as alternative text", "Share of alternative texts that are a file's name.", _RULES, _SENSE, "less",
        "share",
    ),
    "no_credit": Explained(
        "without credit", "Share of figures.", _OURS, "Not every picture needs one.", "less", "share"
    ),
    "no_licence": Explained(
        "without licence", "Share of figures.", _OURS, "Whether the licence allows the use is not checked.", "less",
        "share",
    ),
    "machine_made": Explained(
        "words by a model", "Share of figures with words that a model wrote and nobody has changed.", _OURS, "", "",
        "share",
    ),
    "links": Explained("links", "Addresses in the text.", _OURS, "Links in HTML are not counted."),
    "bad_links": Explained(
        "malformed links", "Share of links that are no address of the web, a mailbox or a heading.", "RFC 3986",
        "Nothing is fetched: a well-formed address may be dead.", "less", "share",
    ),
}  # fmt: skip
PROSE: Mapping[str, Explained] = {
    "one_language": Explained(
        "in one language", "Share of the letters that stand in paragraphs in the commonest language.",
        "py3langid (tools/language.py)", "Paragraphs under 60 letters are left out; quotations count.", "more", "share",
    ),
    "language_named": Explained(
        "language named rightly", "1 if the article says the language that its text is found to be in.",
        "py3langid (tools/language.py)", "Close languages are confused at times.", "more", "share",
    ),
    "repeated_runs": Explained(
        "repeated 4-word runs", "Share of runs of four words that stood in the text before.",
        "as seq-rep-4, Welleck et al. 2020, arXiv 1908.04319", "Terms and names repeat in good texts, too.", "less",
        "share",
    ),
    "repeated_sentences": Explained(
        "repeated sentences", "Share of sentences that stood in the text before.", _OURS, "", "less", "share"
    ),
    "lix": Explained(
        "LIX", "Words per sentence plus the percentage of words of more than six letters: under 30 very easy, 40 to 50 "
        "usual, over 60 very difficult.", "Björnsson 1968; eleven languages of newspapers: Björnsson 1983",
        "Holds for da, de, en, es, fi, fr, it, no, pt, ru, sv; others have no value.", "",
    ),
}  # fmt: skip
RECORD: Mapping[str, Explained] = {
    "probability": Explained(
        "probability by the record", "Mean probability that a textbook's author would have used the placed image in "
        "this article, from the scores in its record.", "tools/fit.py; bench/fit.md",
        "limner's own measure, by which it chose: use it to compare articles, not limner with others.", "more",
        "probability",
    ),
    "asked_twice_differs": Explained(
        "another answer in another order", "Share of the choices that a model was asked twice, in two orders, with two "
        "answers.", "limner; on order: Zheng et al. 2023, arXiv 2306.05685",
        "Asked twice only where the model said that it was not sure.", "less", "share",
    ),
    "person_kept": Explained(
        "kept by a person", "Share of a person's choices that kept limner's image.", _OURS,
        "Only places at which a person chose; `limner stats agreement` counts jobs.", "more", "share",
    ),
}  # fmt: skip
_ABOVE = "tools/chance.py, bench/fit.md; the aspect: InternLM-XComposer, arXiv 2309.15112, appendix C.2"
ENCODERS: Mapping[str, Explained] = {
    "captions_fit": Explained(
        "captions fit their text", "How far caption and alternative text of a figure lie above chance with the heading "
        "and paragraph before it, in standard deviations.", _ABOVE,
        "MiniLM reads English; a caption taken from the paragraph fits it best.", "more", "deviations",
    ),
    "pictures_fit": Explained(
        "pictures fit their text", "The same for what the pictures show: image-text consistency.", _ABOVE,
        "Such encoders read some 64 tokens, and numbers, names and negations badly.", "more", "deviations",
    ),
    "captions_true": Explained(
        "pictures fit their caption", "How far a picture lies above chance with its own caption.",
        "CLIPScore, Hessel et al. 2021, arXiv 2104.08718, above chance", "As above; a name cannot be seen.", "more",
        "deviations",
    ),
    "pictures_agree": Explained(
        "pictures agree", "How far the pictures of the article resemble each other above two pictures of the "
        "background: image consistency.", _ABOVE, "Near-copies agree best of all.", "", "deviations",
    ),
    "coverage": Explained(
        "text covered", "Share of paragraphs for which the caption of some figure lies four deviations above chance.",
        "limner, which places by a caption alone from there on", "Not every paragraph needs a figure.", "", "share",
    ),
    "new_words": Explained(
        "words of their own", "Share of the words of captions and alternative texts that the text does not have: a "
        "trace of informativeness.", "limner; the aspect as above", "Off-topic figures have many, too.", "", "share",
    ),
}  # fmt: skip
GROUPS: Mapping[str, Mapping[str, Explained]] = {
    "Positions": POSITIONS,
    "Pictures": PICTURES,
    "Words beside them": WORDING,
    "Text": PROSE,
    "Record": RECORD,
    "Encoders": ENCODERS,
}
MEASURES: Mapping[str, Explained] = {name: one for group in GROUPS.values() for name, one in group.items()}
