"""``platform adapters``: one file a subcommand."""

import typer

from ..group import Group


class Adapters(Group):
    """Its commands, in the order of a first day's use."""

    ours = {  # noqa: RUF012 - a constant of the class that it overrides
        "list": "adapters.listing:list_adapters",
        "show": "adapters.show:show",
        "train": "adapters.train:train",
        "tune": "adapters.tune:tune",
        "eval": "adapters.evaluate:evaluate",
        "compare": "adapters.compare:compare",
        "profile": "adapters.profile:profile",
        "import": "adapters.importing:import_adapter",
        "import-legacy": "adapters.importing:import_legacy",
        "export": "adapters.exporting:export_adapter",
        "promote": "adapters.promote:promote",
        "rollback": "adapters.rollback:rollback",
        "remove": "adapters.remove:remove",
        "verify": "adapters.verify:verify",
        "gc": "adapters.gc:collect",
    }


app = typer.Typer(
    cls=Adapters,
    help="Train, judge, publish and look at adapters.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
