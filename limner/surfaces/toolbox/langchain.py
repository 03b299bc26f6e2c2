"""The toolbox as LangChain tools: for `create_agent`, `ToolNode`, and `bind_tools`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import ValidationError

from limner.errors import LimnerError
from limner.surfaces.toolbox.descriptions import Description, descriptions, mistaken
from limner.surfaces.toolbox.tools import Toolbox
from limner.workflows.context import build_context
from limner.workflows.roles import models_for
from limner.workflows.tenants import TenantOf, tenant_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from limner.jobs.service import Jobs
    from limner.settings import Settings
    from limner.workflows.context import Context


def toolbox(
    *,
    library: Any = None,
    model: BaseChatModel | None = None,
    selector_model: BaseChatModel | None = None,
    settings: Settings | None = None,
    context: Context | None = None,
    jobs: Jobs | None = None,
    workers: bool = True,
    folder: str | Path | None = None,
    only: tuple[str, ...] = (),
    tenant: TenantOf = tenant_of,
) -> list[BaseTool]:
    """limner as LangChain tools: the content is for the model, the artifact for the program.

    library, model, selector_model, settings, context: as for `build_graph`. jobs: articles are then jobs of the
    installation, with their history, and compose_article submits a job and returns at once; with workers=False this
    process composes. folder: where export_article writes; a model never chooses a path. only: names of the wanted
    tools; all eleven by default. tenant: gives the tenant from the run's `configurable`.

    Errors that a model can correct reach it as a tool message with status "error".
    """
    if context is None:
        context = build_context(settings, library=library, models=models_for(model, selector_model))
    shared = Toolbox(context, jobs, Path(folder) if folder else None, workers=workers)
    made = [_tool(tool, shared, tenant) for tool in descriptions(later=shared.submits)]
    unknown = set(only) - {tool.name for tool in made}
    if unknown:
        raise ValueError(f"no tool is called {', '.join(sorted(unknown))}: {', '.join(tool.name for tool in made)}")
    return [tool for tool in made if not only or tool.name in only]


def _tool(tool: Description, shared: Toolbox, tenant: TenantOf) -> BaseTool:
    def call(config: RunnableConfig, **given: Any) -> tuple[str, Any]:
        try:
            result = tool.does(shared.tools(tenant(config.get("configurable") or {})), **given)
            return result.text, {"article": result.article} if result.value is None else result.value
        except LimnerError as e:  # a model can correct whatever a person could
            raise ToolException(str(e)) from e

    def invalid(error: ValidationError | Any) -> str:
        return mistaken(error, tool.name)

    return StructuredTool.from_function(
        call,
        name=tool.name,
        description=tool.text,
        args_schema=tool.takes,
        response_format="content_and_artifact",
        handle_tool_error=True,
        handle_validation_error=invalid,
    )
