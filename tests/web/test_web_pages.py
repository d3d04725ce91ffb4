"""The pages behind a mail's links, on a narrow screen: nothing stands beyond its edge."""

from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from playwright.sync_api import Browser

from pipeline.core.customer.preferences import Preferences

PAGES = Path(__file__).parents[2] / "pipeline" / "web" / "pages"


@pytest.mark.parametrize("width", [320, 390])
def test_the_preference_centre_fits(width: int, browser: Browser) -> None:
    templates = Environment(loader=FileSystemLoader(PAGES), undefined=StrictUndefined, autoescape=True)
    html = templates.get_template("preferences.html").render(
        style=(PAGES / "style.css").read_text(),
        said="",
        channel="email",
        words={"email": "e-mails"},
        labels={"email": "E-mail"},
        may_unsubscribe=True,
        choices=[("email", True)],
        interests=[("tea", "Everything about tea", True), ("long", "Donaudampfschifffahrtsgesellschaft" * 3, False)],
        own=Preferences(),
        often={"0": "Whenever there is something worth telling"},
        times={"": "At any time"},
    )
    with browser.new_page(viewport={"width": width, "height": 800}) as page:
        page.set_content(html)
        assert page.evaluate("document.documentElement.scrollWidth") == width
