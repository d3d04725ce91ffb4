"""Rules are published once: what stands on the log and waits is not published again by whoever starts next."""

from pathlib import Path

from agreement.shop import CAMPAIGNS, Shop
from pipeline.app import publish_campaigns, publish_model
from pipeline.core.lapse_model import LapseModel


def test_campaigns_that_wait_to_be_decided_are_not_published_again(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    try:
        first = publish_campaigns(shop.app, CAMPAIGNS, only_if_changed=True)
        assert first is not None
        assert publish_campaigns(shop.app, CAMPAIGNS, only_if_changed=True) is None
        second = publish_campaigns(shop.app, CAMPAIGNS, only_if_changed=False)
        assert second is not None and second > first
    finally:
        shop.close()


def test_a_model_that_waits_has_an_older_version_than_the_next_one(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    try:
        assert publish_model(shop.app, LapseModel()) < publish_model(shop.app, LapseModel())
    finally:
        shop.close()
