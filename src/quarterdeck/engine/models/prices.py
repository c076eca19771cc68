"""What an answer cost, by the price list that ships with genai-prices; nothing is looked up in the network."""

from decimal import Decimal

from genai_prices import calc_price
from pydantic_ai.usage import RequestUsage

from quarterdeck.core.usage import Usage


def priced(reported: RequestUsage, model: str, base_url: str) -> Usage:
    """The usage of one request. `input_tokens` counts those read from and written to the provider's cache too.

    The price is known only for an address on the price list: a model of the same name behind another address may
    cost anything. What a provider didn't report has no price either.
    """
    measured = not reported.unmeasured_requests and bool(reported.input_tokens or reported.output_tokens)
    return Usage(
        requests=1,
        input_tokens=reported.input_tokens,
        output_tokens=reported.output_tokens,
        cache_read_tokens=reported.cache_read_tokens,
        cache_write_tokens=reported.cache_write_tokens,
        cost=_cost(reported, model, base_url) if measured else None,
    )


def _cost(reported: RequestUsage, model: str, base_url: str) -> Decimal | None:
    try:
        return calc_price(reported, model, provider_api_url=base_url).total_price
    except (LookupError, ValueError):  # not on the list; or numbers that can't be, like more cached than all tokens
        return None
