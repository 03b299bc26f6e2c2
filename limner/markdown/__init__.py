"""Read people's Markdown: find the lines that belong together, and read the front matter.

`blocks.cut` finds the blocks of a draft in any of the dialects of `dialects`; `front_matter.read` reads the front
matter; `parser` is the CommonMark parser.
"""
