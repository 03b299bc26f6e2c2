"""Every LIMNER_* variable in one place; nothing else in limner reads the environment."""

from __future__ import annotations

import os
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_data_path
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from limner.errors import BadInput

Role = Literal["writer", "spotter", "selector"]


def _usual_home() -> Path:
    return user_data_path("limner", appauthor=False)


class Settings(BaseSettings):
    """Read once, by `workflows.context.build_context`."""

    model_config = SettingsConfigDict(env_prefix="LIMNER_", frozen=True, extra="ignore", populate_by_name=True)

    home: Path = Field(default_factory=_usual_home)
    """Folder for libraries and jobs (LIMNER_HOME)."""
    model: str = ""
    """Model name sent to the server; empty asks the server for its first model. Without a server: the path of a GGUF,
    hf:OWNER/REPOSITORY or hf:OWNER/REPOSITORY:FILE, or a name of `limner model list` (LIMNER_MODEL)."""
    mmproj: str = ""
    """Projector of pictures of a GGUF: its path; empty takes the one beside the GGUF, "none" leaves pictures out
    (LIMNER_MMPROJ)."""
    model_url: str = ""
    """Base URL of a server with the OpenAI Messages API, e.g. http://gpu:8000/v1; empty starts the embedded model."""
    api_key: SecretStr = SecretStr("")
    """Key for that server, if it needs one (LIMNER_API_KEY)."""
    writer_model: str = ""
    """Another model for the writer; likewise spotter_model and selector_model. Same server unless *_url is set."""
    writer_url: str = ""
    spotter_model: str = ""
    spotter_url: str = ""
    selector_model: str = ""
    selector_url: str = ""
    reranker_url: str = ""
    """Base URL of a server with /rerank, e.g. http://gpu:8001/v1: a reranker selects, by captions, instead of the
    selector's model (LIMNER_RERANKER_URL)."""
    reranker_model: str = ""
    """The reranker's name; empty asks its server for its first model (LIMNER_RERANKER_MODEL)."""
    reranker_least: float | None = Field(default=None, allow_inf_nan=False)
    """Score, on the reranker's own scale, below which no image fits; empty goes by unrelated texts alone
    (LIMNER_RERANKER_LEAST)."""
    dialect: str = ""
    """The dialect that words the tasks: instruct, small, xcomposer, xcomposer2, or a plug-in's; empty follows the
    model's name and size (LIMNER_DIALECT)."""
    wishes: Literal["", "steps", "whole"] = ""
    """How the reviser's model is asked what a wish means: "steps" by small questions, "whole" by one answer with
    commands; empty takes steps for models that are known to be small (LIMNER_WISHES)."""
    vision: bool | None = None
    """Whether the selector's model sees images; empty tests it with two tiny pictures (LIMNER_VISION)."""
    timeout: float = 120
    """Seconds without a byte from the model server before limner gives a call up."""
    retries: int = Field(default=4, ge=0)
    """Retries of a call after 408, 409, 429, 5xx or a failed connection; Retry-After is honoured."""
    qdrant_url: str = Field(default="", validation_alias=AliasChoices("LIMNER_QDRANT_URL", "QDRANT_URL", "qdrant_url"))
    """A Qdrant server for the libraries; empty keeps each in a folder (QDRANT_URL)."""
    qdrant_api_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("LIMNER_QDRANT_API_KEY", "QDRANT_API_KEY", "qdrant_api_key"),
    )
    encoder: str = ""
    """Encoder of captions: minilm (also when empty), a folder that holds another one (a path with a slash), or a
    plug-in's name (LIMNER_ENCODER)."""
    clip_model: str = ""
    """Encoder of pictures for libraries that have none of their own: siglip2, siglip2-small or clip, once downloaded; a
    folder with an ONNX model (a path with a slash); the name of a plug-in that encodes images; or of open_clip
    "ViT-B-32/laion2b_s34b_b79k", "ViT-B-32/PATH-TO-WEIGHTS", "hf-hub:ORG/NAME". Empty means none."""
    hub: str = Field(
        default="https://huggingface.co", validation_alias=AliasChoices("LIMNER_HUB", "HF_ENDPOINT", "hub")
    )
    """The model hub that `limner library add --encoder` downloads from (HF_ENDPOINT)."""
    hub_offline: bool = Field(
        default=False, validation_alias=AliasChoices("LIMNER_HUB_OFFLINE", "HF_HUB_OFFLINE", "hub_offline")
    )
    """Never reach for the hub (HF_HUB_OFFLINE)."""
    language: str = "en"
    """Language of captions that a model writes for a library that has none yet, BCP 47 (LIMNER_LANGUAGE)."""
    generators: str = ""
    """Plug-ins, separated by commas, that jobs may use to generate images where nothing fits; none by default. In the
    shell and in Python the user names one per run."""
    generator_timeout: float = Field(default=120, gt=0)
    """Time limit in seconds for one generated image; then the place stays empty."""
    max_pixels: int = Field(default=89_000_000, gt=0, le=178_000_000)
    """Images with more pixels than this are refused before they are decoded: 89 million px decode to 360 MB.

    Pillow warns above 89.4 million and refuses above 178.9 million by itself."""
    threads: int = Field(default=0, ge=0)
    """CPU threads for the embedded model and encoders; 0 uses all."""
    editor: str = Field(default="vi", validation_alias=AliasChoices("LIMNER_EDITOR", "VISUAL", "EDITOR", "editor"))
    """Editor that the shell opens at a review point (VISUAL, EDITOR)."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then variables, then the choice of `limner setup`."""
        return init_settings, env_settings, dotenv_settings, file_secret_settings, _Chosen(settings_cls)

    def __init__(self, **given: Any) -> None:
        """Raises BadInput, in one line, for a value that cannot be used."""
        try:
            super().__init__(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = "LIMNER_" + "_".join(map(str, first["loc"])).upper().removeprefix("LIMNER_")
            raise BadInput(f"{name} is not usable: {first['msg']}. Correct it or unset it.") from error

    @field_validator("home", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        return _usual_home() if value == "" else value

    def allowing(self, generator: str) -> Settings:
        """These settings with one more allowed generator."""
        return self.model_copy(update={"generators": f"{self.generators},{generator}"}) if generator else self

    def allows(self, generator: str) -> bool:
        """Whether a generator is allowed."""
        return generator in [name.strip() for name in self.generators.split(",")]

    # -- jobs

    database_url: SecretStr = Field(
        default=SecretStr(""), validation_alias=AliasChoices("LIMNER_DATABASE_URL", "DATABASE_URL", "database_url")
    )
    """Postgres for the jobs, postgresql://USER:PASSWORD@HOST/NAME; empty is a SQLite file in home (DATABASE_URL)."""
    redis_url: SecretStr = Field(
        default=SecretStr(""), validation_alias=AliasChoices("LIMNER_REDIS_URL", "REDIS_URL", "redis_url")
    )
    """Broker of the workers, redis://…; empty is the bundled Valkey that `limner up` starts (REDIS_URL)."""
    workers: int = Field(default=0, ge=0, le=256)
    """Jobs that one worker runs at once; 0 means 4 with a model server, 1 with the embedded model."""
    processes: int = Field(default=0, ge=0, le=256)
    """Processes that share these jobs, one thread per job; 0 gives each job its own. Fewer need less memory."""
    lease: float = Field(default=30, ge=1, le=3600)
    """Seconds without a sign of life after which a worker loses its job; it gives three signs in that time."""
    sweep: float = Field(default=5, gt=0, le=600)
    """Seconds between two sweeps for orphaned jobs and lost messages."""
    stuck: float = Field(default=300, gt=0)
    """Seconds without an event after which a running job is shown as stuck."""
    job_seconds: float = Field(default=3600, ge=1)
    """Seconds that one attempt at a job may take; then it fails at its next step or call, or a minute later."""
    crashes: int = Field(default=3, ge=1)
    """Crashes in a row, alone in a process and without a new model answer between them, after which a job is set aside.
    The limit of other broken attempts in a row is ten."""
    keep: float = Field(default=30, ge=0)
    """Days for which checkpoints, events and model answers are kept after a job's end; its article stays."""
    tries: int = Field(default=10, ge=1)
    """Times in a row that a job is parked, at growing intervals, before it fails."""
    crash_at: str = ""
    """For tests: the point at which this process kills itself, "NAME", or "NAME:N" at the N-th time."""

    # -- HTTP

    host: str = "127.0.0.1"
    """Address that the API listens on; any other than the loopback needs a token."""
    port: int = Field(default=8642, ge=0, le=65535)
    token: SecretStr = SecretStr("")
    """The API's bearer token for the owner `local`; `limner token add` makes tokens for others (LIMNER_TOKEN)."""
    hosts: str = ""
    """Names besides localhost that the API answers to, separated by commas: "articles.example.org"."""
    connections: int = Field(default=0, ge=0)
    """Connections that the API holds at once; 0 takes what the limit of open files leaves, at most 10 000."""
    connections_per_address: int = Field(default=0, ge=0)
    """How many of them one address may hold; 0 means half. Behind a proxy, all have the address of the proxy."""
    webhook_hosts: str = ""
    """Hosts on internal addresses that webhooks may reach, separated by commas; none by default."""
    log: Literal["", "text", "json"] = ""
    """Format of the services' logs; empty is text on a terminal and JSON elsewhere."""
    otlp_endpoint: str = Field(
        default="",
        validation_alias=AliasChoices("LIMNER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint"),
    )
    """Receiver of traces over OTLP/HTTP, e.g. http://collector:4318; empty means no traces
    (OTEL_EXPORTER_OTLP_ENDPOINT)."""


# --- the choice of `limner setup` ----------------------------------------------------------------------------------

CHOICE = ("model", "model_url", "mmproj")
"""Settings that belong together: a server's address says nothing about the name of a model elsewhere."""


def choice_file(home: Path) -> Path:
    """The file of the chosen model, in TOML, which `limner setup` and `limner model use` write."""
    return home / "model.toml"


def read_choice(home: Path) -> dict[str, str]:
    """The chosen model; empty without a choice. Raises BadInput for a file that cannot be used."""
    file = choice_file(home)
    try:
        chosen = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{file} cannot be read ({error}). Correct it, or delete it and run limner setup.") from error
    wrong = [key for key, value in chosen.items() if key not in CHOICE or not isinstance(value, str)]
    if wrong:
        raise BadInput(
            f"{file} says {wrong[0][:40]!r}, which is none of the texts {', '.join(CHOICE)}. Correct it, or delete it "
            "and run limner setup."
        )
    return chosen


def overruling() -> list[str]:
    """The variables that are set and overrule the choice; an empty one does, too."""
    there = {name.upper() for name in os.environ}
    return [name for name in (f"LIMNER_{key.upper()}" for key in CHOICE) if name in there]


def is_chosen(settings: Settings) -> bool:
    """Whether model and server are those of the choice, not of a variable or an option."""
    chosen = read_choice(settings.home)
    same = all(chosen.get(key, "") == getattr(settings, key) for key in ("model", "model_url"))
    return bool(chosen) and same and not {"LIMNER_MODEL", "LIMNER_MODEL_URL"}.intersection(overruling())


class _Chosen(PydanticBaseSettingsSource):
    """The chosen model, unless an argument or a variable names a model or a server."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Unused: the file is read as a whole."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The settings in the file."""
        said = self.current_state
        if "model" in said or "model_url" in said:  # also an empty variable: the way to the default for one command
            return {}
        home = said.get("home")
        return dict(read_choice(Path(home) if home else _usual_home()))


def private_folder(folder: Path) -> Path:
    """Make a folder that no other user may enter, with its parents. An existing folder stays as it is."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def private_file(path: Path) -> Path:
    """Make an empty file for its user alone. From an existing file, remove the rights of all but its user and group."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        mode = path.stat().st_mode
        if mode & 0o007 and os.access(path, os.W_OK):
            with suppress(PermissionError):  # another user's file, which we may write
                path.chmod(mode & 0o770)
    return path
