"""Article -> a folder with Markdown, one self-contained HTML page and JSON, a credit under every image.

Notable choices:

- A draft's text is never touched: figures are spliced in as whole blocks between its characters, and `without_figures`
  takes them out again. A text that a model wrote has its raw HTML and images turned into plain text instead, because
  only limner adds images.
- Captions, alternative texts, credits, names and file names come from outside and are escaped for their target. The
  bytes of an image file determine its kind, not its name.
- A folder appears complete or not at all: everything is written beside it, reopened, checked against the article, and
  renamed.

There is a file per format (`markdown`, `page`, `record`, `documents`, `pdf`), and shared ones: `words`, `names`,
`pictures`, `counting`, `staging`. `formats` has the table of formats and `write_article`.
"""

from limner.exports.format import Format
from limner.exports.formats import FORMATS, Written, format_named, write_article
from limner.exports.markdown import to_markdown, without_figures
from limner.exports.names import fresh_folder, slug
from limner.exports.own import own_images
from limner.exports.page import contact_sheet, to_html
from limner.exports.pictures import SIDE, Images, Pictures, public_images, shown_parts
from limner.exports.record import images_beside, read_json, to_json
from limner.exports.text import block_html

__all__ = [
    "FORMATS",
    "SIDE",
    "Format",
    "Images",
    "Pictures",
    "Written",
    "block_html",
    "contact_sheet",
    "format_named",
    "fresh_folder",
    "images_beside",
    "own_images",
    "public_images",
    "read_json",
    "shown_parts",
    "slug",
    "to_html",
    "to_json",
    "to_markdown",
    "without_figures",
    "write_article",
]
