"""The command `completion`: a script for bash, zsh or fish that completes commands, options and their values.

Made from the parser itself, so it never lacks what was added. Nothing is asked of a cluster.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from glassraft.jobqueue.cli.options import Commands


@dataclass(frozen=True, slots=True)
class Level:
    """What can follow after these commands: further commands, options, and the values of options."""

    path: tuple[str, ...]
    commands: dict[str, str]
    options: dict[str, str]
    """By name, with a line about each."""
    values: dict[str, Sequence[str]]


def add_commands(commands: Commands) -> None:
    """completion."""
    about = 'print a script that completes this command: eval "$(glassraft completion bash)"'
    made = commands.add("completion", _completion, about)
    made.add_argument("shell", choices=tuple(SCRIPTS))


def _completion(options: argparse.Namespace) -> int:
    print(script(options.shell, Path(sys.argv[0]).name, options.parser()))
    return 0


def script(shell: str, program: str, parser: argparse.ArgumentParser) -> str:
    """The shell's script for this program."""
    return SCRIPTS[shell](program, list(levels(parser)))


def levels(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[Level]:
    """Every command with what can follow it, the program itself first."""
    level = Level(path, {}, {}, {})
    nested: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            nested = dict(action.choices)
            level.commands.update({each.dest: each.help or "" for each in action._choices_actions})
        elif action.option_strings:
            level.options.update(dict.fromkeys(action.option_strings, action.help or ""))
            if action.choices:
                values = [str(choice) for choice in action.choices]
                level.values.update(dict.fromkeys(action.option_strings, values))
        elif action.choices:
            level.commands.update(dict.fromkeys(map(str, action.choices), ""))
    yield level
    for name, inner in nested.items():
        yield from levels(inner, (*path, name))


def _bash(program: str, all_levels: Sequence[Level]) -> str:
    function = _function(program)
    return f"""{function}() {{
    local word path= previous="${{COMP_WORDS[COMP_CWORD-1]}}" current="${{COMP_WORDS[COMP_CWORD]}}" words=
    COMPREPLY=()
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$path $word" in {"|".join(_paths(all_levels))}) path="$path $word";; esac
    done
    case "$path:$previous" in
{_cases(all_levels, values=True)}
    esac
    if [ -z "$words" ]; then
        case "$path" in
{_cases(all_levels, values=False)}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F {function} {program}"""


def _zsh(program: str, all_levels: Sequence[Level]) -> str:
    function = _function(program)
    return f"""#compdef {program}
{function}() {{
    local word path_here= previous="${{words[CURRENT-1]}}" offered=
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        case "$path_here $word" in {"|".join(_paths(all_levels))}) path_here="$path_here $word";; esac
    done
    case "$path_here:$previous" in
{_cases(all_levels, values=True, variable="offered")}
    esac
    if [ -z "$offered" ]; then
        case "$path_here" in
{_cases(all_levels, values=False, variable="offered")}
        esac
    fi
    compadd -- ${{=offered}} || _files
}}
compdef {function} {program}"""


def _fish(program: str, all_levels: Sequence[Level]) -> str:
    lines = []
    for level in all_levels:
        inside = " ".join(level.path)
        wanted = "; and ".join(f"__fish_seen_subcommand_from {command}" for command in level.path)
        others = f"not __fish_seen_subcommand_from {' '.join(level.commands)}" if level.commands else ""
        start = f"complete -c {program} -n '{'; and '.join(filter(None, (wanted, others))) or 'true'}'"
        lines.append(f"# {program} {inside}".rstrip())
        lines += [f"{start} -f -a {name} -d '{_quoted(about)}'" for name, about in level.commands.items()]
        for option, about in level.options.items():
            flag = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            values = f" -x -a '{' '.join(level.values[option])}'" if option in level.values else ""
            lines.append(f"{start} {flag}{values} -d '{_quoted(about)}'")
    return "\n".join(lines)


SCRIPTS: Final[dict[str, Callable[[str, Sequence[Level]], str]]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}


def _function(program: str) -> str:
    return "_" + re.sub(r"\W", "_", program)


def _paths(all_levels: Sequence[Level]) -> list[str]:
    """The commands that lead on, each as its path."""
    return [f'" {" ".join(level.path)}"' for level in all_levels if level.path]


def _cases(all_levels: Sequence[Level], values: bool, variable: str = "words") -> str:
    """What is offered after each path; or with `values`, after each path and option that takes set values."""
    cases = []
    for level in all_levels:
        path = "".join(f" {command}" for command in level.path)
        if values:
            for option, offered in level.values.items():
                cases.append(f'        "{path}:{option}") {variable}="{" ".join(offered)}";;')
        else:
            cases.append(f'        "{path}") {variable}="{" ".join((*level.commands, *level.options))}";;')
    return "\n".join(cases)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
