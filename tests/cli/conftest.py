"""A fresh folder for each test."""

from pathlib import Path

import pytest

from cli.home import Home


@pytest.fixture
def empty(tmp_path: Path) -> Home:
    """Nothing is there yet."""
    return Home(tmp_path)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """`rapport init` was typed, and the campaigns of this repository are there."""
    return Home(tmp_path).init()
