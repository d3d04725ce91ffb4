"""What the shop has to show and to ask on its pages: content modules, questionnaires, interests to tick.

One struct for each kind of file in `site/`, checked and typed; all of them travel on the log as `Site`, in
`CampaignsChanged`, so that a page and a decision always speak of the same version. Here is no logic.
"""

from typing import Annotated, Literal

import msgspec

from pipeline.core.condition import Condition
from pipeline.core.part import Name, Part

MAX_QUESTIONS = 50
MAX_INTERESTS = 50
MAX_RECOMMENDATIONS = 20
Url = Annotated[str, msgspec.Meta(pattern=r"^(https://[^\s]+|/([^/\\\s][^\\\s]*)?|\?[^\s]*|)$", max_length=2_000)]
"""https, or a path of the same site: what else a link could do, it cannot."""
Text = Annotated[str, msgspec.Meta(max_length=2_000)]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Content(Part, frozen=True, kw_only=True):
    """What stands in a slot: text, never markup. `{purchases.orders}` or `{traits.name}` is filled in from the
    profile; where it is not known, this content is not for that person."""

    title: Text = ""
    text: Text = ""
    link_url: Url = ""
    """Where the button leads."""
    link_text: Text = ""
    image_url: Url = ""
    image_text: Text = ""
    """What the picture shows, for who cannot see it; empty if it only decorates."""


class Variant(Content, frozen=True, kw_only=True):
    """One face of a module."""

    name: Name
    conditions: tuple[Condition, ...] = msgspec.field(default=(), name="if")
    """All must hold."""


class Module(Part, frozen=True, kw_only=True):
    """One file of `site/modules/`."""

    name: Name
    description: str = ""
    slot: Name
    """The place on the page: `<div data-rapport-slot="home-hero">`."""
    state: Literal["draft", "live"] = "live"
    priority: int = 0
    """Of several for one slot the highest is asked first."""
    purpose: Literal["profiling", "marketing", "service", "none"] = "profiling"
    """Whose refusal for the channel `site` leaves the fallback; what rests on a person's own choice asks for none."""
    recommendations: Annotated[int, msgspec.Meta(ge=0, le=MAX_RECOMMENDATIONS)] = 0
    """So many products at most, recommended to the visitor, stand below the text; where there are none, the module is
    not shown."""
    variants: tuple[Variant, ...] = msgspec.field(default=(), name="variant")
    """The first one that fits is shown."""
    fallback: Content | None = None
    """What everybody else sees; without one the page keeps what it had."""


class Question(Part, frozen=True, kw_only=True):
    """One question of a questionnaire."""

    name: Name
    text: Label
    kind: Literal["scale", "choice", "choices", "text"]
    least: int = 1
    """scale: its lowest mark …"""
    most: Annotated[int, msgspec.Meta(le=100)] = 5
    """… and its highest."""
    least_text: Text = ""
    """What the lowest mark means, for example "not at all"."""
    most_text: Text = ""
    options: tuple[Label, ...] = ()
    """choice, choices: what can be ticked."""


class Questionnaire(Part, frozen=True, kw_only=True):
    """One file of `site/questionnaires/`."""

    name: Name
    description: str = ""
    title: Label
    state: Literal["draft", "live"] = "live"
    moment: Literal["order", "visit_end", "asked"] = "asked"
    """When a page offers it: after an order, when the visitor is about to leave, or when the page says so."""
    repeats: bool = False
    """Whether what was answered is asked again after the next order; else nobody is asked the same twice."""
    at_once: Annotated[int, msgspec.Meta(ge=1, le=20)] = 5
    """So many questions at a time: the rest another day."""
    questions: tuple[Question, ...] = msgspec.field(default=(), name="question")
    thanks: Text = "Thank you."


class Interest(Part, frozen=True, kw_only=True):
    """Something a person can tick to hear of."""

    name: Name
    label: Label


class Site(Part, frozen=True, kw_only=True):
    """Everything in `site/`."""

    modules: tuple[Module, ...] = ()
    """Highest priority first, then by name."""
    questionnaires: tuple[Questionnaire, ...] = ()
    interests: tuple[Interest, ...] = ()

    def module(self, name: str) -> Module | None:
        """The module of this name, if it is live."""
        return next((it for it in self.modules if it.name == name and it.state == "live"), None)

    def questionnaire(self, name: str) -> Questionnaire | None:
        """The questionnaire of this name, if it is live."""
        return next((it for it in self.questionnaires if it.name == name and it.state == "live"), None)
