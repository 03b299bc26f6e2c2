"""Extract the text of a PDF page by page, in the process that reads untrusted files."""

from __future__ import annotations

from limner.errors import ImageUnreadable

MAX_PAGES = 500


def pdf_text(data: bytes, characters: int) -> str:
    """The text of a PDF, shortened to a number of characters. Raises ImageUnreadable with the reason."""
    try:
        import pypdfium2  # an extra, and no other picture waits for it
    except ModuleNotFoundError as e:
        raise ImageUnreadable("needs the export extra to be read: pip install 'limner[export]'") from e
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as e:
        raise ImageUnreadable("is no PDF that can be opened, or is locked by a password") from e
    try:
        pages: list[str] = []
        for number in range(min(len(document), MAX_PAGES)):
            page = document[number]
            text = page.get_textpage()
            pages.append(text.get_text_range().replace("\r\n", "\n").strip())
            text.close()
            page.close()
            if sum(map(len, pages)) > characters:
                break
    finally:
        document.close()
    return "\n\n".join(page for page in pages if page)[:characters]
