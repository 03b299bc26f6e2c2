"""limner's graph inside somebody else's: their state, their checkpointer, our events and our questions."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, TypedDict

import pytest
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command
from scripted import ARTICLE, ScriptedServer, article_answers, asking

import limner

ROOT = Path(__file__).parents[2]


def example(name: str) -> ModuleType:
    """An example of the repository, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def chat_model(server: ScriptedServer) -> ChatOpenAI:
    return ChatOpenAI(base_url=server.url, model="scripted-7b", api_key="none", max_retries=0)  # type: ignore[arg-type]


def answers(body: dict[str, Any]) -> Any:
    if asking(body) == "chat":
        return "Hold the smoker below the frames."
    return article_answers(sees=True)(body)


@pytest.fixture
def thread() -> Any:
    return {"configurable": {"thread_id": "customer-1"}}


def test_the_support_bot_answers_and_composes_in_one_thread(bees: Path, thread: Any) -> None:
    module = example("support_bot")
    saver = InMemorySaver()
    with ScriptedServer(answers) as server:
        bot = module.build_bot(chat_model(server), saver, library="bees")
        said = bot.invoke({"messages": [("user", "How do I use a smoker?")]}, thread)
        assert said["messages"][-1].text == "Hold the smoker below the frames."
        stream = bot.stream(
            {"messages": [("user", "Write me a guide on honey.")]},
            thread,
            stream_mode=["custom", "updates"],
            subgraphs=True,
        )
        seen = list(stream)
    texts = "".join(event["text"] for _, mode, event in seen if mode == "custom" and event["kind"] == "text")
    assert texts.strip() == ARTICLE.strip()
    steps = [event["step"] for _, mode, event in seen if mode == "custom" and event["kind"] == "step"]
    assert list(dict.fromkeys(steps)) == ["spot", "retrieve", "select", "arrange", "check"]
    assert {"write", "guide"} <= {node for _, mode, event in seen if mode == "updates" for node in event}
    state = bot.get_state(thread).values
    assert limner.Article.model_validate(state["guide"]).title == "How Bees Make Honey"
    assert [m.type for m in state["messages"]] == ["human", "ai", "human", "ai"]


def test_questions_surface_in_the_parent_and_are_answered_there(bees: Path, thread: Any) -> None:
    """Start, interrupt, a wrong answer, resume, result; what was written before the question is not written again."""
    module = example("support_bot")
    with ScriptedServer(answers) as server:
        bot = module.build_bot(chat_model(server), InMemorySaver(), review=("draft",), library="bees")
        bot.invoke({"messages": [("user", "Write me a guide on honey.")]}, thread)
        (asked,) = bot.get_state(thread).interrupts
        question = asked.value
        assert question["action_request"]["action"] == "review_draft"
        assert question["config"]["allow_edit"]
        bot.invoke(Command(resume={"type": "nonsense"}), thread)
        (again,) = bot.get_state(thread).interrupts
        assert "could not be taken" in again.value["description"]
        done = bot.invoke(Command(resume={"type": "accept", "args": None}), thread)
        written = sum(asking(body) == "writer" for body in server.requests)
    assert written == 1
    assert not bot.get_state(thread).interrupts
    assert len(done["guide"]["illustrations"]) == 2


def test_a_graph_added_as_a_node_shares_the_keys_it_has_in_common(bees: Path, thread: Any) -> None:
    class Mine(TypedDict):
        messages: Annotated[list[Any], add_messages]
        brief: limner.Brief
        article: limner.Article

    with ScriptedServer(answers) as server:
        parent = StateGraph(Mine)
        parent.add_node("compose", limner.build_graph(library="bees", model=chat_model(server)))
        parent.add_edge(START, "compose")
        parent.add_edge("compose", END)
        graph = parent.compile(checkpointer=InMemorySaver())
        done = graph.invoke({"messages": [], "brief": limner.Brief(text="Honey", images=1)}, thread)
    assert len(done["article"].illustrations) == 1


def test_a_long_article_does_not_end_the_parent_for_its_number_of_turns(bees: Path, thread: Any) -> None:
    """A turn a spot: more than LangGraph's default of 25 turns, inside a parent that keeps that default."""
    paragraphs = [f"Paragraph {n} tells of bee number {n}, and of the flower that she flew to." for n in range(40)]

    class Mine(TypedDict):
        title: str

    with ScriptedServer(article_answers(article="# Bees\n\n" + "\n\n".join(paragraphs), sees=True)) as server:
        compose = limner.build_graph(library="bees", model=chat_model(server))

        def write(state: Mine) -> Any:
            return {"title": compose.invoke({"brief": limner.Brief(text="Bees", images=30)})["article"].title}

        parent = StateGraph(Mine)
        parent.add_node("write", write)
        parent.add_edge(START, "write")
        parent.add_edge("write", END)
        done = parent.compile(checkpointer=InMemorySaver()).invoke({"title": ""}, {**thread, "recursion_limit": 25})
        selected = sum(asking(body) == "selector" for body in server.requests)
    assert done["title"] == "Bees"
    assert selected > 25


def test_a_product_with_packages_of_our_names_imports_and_runs_limner(bees: Path, tmp_path: Path) -> None:
    """Chatbot products have top-level packages `agents`, `tools`, `workflows`, and modules `document`, `settings`."""
    product = tmp_path / "product"
    for name in ("agents", "tools", "workflows", "model_server"):
        (product / name).mkdir(parents=True)
        (product / name / "__init__.py").write_text(f"OWNER = 'the product, {name}'\n")
    for name in ("document", "settings", "errors"):
        (product / f"{name}.py").write_text(f"OWNER = 'the product, {name}'\n")
    (product / "main.py").write_text(
        "import sys\n"
        "import agents, tools, workflows, model_server, document, settings, errors\n"
        "import limner\n"
        "from langchain_openai import ChatOpenAI\n"
        "model = ChatOpenAI(base_url=sys.argv[1], model='scripted-7b', api_key='none')\n"
        "graph = limner.build_graph(library='bees', model=model)\n"
        "article = graph.invoke({'brief': limner.Brief(text='Honey', images=1)})['article']\n"
        "assert limner.toolbox(library='bees', model=model)\n"
        "ours = (agents, tools, workflows, model_server, document, settings, errors)\n"
        "assert all(m.OWNER.startswith('the product') for m in ours)\n"
        "print(article.title, len(article.illustrations))\n"
    )
    with ScriptedServer(article_answers(sees=True)) as server:
        done = subprocess.run(
            [sys.executable, "main.py", server.url], cwd=product, capture_output=True, text=True, timeout=200
        )
    assert (done.returncode, done.stdout.strip()) == (0, "How Bees Make Honey 1"), done.stderr[-2000:]


def test_importing_limner_reads_no_environment_and_starts_nothing() -> None:
    """What it loads is in tests/test_house.py; its cost in bench/chat.py."""
    code = (
        "import os, sys, threading\n"
        "read = []\n"
        "class Watched(type(os.environ)):\n"
        "    def __getitem__(self, key):\n"
        "        read.append(key); return super().__getitem__(key)\n"
        "os.environ.__class__ = Watched\n"
        "import limner\n"
        "assert 'torch' not in sys.modules and 'fastapi' not in sys.modules\n"
        "print([k for k in read if k.startswith(('LIMNER', 'OPENAI', 'LANG', 'QDRANT'))], threading.active_count())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] 1"
