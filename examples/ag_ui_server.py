"""limner's conversation for AG-UI front ends such as CopilotKit: `pip install ag-ui-langgraph uvicorn`, then run this.

LIMNER_MODEL_URL=http://localhost:8000/v1 python examples/ag_ui_server.py
"""

from __future__ import annotations

import uvicorn
from ag_ui_langgraph import LangGraphAgent, add_langgraph_fastapi_endpoint
from fastapi import FastAPI
from langgraph.checkpoint.memory import InMemorySaver

import limner

app = FastAPI()
agent = LangGraphAgent(name="limner", graph=limner.build_chat_graph(checkpointer=InMemorySaver()))
add_langgraph_fastapi_endpoint(app, agent, "/")

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=8765)
