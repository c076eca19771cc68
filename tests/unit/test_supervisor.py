from pathlib import Path

import pytest

from quarterdeck.supervisor import AlreadyServingError, own_home


def test_a_home_is_one_servers_or_shared_by_those_that_keep_nothing_of_their_own_there(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with own_home(home, shared=True), own_home(home, shared=True), pytest.raises(AlreadyServingError), own_home(home):
        pass
    with own_home(home), pytest.raises(AlreadyServingError), own_home(home, shared=True):
        pass
