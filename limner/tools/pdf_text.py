"""The words of a PDF, page by page; run in the process that reads untrusted files, not in the one that serves."""

from __future__ import annotations

from limner.errors import ImageUnreadable

MAX_PAGES = 500


def pdf_text(data: bytes, characters: int) -> str:
    """At most so many characters of the text of a PDF. Raises ImageUnreadable, saying why."""
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
