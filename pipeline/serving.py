"""What `serve` makes of the settings about the desk. Decides nothing."""

from pathlib import Path

from pipeline.api.desk.agents import BadAgents, read_agents
from pipeline.api.desk.desk import DeskOptions
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
