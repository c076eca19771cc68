"""The client library says what the API says."""

import pytest

from codegen import client
from codegen.types import docstring, type_of


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return client.files(client.document())


@pytest.mark.parametrize("name", ["models.py", "calls.py", "async_calls.py"])
def test_the_client_has_all_that_the_api_has(files: dict[str, str], name: str) -> None:
    written = (client.PACKAGE / name).read_text(encoding="utf-8")
    assert written == client.formatted(files[name]), "the API has changed: python3 dev.py client"


def test_a_shape_that_is_not_known_is_an_error_and_no_guess() -> None:
    with pytest.raises(ValueError, match="doesn't know"):
        type_of({"not": {"type": "string"}})


def test_no_description_ends_its_docstring() -> None:
    hostile = docstring({"description": 'a """ b \\ ' + "long words " * 20})
    assert hostile.count('"""') == 2
    assert compile(hostile, "x", "eval")
