"""What is served: the desk, as the settings have it, and several applications on one port. Decides nothing."""

from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from pipeline import replies
from pipeline.api.desk.agents import BadAgents, read_agents
from pipeline.api.desk.desk import DeskOptions
from pipeline.api.options import ChatwootOptions
from pipeline.producers.collector import Collector
from pipeline.settings import Settings, SettingsError


def desk_of(settings: Settings) -> DeskOptions | None:
    """The desk; None: nobody may log in, so there is none. Raises SettingsError."""
    file = Path(settings.agents)
    try:
        agents = read_agents(file)
    except BadAgents as problem:
        raise SettingsError(str(problem)) from problem
    if not agents:
        return None
    return DeskOptions(
        agents=file,
        conversations_per_agent=settings.desk_conversations,
        gates_prompts=settings.desk_gates_prompts,
        video_url=settings.video_url,
    )


def chatwoot_of(settings: Settings, registry: CollectorRegistry) -> ChatwootOptions | None:
    """Chatwoot's webhooks; None: agents don't answer there."""
    if not settings.chatwoot_url:
        return None
    return ChatwootOptions(secret=settings.chatwoot_secret, heard=replies.chat_webhooks(registry))


class Together:
    """The collector and the API on one port: each path has one owner."""

    def __init__(self, collector: Collector, api: Any) -> None:
        self._collector = collector
        self._api = api

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, to whom its path belongs."""
        if scope["type"] == "http" and self._collector.handles(scope["path"]):
            await self._collector(scope, receive, send)
        else:
            await self._api(scope, receive, send)
