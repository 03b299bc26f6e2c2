"""limner for other people's agents: ten tools over one collection of articles.

`desk.py` keeps the articles that are worked on, `tools.py` does each thing (a text for the model, a value for the
program), `descriptions.py` tells a model what each tool is for and what it takes, and `langchain.py` makes LangChain
tools of them. `limner/surfaces/mcp.py` offers the same tools over MCP.
"""

from limner.surfaces.toolbox.langchain import toolbox

__all__ = ["toolbox"]
