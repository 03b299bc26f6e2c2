"""The rule table: the lines that belong together in each dialect of Markdown, by name.

A draft does not name its dialect, and many mix two. So every rule applies to every draft: a rule of a foreign dialect
costs at worst a place for an image, while a missing rule splits a block.

- `PAIRS`: an opening and a closing mark; all lines from one to the other are one block.
- `LINES`: lines that are no running text; a paragraph of only such lines is treated like code.
- `FAMILIES`: blocks that some dialect joins across a blank line when two of them follow each other.
- `BELONGS`: a block whose first line begins like this belongs to the one before it.

markdown-it and its plugins handle CommonMark itself, tables, footnotes, definition lists and formulas between `$$`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# --- pairs -----------------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """A kind of block with an opening and a closing mark."""

    name: str
    dialects: str
    mark: str
    """Expression for either mark, anywhere in a line. Groups: `end` matches in a closing mark, `name` is the name that
    both marks share. The groups' names end in this rule's name."""
    prose: bool = True
    """Whether the text between the marks is running text."""
    opaque: bool = False
    """Whether text between the marks is never a mark, so that the first closing mark counts."""
    toggles: bool = False
    """Whether an opening mark closes an open pair of its kind."""


PAIRS = (
    Pair("comment", "HTML", r"<!--|(?P<end_comment>-->)", prose=False, opaque=True),
    Pair("mdx_comment", "MDX", r"\{/\*|(?P<end_mdx_comment>\*/\})", prose=False, opaque=True),
    Pair("jinja_comment", "Jinja, MkDocs macros", r"\{\#[ \t\r\n-]|(?P<end_jinja_comment>[ \t\r\n-]\#\})", False, True),
    Pair("liquid", "Liquid, Jekyll, Jinja, GitBook", r"\{%[-+]?\s*(?P<end_liquid>end)?(?P<name_liquid>\w+)"),
    Pair("shortcode", "Hugo, Quarto", r"\{\{[<%]\s*(?P<end_shortcode>/)?\s*(?P<name_shortcode>\w[\w./-]*)"),
    Pair("extension", "kramdown", r"\{::(?P<name_extension>\w+)(?![^{}\r\n]*/\})|(?P<end_extension>\{:/(?:\w+)?\})"),
    Pair("tex", "TeX in pandoc, MyST, kramdown", r"\\(?:begin|(?P<end_tex>end))\{(?P<name_tex>[A-Za-z]+\*?)\}", False),
    Pair("bracket_math", "MathJax, pandoc", r"^[ \t]*\\{1,2}\[|(?P<end_bracket_math>\\{1,2}\][ \t]*$)", False, True),
    Pair("obsidian_comment", "Obsidian", r"^%%(?![^\n]*%%)|(?P<end_obsidian_comment>%%[ \t]*$)", False, True, True),
    Pair(
        "math",
        "pandoc, MyST, kramdown, GFM",
        r"^[ \t]*\$\$(?![^\n]*\$\$)|(?P<end_math>\$\$(?![^\n$]*\$))",
        False,
        True,
        True,
    ),
    Pair("insertion", "CriticMarkup", r"\{\+\+|(?P<end_insertion>\+\+\})"),
    Pair("deletion", "CriticMarkup", r"\{--|(?P<end_deletion>--\})"),
    Pair("highlight", "CriticMarkup", r"\{==|(?P<end_highlight>==\})"),
    Pair("remark", "CriticMarkup", r"\{>>|(?P<end_remark><<\})"),
    Pair("snippet", "PyMdown", r"^[ \t]*-+8<-+[ \t]*$", prose=False, opaque=True, toggles=True),
    Pair("bbcode", "WordPress, Discourse", r"\[(?P<end_bbcode>/)?(?P<name_bbcode>[A-Za-z][\w-]*)(?=[\s=\]])"),
    Pair("tag", "HTML, MDX", r"<(?P<end_tag>/)?(?P<name_tag>[A-Za-z][\w.-]*)?(?=[\s/>]|$)"),
)
"""Marks in code spans and fenced code do not count, except Liquid's and Hugo's, which are processed before Markdown."""

TEMPLATES = {"liquid", "shortcode"}
CODE_NAMES = {
    "highlight", "raw", "comment", "codeblock", "code", "verbatim", "mermaid", "math", "katex", "plantuml", "chart",
    "capture", "nomarkdown", "style", "script", "pre", "svg", "textarea", "table", "head",
}  # fmt: skip
"""Liquid tags, shortcodes, extensions and elements whose content is no running text."""
LITERAL_NAMES = {"raw", "comment", "highlight", "verbatim", "codeblock", "nomarkdown", "script", "style"}
"""Those whose content contains no marks."""
VOID_NAMES = {
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
}  # fmt: skip

FENCE = re.compile(r"[ \t]*(?P<mark>:{3,}|/{3,})[ \t]*(?P<rest>.*)")
"""A fence that can be nested and contains Markdown: pandoc's and Quarto's divs, Docusaurus's, VuePress's and
MyST's directives (`:::`), PyMdown's blocks (`///`). One with nothing after it closes."""

# --- lines that are no running text ----------------------------------------------------------------------------------

LINES: dict[str, str] = {
    "liquid": r"\{%.*%\}|\{\{.*\}\}",  # Liquid, Jinja, Hugo: tags and values alone on a line
    "fence": r"(?::{3,}|/{3,}).*",  # pandoc, Docusaurus, VuePress, MyST, PyMdown
    "admonition": r"(?:!!!|\?\?\?\+?|===[+!]?)[ \t]+.*",  # Python-Markdown, PyMdown
    "attributes": r"\{[:#.].*\}",  # kramdown, pandoc, MyST, attr_list
    "target": r"\([^()\s]+\)=",  # MyST
    "comment": r"%(?:[ \t].*)?",  # MyST
    "break": r"\+\+\+.*",  # MyST
    "contents": r"\[\[?_?TOC_?\]?\]|\{:toc\}|\$\{?toc\}?",  # Python-Markdown, GitLab, kramdown
    "abbreviation": r"\*\[[^\]\r\n]+\]:.*",  # PHP Markdown Extra, Python-Markdown, kramdown
    "end of block": r"\^",  # kramdown
    "block id": r"\^[A-Za-z0-9-]+",  # Obsidian
    "embed": r"(?:!\[\[[^\]\r\n]+\]\][ \t]*)+",  # Obsidian
    "page break": r"\\(?:newpage|pagebreak|clearpage|cleardoublepage)(?:\{\}|\[\d\])?",  # pandoc
    "snippet": r"-+8<-+.*",  # PyMdown
    "tag": r"(?:</?[A-Za-z][^<>]*>|<!--(?:(?!-->).)*-->|</?>)(?:[ \t]*(?:</?[A-Za-z][^<>]*>|<!--(?:(?!-->).)*-->))*",
    "grid table": r"\+(?:[-=:+]+)\+|\|.*\|",  # pandoc
    "critic": r"(?:\{\+\+|\+\+\}|\{--|--\}|\{==|==\}|\{>>|<<\})+",  # CriticMarkup
}
NO_TEXT = re.compile(r"[ \t]*(?:" + "|".join(f"(?:{rule})" for rule in LINES.values()) + r")[ \t]*")

MARKED = re.compile(r"[{<$%\\:/!?=^|~+]|\[\^|8<")
"""Characters of which every rule here needs at least one."""
ASIDE = re.compile(
    r"(?<!\\)(?:\[\^[^\[\]\s]+\]|\{\{[^{}\r\n]*\}\}|\{%[^%\r\n]*%\}|(?<![ \t])[ \t]*\{[:#.][^{}\r\n]*\})"
)
"""Within a line: references to footnotes, values and tags of templates, attributes."""

IMAGE = r"!\[(?:[^\[\]\r\n]|\[[^\[\]\r\n]*\])*\](?:\([^()\r\n]*(?:\([^()\r\n]*\)[^()\r\n]*)*\)|\[[^\[\]\r\n]*\])?"
FIGURE = re.compile(
    rf"[ \t]*(?:{IMAGE}|\[{IMAGE}\]\([^()\r\n]*\)|!\[\[[^\]\r\n]+\]\]|<img[ \t][^<>]*>)"
    r"(?:\{[^{}\r\n]*\})?(?:\\|[ \t]*)"
)
"""A line with an image and nothing else, in Markdown, Obsidian or HTML."""
CAPTION = re.compile(r"[ \t]*(?:\*[^*\r\n].*\*|_[^_\r\n].*_|\{:.*\})(?:[ \t]+\([^\r\n]*\))?[ \t]*")
"""A caption line below an image."""

ESM = re.compile(
    r"import[ \t]+(?:[\w*{}\s,$]+\sfrom[ \t]+)?['\"]|"
    r"export[ \t]+(?:(?:const|let|var|function|async|class)\s|default\s+[\w{(\[<]|[{*])"
)
"""MDX: JavaScript between the text."""

# --- what belongs together across a blank line -----------------------------------------------------------------------

FAMILIES: dict[str, re.Pattern[str]] = {
    "tab": re.compile(r"===[+!]*[ \t]+['\"]|/{3,}[ \t]*tab\b"),  # PyMdown: tabs in a row are one set
    "fancy list": re.compile(  # pandoc, PyMdown: `(1)`, `a.`, `iv)`, `#.`, `(@)`
        r"[ \t]{0,3}(?:\(?(?:\d{1,9}|[A-Za-z]|[ivxlcdmIVXLCDM]{1,9}|#|@[\w-]*)[.)])[ \t]"
    ),
}
DEFINITION = re.compile(r"[ \t]{0,3}[:~][ \t]")
"""PHP Markdown Extra, pandoc, kramdown: a line that explains the term above it. Consecutive terms form one list."""
INDENTED = re.compile(r"(?: {4}| {0,3}\t)")
ADMONITION = re.compile(r"(?:!!!|\?\?\?\+?|===[+!]*)[ \t]")
"""Python-Markdown, PyMdown: the indented lines that follow are its content."""
BELONGS: dict[str, re.Pattern[str]] = {
    "indented": INDENTED,  # footnotes, admonitions, tabs, definitions, lists
    "block id": re.compile(r"\^[A-Za-z0-9-]*[ \t]*(?:[\r\n]|\Z)"),  # Obsidian, kramdown
}
UNSEEN = re.compile(r"\*\[[^\]\r\n]+\]:")
"""Blocks that are invisible at their place, like footnotes: PHP Markdown Extra's abbreviations."""
TABLE_CAPTION = re.compile(r"[ \t]{0,3}(?:Table:|table:|:)[ \t]")
"""Pandoc: a caption before its table."""

COLUMNS = re.compile(r"[ \t]{0,3}-{2,}(?:[ \t]+-{2,})+[ \t]*")
RULE = re.compile(r"[ \t]{0,3}-{3,}[ \t]*")
"""Pandoc: the lines of dashes of simple and multiline tables."""
METADATA = re.compile(r"[A-Za-z_][\w.-]*[ \t]*:(?:[ \t].*)?|[ \t]+.*|-[ \t].*|#.*|")
"""Pandoc: a line of a YAML block further down."""
