"""Shell completion: ganrun -sc install=SHELL prints the script that a shell evaluates; the script calls query=SHELL.

Hydra's own completion knows no verbs, and its bash script takes "=" from the shell's word breaks for all commands.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from ganrun import paths
from ganrun.cli import arguments
from ganrun.config import docs
from ganrun.errors import UserError, did_you_mean

BASH = """\
_ganrun() {
    local IFS=$'\\n' line="${COMP_LINE:0:COMP_POINT}" word head
    word="${line##* }"
    head=""
    case "$COMP_WORDBREAKS" in *=*) head="${word%"${word##*[=:@]}"}" ;; esac
    COMPREPLY=($(COMP_LINE="$line" "${COMP_WORDS[0]}" -sc query=bash 2>/dev/null))
    COMPREPLY=("${COMPREPLY[@]#"$head"}")
}
complete -o nospace -o default -F _ganrun ganrun
"""
ZSH = """\
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u; }
_ganrun() {
    local -a found
    found=("${(@f)$(COMP_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" ${words[1]} -sc query=zsh 2>/dev/null)}")
    [[ -n "$found" ]] && compadd -Q -S '' -- "${found[@]}"
}
compdef _ganrun ganrun
"""
FISH = """\
function _ganrun
    set -lx COMP_LINE (commandline -cp)
    set -l words (commandline -opc)
    $words[1] -sc query=fish 2>/dev/null
end
complete -c ganrun -f -a '(_ganrun)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
REMOVALS = {
    "bash": "complete -r ganrun\nunset -f _ganrun\n",
    "zsh": "compdef -d ganrun\nunfunction _ganrun\n",
    "fish": "complete -e -c ganrun\nfunctions -e _ganrun\n",
}


def run_completion(words: list[str], verbs: Mapping) -> int:
    """Answers `-sc install=SHELL`, `-sc uninstall=SHELL` and `-sc query=SHELL`."""
    actions: dict[str, Callable[[str], str]] = {
        "install": SCRIPTS.__getitem__,
        "uninstall": REMOVALS.__getitem__,
        "query": lambda shell: complete_line(shell, verbs),
    }
    action, _, shell = (words or [""])[0].partition("=")
    if action not in actions:
        raise UserError(f"-sc takes install=SHELL, uninstall=SHELL or query=SHELL, with SHELL {', '.join(SCRIPTS)}.")
    if shell not in SCRIPTS:
        raise UserError(f'There is no completion for the shell "{shell}".{did_you_mean(shell, SCRIPTS)}')
    sys.stdout.write(actions[action](shell))
    return 0


def complete_line(shell: str, verbs: Mapping) -> str:
    """What can stand at the end of $COMP_LINE, a line each, as the shell wants to read it."""
    words = re.split(r"(?<!\\)\s+", os.environ.get("COMP_LINE", "").lstrip())
    plain = [re.sub(r"\\(.)", r"\1", word) for word in words]
    found = sorted(name for name in list_candidates(plain[1:-1], plain[-1], verbs) if name.startswith(plain[-1]))
    return "".join(f"{escape_candidate(name, shell)}\n" for name in found)


def escape_candidate(name: str, shell: str) -> str:
    """The name as it is put into the line: its odd signs escaped, and a space after it unless more must follow."""
    if shell == "fish":  # fish does both itself
        return name
    escaped = re.sub(r"([^\w@%+=:,./~-])", r"\\\1", name)
    return escaped if name.endswith(("=", ".", "/")) else f"{escaped} "


def list_candidates(words: list[str], word: str, verbs: Mapping) -> list[str]:
    if not words:
        return [*verbs, "--help", "--version"] if word.startswith("-") else [*verbs]
    verb, *words = words
    if verb not in verbs:
        return []
    if word.startswith("-"):
        return [*arguments.verb_flags(verb), *arguments.SHORT_FLAGS]
    if words and words[-1] in ("-cd", "--config-dir", *arguments.FOLDER_FLAGS):
        return [f"{path}/" for path in sorted(Path().glob(f"{word}*")) if path.is_dir()]
    if not verbs[verb].is_hydra:
        return docs.group_names([paths.conf_dir()])
    try:
        flags, others = arguments.parse_flags(words)
        return complete_settings_or_runs(verb, verbs[verb].takes_run, flags, others, word)
    except Exception:  # a line that is wrong so far has no completion; a traceback in the prompt helps no one
        return []


def complete_settings_or_runs(
    verb: str, takes_run: bool, flags: dict[str, str], words: list[str], word: str
) -> list[str]:
    is_of_folders = bool(arguments.pop_folder_flags(verb, flags)) or arguments.is_folder_eval(verb, words)
    run, others = arguments.split_run(words) if takes_run else (None, words)
    if takes_run and run is None and not is_of_folders and "=" not in word:
        return ["last", *list_run_folders()]
    return complete_settings(verb, flags, others, word)


def list_run_folders() -> list[str]:
    """The run folders under outputs/ that hold checkpoints."""
    return [str(path) for path in Path("outputs").glob("*/*/*") if (path / "checkpoints").is_dir()]


def complete_settings(verb: str, flags: dict[str, str], words: list[str], word: str) -> list[str]:
    """Groups, choices and keys as Hydra completes them, values after a comma too; its own settings only if asked."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.plugins.completion_plugin import DefaultCompletionPlugin

    roots = docs.conf_dirs(flags.get("--config-dir"))
    searchpath = [f"hydra.searchpath=['file://{root.resolve()}']" for root in roots[1:]]
    multirun = ["-m"] if "--multirun" in flags else []
    before, comma, last = word.rpartition(",")
    asked = f"{before.partition('=')[0]}={last}" if comma else word
    line = " ".join([*multirun, *words, *searchpath, asked])
    with initialize_config_dir(config_dir=str(roots[0]), version_base="1.3"):
        plugin = DefaultCompletionPlugin(GlobalHydra.instance().config_loader())
        found = plugin._query(config_name=verb, line=line or " ")
    if comma:
        return [f"{before},{name.partition('=')[2]}" for name in found]
    groups = docs.group_names(roots)  # Hydra leaves the "=" out where a group has folders inside
    names = [f"{name}=" if name in groups else name for name in found]
    return [name for name in names if word.startswith("hydra") or not name.startswith(("hydra", "run="))]
