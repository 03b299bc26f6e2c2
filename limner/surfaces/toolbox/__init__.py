"""limner for other people's agents: eleven tools over one collection of articles.

`desk.py` stores the articles, `tools.py` implements the tools (a text for the model, a value for the program),
`descriptions.py` describes each tool and its arguments to a model, and `langchain.py` makes LangChain tools of them.
`limner/surfaces/mcp.py` offers the same tools over MCP.
"""

from limner.surfaces.toolbox.langchain import toolbox

__all__ = ["toolbox"]
