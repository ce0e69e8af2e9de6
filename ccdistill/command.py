"""The command line ``ccdistill``: its help, its completion, and the way to each subcommand."""

from __future__ import annotations

import difflib

import click
from click.shell_completion import CompletionItem, get_completion_class

from . import doctor as doctor_page
from .option_names import option_names
from .shipped_files import config_names, shipped_root
from .subcommands import Subcommand, offered, start

#: The variable by which a shell asks for completions, of click.
COMPLETE_VARIABLE = '_CCDISTILL_COMPLETE'
SHELLS = ('bash', 'zsh', 'fish')


class LazyGroup(click.Group):
    """Subcommands of :data:`~ccdistill.subcommands.SUBCOMMANDS` beside those that are functions here."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the help."""
        return [*offered(), *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand of a name; its words go to its program as they are."""
        row = offered().get(cmd_name)
        return super().get_command(ctx, cmd_name) if row is None else PassingCommand(cmd_name, row)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand, or name the nearest one and leave with code 2."""
        names = self.list_commands(ctx)
        if args[0] not in names and not ctx.resilient_parsing:
            similar = difflib.get_close_matches(args[0], names, n=1)
            hint = f'such as {similar[0]!r}' if similar else ', '.join(names)
            separator = ', ' if similar else ': '
            click.echo(
                f'error: there is no subcommand {args[0]!r}: expected one of ccdistill --help'
                f'{separator}{hint}; correct its name',
                err=True,
            )
            ctx.exit(2)
        return super().resolve_command(ctx, args)


class PassingCommand(click.Command):
    """A subcommand whose words all go to its program."""

    def __init__(self, name: str, row: Subcommand) -> None:
        words = click.Argument(
            ['words'], nargs=-1, type=click.UNPROCESSED, shell_complete=_configs_and_files
        )
        super().__init__(
            name,
            params=[words],
            callback=lambda words: start(name, words),
            short_help=row.title,
            add_help_option=False,  # the program has its own
            context_settings=dict(ignore_unknown_options=True, allow_interspersed_args=False),
        )
        self.row = row

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Options of the program."""
        names = option_names(shipped_root() / self.row.program)
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _configs_and_files(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of shipped configs; files too, unless what is typed is the beginning of a name."""
    names = [name for name in config_names() if name.startswith(incomplete)]
    files = [] if names and incomplete else [CompletionItem(incomplete, type='file')]
    return [*map(CompletionItem, names), *files]


@click.group(cls=LazyGroup, context_settings=dict(help_option_names=['-h', '--help']))
@click.version_option(package_name='mmseg-ccdistill', prog_name='ccdistill')
def ccdistill() -> None:
    """Night-time segmentation by CCDistill and its rivals, on MMSegmentation.

    A config is a file, or the name of one that ships: ccdistill/refinenet_r101_cs2dz. `ccdistill SUBCOMMAND --help`
    tells the options of one subcommand.
    """


@ccdistill.command(short_help='Check this machine and installation.')
@click.option('--work-dir', default='.', help='Folder that runs will write to (default: this one).')
def doctor(work_dir: str) -> None:
    """Check versions, stack, GPU, memory and disk: a verdict on each, and how to fix what is wrong.

    Leaves with code 1 if something keeps a training from running. The last lines can go into a bug report.
    """
    raise SystemExit(doctor_page.show(work_dir))


@ccdistill.command(short_help='Print the completion script of a shell.')
@click.argument('shell', type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what makes a shell complete subcommands, options and configs.

    For example: ccdistill completion bash >> ~/.bashrc
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ccdistill, {}, 'ccdistill', COMPLETE_VARIABLE).source())


def main() -> None:
    """Run the command line."""
    ccdistill(prog_name='ccdistill', complete_var=COMPLETE_VARIABLE)
