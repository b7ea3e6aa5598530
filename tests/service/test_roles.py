"""Who decides, who scores in the shadow, and whether who decides is in service."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fraudlake.errors import FraudlakeError
from fraudlake.service.admission import Model
from fraudlake.service.roles import Roles


class Aliases(dict):
    """A registry of aliases; while it is `down` it does not answer."""

    down = False

    def resolve(self, alias):
        if self.down:
            raise ConnectionError("no route")
        if alias.isdigit():
            return int(alias)
        if alias not in self:
            raise FraudlakeError(f"no {alias}")
        return self[alias]


def admitted(_, version):
    if version < 0:
        raise FraudlakeError(f"bad {version}")
    return Model(version, {}, "", 0.5)


CACHE = SimpleNamespace(admitted=admitted, last=lambda alias: admitted(alias, 1))


@pytest.fixture
def aliases():
    return Aliases(champion=1)


def roles(aliases, model):
    return Roles(aliases.resolve, CACHE, model, 3600)


def test_who_follows_the_champion_serves(aliases):
    """Also where the next one is refused and the one before it stays."""
    with roles(aliases, "champion") as found:
        aliases["champion"] = -2
        found.deciding.look()
        assert [model.version for model in found.models()] == [1]
        assert found.in_service(1)


def test_a_version_serves_as_long_as_it_is_the_champion(aliases):
    with roles(aliases, "2") as found:
        assert found.in_service(2) is False
        aliases["champion"] = 2
        found._champion.look()
        assert found.in_service(2) is True
        aliases["champion"] = 3
        found._champion.look()
        assert found.in_service(2) is False
        aliases.down = True
        found._champion.look()
        assert found.in_service(3) is True, "as it was known last"


def test_another_alias_serves_where_it_names_the_same_version(aliases):
    aliases["candidate"] = 1
    with roles(aliases, "candidate") as found:
        assert found.in_service(1) is True


def test_nobody_serves_where_there_is_no_champion_and_nobody_knows_while_none_answers(aliases):
    aliases.clear()
    with roles(aliases, "2") as found:
        assert found.in_service(2) is False
    aliases.down = True
    with roles(aliases, "1") as found:
        assert found.in_service(1) is None


def test_a_version_with_two_roles_scores_once(aliases):
    aliases["challenger"] = 1
    with roles(aliases, "champion") as found:
        assert [model.version for model in found.models()] == [1]
        aliases["challenger"] = 4
        found.challenger.look()
        assert [model.version for model in found.models()] == [1, 4]
