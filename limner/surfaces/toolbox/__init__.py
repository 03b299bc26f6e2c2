"""limner for other people's agents: ten tools over one desk of articles.

`desk.py` keeps the articles that are worked on, `craft.py` does each thing (a line for the model, a value for the
program), `skills.py` says to a model what each is for and what it takes, `langchain.py` makes LangChain tools of them.
`limner/workflows/mcp/` offers the same skills by MCP.
"""

from limner.surfaces.toolbox.langchain import toolbox
from limner.surfaces.toolbox.tools import Tenant

__all__ = ["Tenant", "toolbox"]
