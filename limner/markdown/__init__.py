"""Reading the Markdown that people have: which lines belong together, and what the front matter says.

`blocks.cut` finds the blocks of a draft in any of the dialects that `dialects` names; `front_matter.read` what stands
before its text; `parser` the CommonMark parser, in linear time.
"""
