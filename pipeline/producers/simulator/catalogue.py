"""What the simulated shop sells: names and prices, invented. Only data lives here."""

import msgspec

CURRENCY = "EUR"


class Item(msgspec.Struct, frozen=True):
    """One product."""

    product_id: str
    category: str
    name: str
    price_cents: int


_PRICES: dict[str, dict[str, int]] = {
    "coffee": {
        "Morning Blend": 890,
        "Sidamo": 1150,
        "Espresso Nero": 980,
        "Evening Decaf": 1020,
        "Huila": 1240,
        "Yirgacheffe": 1390,
        "Cold Brew Bags": 1490,
        "Monsooned Malabar": 1090,
        "House Filter": 790,
        "Tasting Box": 2900,
    },
    "tea": {
        "Assam": 740,
        "Sencha": 1260,
        "Earl Grey": 810,
        "Rooibos Orange": 690,
        "Darjeeling": 1180,
        "Gunpowder": 650,
        "Peppermint": 520,
        "Chai": 780,
        "White Peony": 1590,
        "Matcha": 2450,
    },
    "equipment": {
        "Dripper": 2400,
        "Hand Grinder": 8900,
        "Kettle": 6450,
        "Glass Teapot": 3200,
        "French Press": 3450,
        "Scale": 4200,
        "Moka Pot": 2990,
        "Milk Frother": 1990,
        "Filter Papers": 590,
    },
    "books": {
        "The Coffee Atlas": 3490,
        "Tea: A History": 2400,
        "Bread at Home": 2890,
        "The Small Kitchen": 1990,
        "Fermenting": 2250,
        "Chocolate": 2690,
        "Slow Mornings": 1690,
        "Knives": 1890,
        "Soup": 1590,
    },
    "music": {
        "Piano at Night": 1290,
        "Café Jazz": 1490,
        "Strings": 1590,
        "Rain": 990,
        "Northern Songs": 1390,
        "Bossa": 1250,
        "Field Recordings": 1690,
        "Early Organ": 1890,
        "Dub Plates": 2190,
    },
    "chocolate": {
        "Dark 70": 390,
        "Dark 85": 420,
        "Milk with Salt": 360,
        "Hazelnut": 450,
        "Drinking Chocolate": 890,
        "Pralines": 1690,
        "Couverture": 1450,
        "Nibs": 620,
        "White with Lemon": 390,
    },
    "home": {
        "Linen Towel": 1490,
        "Stoneware Cup": 1890,
        "Beeswax Candle": 990,
        "Oak Board": 3490,
        "Wool Blanket": 8900,
        "Apron": 2790,
        "Vase": 2490,
        "Bread Tin": 3290,
        "Tray": 2690,
    },
    "garden": {
        "Mint Seeds": 290,
        "Tomato Seeds": 340,
        "Hand Trowel": 1890,
        "Watering Can": 3490,
        "Herb Box": 2290,
        "Gloves": 1290,
        "Twine": 590,
        "Secateurs": 4490,
        "Bird Feeder": 2790,
        "Bulbs": 990,
    },
}

ITEMS: tuple[Item, ...] = tuple(
    Item(f"{category}-{number:02}", category, name, price_cents)
    for category, products in _PRICES.items()
    for number, (name, price_cents) in enumerate(products.items(), start=1)
)
CATEGORIES: tuple[str, ...] = tuple(_PRICES)
BY_CATEGORY: dict[str, tuple[Item, ...]] = {
    category: tuple(item for item in ITEMS if item.category == category) for category in CATEGORIES
}
