"""Playing a story's events on the little log, one line after the other."""

from pipeline.core.newsletter import NewsletterDue
from pipeline.core.presence import AgentsChanged
from pipeline.rehearsal import script
from pipeline.rehearsal.little_log import LittleLog
from pipeline.rehearsal.script import Line, Story


def perform(log: LittleLog, story: Story, line: Line) -> None:
    """What one line says. Raises ValueError if it makes no sense."""
    if line.who == "desk":
        log.hear(AgentsChanged(**script.agents(line), source="desk", received_at=line.now))
    elif line.who == "shop" and line.name == "Newsletter":
        for campaign, edition in line.values.items():
            log.walk(NewsletterDue(campaign, edition))
    elif line.who == "shop":
        story.change(line.values)
        log.show(story.rules(log.rules.campaigns_version + 1))
    elif line.who == "log":
        log.messages_wait = line.name == "Messages wait"
        if line.name == "Messages arrive":
            log.release()
    else:
        try:
            stimulus = script.stimulus(line)
        except ValueError as error:
            raise ValueError(f"line {line.number}: {error}") from None
        log.accept(*stimulus)
