"""What an answer cost, by the server's own list or the one that ships with genai-prices; no network is used."""

from decimal import Decimal

from genai_prices import calc_price
from pydantic_ai.usage import RequestUsage

from quarterdeck.core.prices import Price
from quarterdeck.core.usage import Usage

TOKEN_CHARACTERS = 4
"""About how many characters of English or code a token has, for answers whose tokens nobody counted."""


def priced(
    reported: RequestUsage, model: str, base_url: str, price: Price | None = None, *, estimated: bool = False
) -> Usage:
    """The usage of one request. `input_tokens` counts those read from and written to the provider's cache too.

    Without a `price` that the server was told, it is known only for an address on the list that ships: a model of the
    same name behind another address may cost anything. What a provider didn't report has no price either.
    """
    measured = not reported.unmeasured_requests and bool(reported.input_tokens or reported.output_tokens)
    usage = Usage(
        requests=1,
        input_tokens=reported.input_tokens,
        output_tokens=reported.output_tokens,
        cache_read_tokens=reported.cache_read_tokens,
        cache_write_tokens=reported.cache_write_tokens,
        cost=None,
        estimated=estimated,
    )
    if not measured:
        return usage
    cost = price.cost(usage) if price else _cost(reported, model, base_url)
    return usage.model_copy(update={"cost": cost})


def guessed(reported: RequestUsage, asked: int, answered: int) -> RequestUsage:
    """What an answer that broke off used: what its provider had told by then, the rest by counting characters."""
    return RequestUsage(
        input_tokens=reported.input_tokens or -(-asked // TOKEN_CHARACTERS),
        output_tokens=max(reported.output_tokens, -(-answered // TOKEN_CHARACTERS)),
        cache_read_tokens=reported.cache_read_tokens,
        cache_write_tokens=reported.cache_write_tokens,
    )


def _cost(reported: RequestUsage, model: str, base_url: str) -> Decimal | None:
    try:
        return calc_price(reported, model, provider_api_url=base_url).total_price
    except (LookupError, ValueError):  # not on the list; or numbers that can't be, like more cached than all tokens
        return None
