"""Auth: whom the credentials stand for (``docs/behaviour/auth.md``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from flow_core.errors import AuthError
from flow_core.testing._bench import Bench
from flow_core.testing._contract import Contract
from flow_core.types import AuthField, Identity


class AuthContract(Contract):
    """Scenarios A01 to A04. ``wrong_credentials``: variables that make the plugin's credentials wrong ones."""

    claims: ClassVar[frozenset[str]] = frozenset({"flow_auth_check", "flow_auth_fields"})
    wrong_credentials: ClassVar[Mapping[str, str]] = {}

    def test_a01_good_credentials_stand_for_somebody(self, bench: Bench) -> None:
        self.need(bench, "flow_auth_check")
        identity = bench.flow.whoami()
        assert isinstance(identity, Identity)
        assert identity.user
        assert bench.flow.whoami() == identity

    def test_a02_what_login_asks_for_is_named_and_explained(self, bench: Bench) -> None:
        self.need(bench, "flow_auth_fields")
        fields = bench.provider.auth_fields()
        assert all(isinstance(field, AuthField) for field in fields)
        assert len({field.name for field in fields}) == len(fields) > 0
        for field in fields:
            assert field.name.isidentifier(), f"{field.name!r} cannot be a setting"
            assert field.help, f"{field.name} has no help"
            assert field.env is None or field.env == field.env.upper()

    def test_a03_wrong_credentials_are_an_auth_error(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self._spoil(bench, monkeypatch)
        with pytest.raises(AuthError):
            bench.client().provider().auth_check()

    def test_a04_no_message_shows_a_credential(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self._spoil(bench, monkeypatch)
        with pytest.raises(AuthError) as refused:
            bench.client().provider().auth_check()
        error = refused.value
        parts = (error, error.message, error.hint, error.details, error.__cause__, error.__context__)
        shown = "".join(map(repr, parts))
        assert not [name for name, value in self.wrong_credentials.items() if value and value in shown]

    def _spoil(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.need(bench, "flow_auth_check")
        if not self.wrong_credentials:
            pytest.skip("the test class names no wrong_credentials")
        for name, value in self.wrong_credentials.items():
            monkeypatch.setenv(name, value)
