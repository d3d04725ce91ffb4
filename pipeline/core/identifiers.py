"""Names that follow from business identity alone: subject keys, effect ids, voucher codes, stable hashes."""

import hashlib
import hmac

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in CROCKFORD for second in CROCKFORD]
"""Of characters, by their 10 bits."""
CODE_BITS = 80


def customer_key(user_id: str, anonymous_id: str) -> str:
    """The subject an input event belongs to: `u:` the known person, else `a:` the browser."""
    return f"u:{user_id}" if user_id else f"a:{anonymous_id}"


def voucher_key(code: str) -> str:
    """The subject of a voucher."""
    return f"v:{code}"


def budget_key(campaign: str) -> str:
    """The subject of a campaign's budget."""
    return f"m:{campaign}"


def product_key(product_id: str) -> str:
    """The subject of a product."""
    return f"p:{product_id}"


def category_key(category: str) -> str:
    """The subject of a category; "" for the whole shop."""
    return f"c:{category}"


def invitation_key(code: str) -> str:
    """The subject of an invitation code."""
    return f"r:{code}"


def effect_id(*identity: str) -> str:
    """128 bits, as 32 hexadecimal digits, of the business identity (campaign, customer, occasion, …)."""
    return _digest(identity, 16).hex()


def voucher_code(secret: bytes, voucher_id: str) -> str:
    """HMAC-SHA256(secret, id), its first 80 bits in Crockford's base32: 16 characters nobody can guess."""
    number = int.from_bytes(hmac.digest(secret, voucher_id.encode(), "sha256")[: CODE_BITS // 8])
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(CODE_BITS - 10, -1, -10)])


def normalised_code(typed: str) -> str:
    """A code as a person types it, brought back to its canonical form (case, hyphens, O for 0, I and L for 1)."""
    table = str.maketrans("OIL", "011", "- ")
    return typed.strip().upper().translate(table)


def address_name(address: str) -> str:
    """64 bits, as 16 hexadecimal digits, of an e-mail address (whatever its case) or a push endpoint: stands for it
    where the address itself need not be known. "" for none."""
    return _digest((address.strip().lower(),), 8).hex() if address else ""


def stable_percent(*identity: str) -> float:
    """A fixed number in [0, 100) for this identity: who is in a holdout, the same in every run."""
    return int.from_bytes(_digest(identity, 8)) / 2**64 * 100


def _digest(identity: tuple[str, ...], size: int) -> bytes:
    """Each part with its length before it: no two identities are one text, whatever characters an id holds."""
    text = "".join([f"{len(part)}:{part}" for part in identity])
    return hashlib.blake2b(text.encode(), digest_size=size).digest()
