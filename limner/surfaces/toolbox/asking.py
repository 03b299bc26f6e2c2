"""The tool that answers questions about an article and its pictures."""

from __future__ import annotations

from collections.abc import Sequence

from limner.surfaces.toolbox.texts import ToolResult, answered
from limner.surfaces.toolbox.tools import Tools
from limner.workflows.ask import ask as answer_to


def ask(tools: Tools, article: str, question: str, pictures: Sequence[int] = ()) -> ToolResult:
    """Answer a question about an article. pictures: numbers of those that it is about; none means all."""
    if tools.job_tools and tools.articles.is_job(article):
        return tools.job_tools.ask(article, question, pictures)
    name, found = tools.article(article)
    return answered(name, answer_to(tools.scope.holding(found), question, found, list(pictures)))
