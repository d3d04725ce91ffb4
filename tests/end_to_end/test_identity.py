"""Who is who, over HTTP: devices become one person, persons on one device stay two, a stranger gets nothing."""

from typing import Any

from cli.home import ask, until

from end_to_end.shop import Shop

OWN = ("purchases", "consent", "vouchers", "lapse", "stage", "stage_since_at", "times_lapsed", "times_won_back")
"""What only the person and the shop may change."""


def test_one_person_on_two_devices_is_one_profile(shop: Shop) -> None:
    laptop: dict[str, Any] = {"anonymousId": "laptop"}
    phone: dict[str, Any] = {"anonymousId": "phone"}
    for product in ("k-1", "k-2", "k-3"):
        shop.view(product, "kettles", **laptop)
    shop.settle()
    assert len(shop.profile("a:laptop")["decisions"]["issued"]["hesitation-chat"]) == 1
    shop.view("k-4", "kettles", **phone)
    for device in (laptop, phone):
        shop.say("identify", userId="ada", context=shop.proof("ada"), traits={"name": "Ada"}, again=True, **device)
        shop.settle()
    shop.view("k-5", "kettles", userId="ada", context=shop.proof("ada"), **phone)
    # what was still under way on the laptop, before its page knew of the log-in
    shop.view("k-6", "kettles", **laptop)
    for n in range(5):
        shop.order(f"ada-{n}", "ada", again=True)
    # the thank-you page tells of the order too, under the public key
    shop.order("ada-4", "ada", key=shop.write_key, context=shop.proof("ada"), **laptop)

    ada = shop.profile("ada")
    assert {(b["anonymous_id"], b["status"]) for b in ada["identity"]["browsers"]} == {
        ("laptop", "handed_over"),
        ("phone", "handed_over"),
    }
    assert ada["activity"]["events"] == 3 + 1 + 2 + 1 + 1 + 5 + 1
    assert sorted(v["product_id"] for v in ada["activity"]["recent_views"]) == [f"k-{n}" for n in range(1, 7)]
    assert (ada["purchases"]["orders"], ada["purchases"]["spend_cents"]) == (5, {"EUR": 15_000})
    assert len(ada["vouchers"]) == 1
    for browser in ("laptop", "phone"):
        assert shop.profile(f"a:{browser}")["identity"]["owner"] == "u:ada"
    prompts = [line for line in shop.home.log("chat-prompts") if line["category"] == "kettles"]
    assert len(prompts) == 1, "asked once, not once a device"
    assert [line["occasion"] for line in shop.home.log("vouchers") if line["customer"] == "u:ada"] == ["ada-4"]


def test_two_persons_on_one_browser_stay_two(shop: Shop) -> None:
    family: dict[str, Any] = {"anonymousId": "family"}
    shop.view("tea-1", "tea", **family)
    shop.say("identify", userId="bea", context=shop.proof("bea"), traits={"name": "Bea"}, **family)
    shop.settle()
    shop.say("identify", userId="carl", context=shop.proof("carl"), traits={"name": "Carl"}, **family)
    shop.view("mug-1", "mugs", userId="carl", context=shop.proof("carl"), **family)
    shop.order("bea-1", "bea", 10.0)
    shop.order("carl-1", "carl", 20.0)

    bea, carl = shop.profile("bea"), shop.profile("carl")
    assert (bea["identity"]["traits"], carl["identity"]["traits"]) == ({"name": "Bea"}, {"name": "Carl"})
    assert list(bea["activity"]["interests"]) == ["tea"], "the first who logged in has its history"
    assert list(carl["activity"]["interests"]) == ["mugs"]
    assert (bea["purchases"]["spend_cents"], carl["purchases"]["spend_cents"]) == ({"EUR": 1000}, {"EUR": 2000})
    assert shop.profile("a:family")["identity"]["shared"]
    before = carl["activity"]["events"]
    shop.view("pot-1", "pots", **family)
    assert shop.profile("carl")["activity"]["events"] == before, "whoever it was now, it is not known"
    assert shop.profile("bea")["activity"]["events"] == bea["activity"]["events"]


def the_victim(shop: Shop) -> dict[str, Any]:
    home: dict[str, Any] = {"anonymousId": "dee-at-home", "userId": "dee", "context": shop.proof("dee")}
    shop.say("identify", traits={"name": "Dee", "consent": {"email": True}}, **home)
    shop.view("c-1", **home)
    shop.voucher_of("dee")
    until(lambda: shop.profile("dee")["vouchers"][0]["status"] == "sent")
    return shop.profile("dee")


def test_a_stranger_who_claims_to_be_a_customer_changes_nothing_of_hers(shop: Shop) -> None:
    before = the_victim(shop)
    claims: list[dict[str, Any]] = [{"anonymousId": "dees-thief", "userId": "dee", "context": proof}
              for proof in ({}, {"userHash": ""}, {"userHash": shop.home.user_hash("someone else")})]  # fmt: skip
    shop.view("bait", "bait", anonymousId="dees-thief")
    for n, who in enumerate(claims):
        shop.say("identify", traits={"name": "Mallory", "consent": {"sms": True, "push": True}}, **who)
        shop.say("identify", context={**who["context"], "traits": {"name": "Mallory"}},
                 anonymousId="dees-thief", userId="dee")  # fmt: skip
        granted = {"channel": "sms", "purpose": "marketing"}
        shop.say("track", event="Consent Granted", properties=granted, **who)
        preferences = {"consent": {"categoryPreferences": {"sms": True}}}
        shop.say("track", event="Segment Consent Preference Updated",
                 **{**who, "context": {**who["context"], **preferences}})  # fmt: skip
        for event in ("Order Completed", "Order Updated", "Order Refunded", "Order Cancelled"):
            order = {"order_id": "dee-4" if n else f"theft-{n}", "total": 999, "currency": "EUR"}
            shop.say("track", event=event, properties=order, **who)
        shop.say("group", groupId="thieves", **who)
        shop.say("alias", previousId="dee-at-home", **who)
    shop.say("alias", userId="mallory", previousId="dee")
    shop.say("identify", userId="mallory", anonymousId="dee-at-home")
    after = shop.profile("dee")
    assert {name: after[name] for name in OWN} == {
        **{name: before[name] for name in OWN},
        "purchases": {**before["purchases"], "untrusted_orders": after["purchases"]["untrusted_orders"]},
    }
    assert after["identity"]["traits"] == before["identity"]["traits"]
    assert after["identity"]["groups"] == before["identity"]["groups"]
    assert after["decisions"]["issued"] == before["decisions"]["issued"]
    code = before["vouchers"][0]["code"]
    assert shop.get(f"/v1/vouchers/{code}").body["status"] == "open"


def test_a_stranger_who_claims_to_be_a_customer_sees_nothing_of_hers(shop: Shop) -> None:
    held = the_victim_again(shop)
    for path in ("/v1/customers/fay", f"/v1/vouchers/{held}"):
        assert shop.get(path, key=shop.write_key).status == 403
        assert shop.get(path, key="").status == 401
    assert "Fay" not in str(shop.customer("fay", shop.write_key).body)

    for n, user_hash in enumerate((None, "", shop.home.user_hash("gus"), "0" * 64)):
        assert held not in first_of_stream(shop, f"fays-thief-{n}", "fay", user_hash)
    assert held in first_of_stream(shop, "fay-at-home", "fay", shop.home.user_hash("fay"))


def the_victim_again(shop: Shop) -> str:
    """Fay wants her offers on the site; her voucher waits there."""
    home: dict[str, Any] = {"anonymousId": "fay-at-home", "userId": "fay", "context": shop.proof("fay")}
    shop.say("identify", traits={"name": "Fay", "consent": {"site": True}}, **home)
    return shop.voucher_of("fay")


def first_of_stream(shop: Shop, anonymous_id: str, user_id: str, user_hash: str | None) -> str:
    """What a page is told on its site stream up to a prompt that it causes itself: all that waited comes before."""
    asked = {"writeKey": shop.write_key, "anonymousId": anonymous_id, "userId": user_id, "userHash": user_hash}
    token = ask(shop.url, "POST", "/v1/stream/token", asked).body["token"]
    with shop.stream(token) as lines:
        said = next(lines)
        for product in ("1", "2", "3"):
            shop.view(f"{anonymous_id}-{product}", anonymous_id, anonymousId=anonymous_id)
        for line in lines:
            said += line
            if line.startswith("event: prompt"):
                return said
    raise AssertionError(f"the stream ended: {said}")
