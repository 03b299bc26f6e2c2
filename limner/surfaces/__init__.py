"""How people and programs reach limner: the shell, HTTP, the studio, tools for agents, MCP, Python."""
