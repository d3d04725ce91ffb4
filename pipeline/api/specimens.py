"""One of each, for the reference: a customer, a voucher, a prompt that nobody ever had. Only data."""

from pipeline.core.condition import Condition
from pipeline.core.customer.account import Account, Credit, Entry
from pipeline.core.customer.activity import Activity, CartLine, View
from pipeline.core.customer.chat import Chatting
from pipeline.core.customer.consent import Consent, Permission
from pipeline.core.customer.decisions import Answer, Decisions
from pipeline.core.customer.identity import Browser, Identity
from pipeline.core.customer.journeys import Journey, Journeys
from pipeline.core.customer.lapse import Lapse
from pipeline.core.customer.lifecycle import Lifecycle
from pipeline.core.customer.loyalty import Loyalty
from pipeline.core.customer.profile import Profile
from pipeline.core.customer.purchases import Order, Purchases
from pipeline.core.customer.referral import Referral
from pipeline.core.customer.transcript import Line
from pipeline.core.customer.vouchers import Held, Vouchers
from pipeline.core.effects import ChatPrompt, Task, TaskDone
from pipeline.core.rules import Segment
from pipeline.core.voucher import VoucherState
from pipeline.recommending import Recommendation

AT = 1_795_000_000_000
DAY_MS = 86_400_000
CODE = "7ZK3M0QJ5T8WXA2C"
ID = "5d41402abc4b2a76b9719d911017c592"

VOUCHER = VoucherState(
    key=f"v:{CODE}",
    now=AT,
    id=ID,
    code=CODE,
    customer="u:ada",
    campaign="win-back",
    status="open",
    discount_percent=15,
    discount_cents=0,
    currency="EUR",
    minimum_spend_cents=0,
    category="",
    redeemable=True,
    issued_at=AT,
    expires_at=AT + 30 * DAY_MS,
)

PROMPT = ChatPrompt(
    id="0cc175b9c0f1b6a831c399e269772661",
    customer="a:browser",
    anonymous_id="browser",
    campaign="hesitation-chat",
    occasion="visit-1",
    reason="same_product",
    category="coffee",
    product_id="c-01",
    text="Do you need help choosing?",
    facts="{}",
    decided_at=AT,
    not_after=AT + 300_000,
)

TASK = Task(
    id="c4ca4238a0b923820dcc509a6f75849b",
    customer="u:ada",
    campaign="call-regulars",
    occasion="order-10",
    kind="phone",
    instructions="Ask how the machine does.",
    reason="nth order: number 10",
    facts='{"channel":"phone","orders":10}',
    decided_at=AT,
    not_after=AT + 14 * DAY_MS,
)

TASK_DONE = TaskDone(id=TASK.id, customer="u:ada", outcome="reached", note="All is well.", decided_at=AT + DAY_MS)

CUSTOMER = Profile(
    "u:ada",
    AT,
    identity=Identity(
        browsers={"browser": Browser("handed_over", "VERIFIED", AT - DAY_MS, 4)}, traits={"name": "Ada"}
    ),
    consent=Consent({"email.marketing": Permission(True, AT - DAY_MS, "Send me offers", "/shop/login.html")}),
    activity=Activity(
        first_seen=AT - 90 * DAY_MS,
        last_seen=AT,
        events=12,
        visits=3,
        visit_started=AT - 60_000,
        visit_events=2,
        anonymous_id="browser",
        first_source="campaign:spring",
        last_source="direct",
        interests={"coffee": 5},
        recent=(View(AT, "c-01", "coffee"),),
        cart={"c-01": CartLine("coffee", 1290, 1, AT)},
    ),
    purchases=Purchases(
        orders={"order-1": Order(AT - 90 * DAY_MS, 4200, "EUR", categories={"coffee": 3})},
        count=1,
        spend_cents={"EUR": 4200},
        categories={"coffee": 3},
        first_at=AT - 90 * DAY_MS,
        last_at=AT - 90 * DAY_MS,
        last_order_id="order-1",
    ),
    lifecycle=Lifecycle("lapsed", AT - DAY_MS, times_lapsed=1),
    lapse=Lapse({}, {"": "order-1", "win-back": "order-1"}, {"": AT - DAY_MS, "win-back": AT - DAY_MS}),
    decisions=Decisions(
        issued={"win-back": {"order-1": AT - DAY_MS}},
        answers={
            "win-back": Answer(
                "order-1",
                "TAKEN",
                "lapsed: chance to buy again within 273 days fell to 0.1999",
                '{"channel":"email","days_since_last_order":89,"orders":1,"p":0.1999,"threshold":0.2}',
                AT - DAY_MS,
                1,
            )
        },
    ),
    chat=Chatting(
        conversations=1,
        messages=1,
        last_message_at=AT - DAY_MS,
        transcript=(Line(ID, AT - DAY_MS, "VISITOR", "", "Is it decaf?", "", "c-1", "browser", True),),
    ),
    vouchers=Vouchers(
        {CODE: Held(ID, "win-back", "order-1", "email", "sent", AT, AT + 30 * DAY_MS, 15, 0, "EUR", 0, "")}
    ),
    journeys=Journeys({"cart-reminder": Journey("cart-1795000000000", AT, "still-there", AT, AT + DAY_MS)}),
    loyalty=Loyalty(
        Account(
            balance=42,
            lifetime_points=42,
            credits={"order/order-1": Credit(AT - 90 * DAY_MS, 42, 42, AT + 275 * DAY_MS)},
            lots={AT + 275 * DAY_MS: 42},
            entries=(Entry(AT - 90 * DAY_MS, 42, "EARNED", "order/order-1", AT + 275 * DAY_MS, 1, 42),),
            lines=1,
        ),
        tier="silver",
        told_balance=42,
        told_lifetime=42,
        told_tier="silver",
    ),
    referral=Referral("7XKQ0R5ZB3M2W8YD", 2, 1),
)

RECOMMENDED = Recommendation(
    product_id="tea-04",
    name="Rooibos Orange",
    category="tea",
    price_cents=690,
    currency="EUR",
    url="https://shop.example/tea-04",
    image_url="",
    score=0.31,
    reason="bought_together",
    because="tea-01",
)

SEGMENT = Segment(
    name="regulars",
    description="Who buys again and again.",
    all_of=(Condition(field="purchases.orders", op="at_least", value=3),),
)
