"""What an adapter carries besides its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from adapter_platform.core.errors import PluginError
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.registry import Brought, Registry, Step
from adapter_platform.core.training.publishing import step_records
from adapter_platform.core.training.requests import make_request

from .conftest import SCHEME


class Careless:
    """A step whose `build` takes a setting for granted."""

    name = "careless"

    def build(self, settings: Mapping[str, Any], scheme: LabelScheme) -> Any:
        return settings["colour"]


def test_a_step_that_raises_on_its_settings_ends_a_training_with_its_plugins_name(
    with_domain: Registry,
) -> None:
    registry = replace(with_domain, postprocessors={"careless": Brought(Careless(), "acme", "1")})
    request = make_request("support", None, registry, "tiny")
    request = replace(request, postprocess=(Step("careless"),))
    with pytest.raises(PluginError, match="'careless' of the plugin 'acme' failed on its settings"):
        step_records(request, SCHEME, registry)
