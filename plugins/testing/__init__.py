"""For plugin authors: a tiny base, a private home, the command, and a suite to inherit.

In the `conftest.py` of the plugin's tests::

    pytest_plugins = ["adapter_platform.plugins.testing"]

and in a test module::

    from adapter_platform.plugins.testing import PluginConformance

    class TestAcme(PluginConformance):
        plugin = acme_tickets
"""

from .bases import make_tiny_base, tiny_base, tiny_base_without_pooler
from .conformance import PluginConformance, check_invariants
from .home import Ran, platform_home, platform_store, run_command, run_platform
from .samples import SCHEMES, predictions

__all__ = [
    "SCHEMES",
    "PluginConformance",
    "Ran",
    "check_invariants",
    "make_tiny_base",
    "platform_home",
    "platform_store",
    "predictions",
    "run_command",
    "run_platform",
    "tiny_base",
    "tiny_base_without_pooler",
]
