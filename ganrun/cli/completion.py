"""Shell completion. `ganrun -sc install=SHELL` prints a script for the shell, which calls `ganrun -sc query=SHELL`.

Hydra's own completion does not know our verbs, and its bash script removes "=" from the word breaks of all commands.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ganrun import files
from ganrun.cli import arguments
from ganrun.config import docs
from ganrun.errors import UserError, did_you_mean, print_text, printable
from ganrun.files import outputs_dir

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
RUN_VERBS = {"runs": ("state", "tag"), "status": (), "logs": ("lines",), "stop": ("limit", "now"), "save": ("limit",)}
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
REMOVALS = {
    "bash": "complete -r ganrun\nunset -f _ganrun\n",
    "zsh": "compdef -d ganrun\nunfunction _ganrun\n",
    "fish": "complete -e -c ganrun\nfunctions -e _ganrun\n",
}


def run_completion(args: list[str], verbs: Mapping) -> int:
    """Print the answer to `-sc install=SHELL`, `-sc uninstall=SHELL` or `-sc query=SHELL`. Return the exit code."""
    action, _, shell = (args or [""])[0].partition("=")
    if action not in ("install", "uninstall", "query"):
        shells = ", ".join(SCRIPTS)
        raise UserError(f"-sc needs install=SHELL, uninstall=SHELL or query=SHELL, where SHELL is one of {shells}.")
    if shell not in SCRIPTS:
        raise UserError(f'No completion for the shell "{shell}".{did_you_mean(shell, SCRIPTS)}')
    scripts = {"install": SCRIPTS, "uninstall": REMOVALS}
    print_text(complete_line(shell, verbs) if action == "query" else scripts[action][shell])
    return 0


def complete_line(shell: str, verbs: Mapping) -> str:
    """Return the completions of the last word of $COMP_LINE, one per line, escaped for the shell."""
    words = re.split(r"(?<!\\)\s+", os.environ.get("COMP_LINE", "").lstrip())  # the last is "" after a space
    *before, word = (re.sub(r"\\(.)", r"\1", escaped) for escaped in words)
    names = sorted(name for name in list_candidates(before[1:], word, verbs) if is_offered(name, word))
    return "".join(f"{escape_candidate(name, shell)}\n" for name in names)


def is_offered(name: str, word: str) -> bool:
    """Whether the name continues the word and holds nothing that would control the terminal."""
    return name.startswith(word) and name == printable(name)


def escape_candidate(name: str, shell: str) -> str:
    """Escape special characters, and add a space if the word is complete. fish does both itself."""
    if shell == "fish":
        return name
    escaped = re.sub(r"([^\w@%+=:,./~-])", r"\\\1", name)
    return escaped if name.endswith(("=", ".", "/")) else f"{escaped} "


def list_candidates(args: list[str], word: str, verbs: Mapping) -> list[str]:
    """Return the possible words after these arguments; `word` is what is typed so far."""
    if not args:
        return [*verbs, "--help", "--version"] if word.startswith("-") else [*verbs]
    verb, *args = args
    if verb not in verbs:
        return []
    if verb in RUN_VERBS:
        return complete_run_verbs(verb, verbs[verb].flags, args, word)
    if word.startswith("-"):
        flags = [name for name in arguments.FLAGS if verb == "eval" or name not in arguments.FOLDER_FLAGS]
        return [*flags, *arguments.ALIASES]
    if args and args[-1] in ("-cd", "--config-dir", *arguments.FOLDER_FLAGS):
        return [f"{path}/" for path in sorted(Path().glob(f"{word}*")) if path.is_dir()]
    if not verbs[verb].is_hydra:
        return docs.group_names([files.conf_dir()])
    try:
        return complete_settings_or_runs(verb, verbs[verb].takes_run, args, word)
    except Exception:  # an invalid line has no completions, and a traceback at the prompt would not help
        return []


def complete_run_verbs(verb: str, flags: Iterable[str], args: list[str], word: str) -> list[str]:
    """Return the words that follow a command which looks after runs: flags, actions, settings and run folders."""
    if word.startswith("-"):
        return [*flags, "--help"]
    settings = [f"{key}=" for key in RUN_VERBS[verb]]
    if verb != "runs":
        return settings if args else ["last", *all_runs()]
    if not args:
        return ["rm", "clean", "du", "tag", "diff", *settings]
    return ["last", *all_runs()] if args[0] in ("rm", "tag", "diff") else settings if len(args) == 1 else []


def all_runs() -> list[str]:
    """Return the run folders below outputs/."""
    from ganrun.training.runs.find import iterate_run_folders

    return [str(folder) for folder in iterate_run_folders(outputs_dir())]


def saved_runs() -> list[str]:
    """Return the run folders below outputs/ that have checkpoints."""
    found = [path.parent for path in outputs_dir().glob("*/*/*/checkpoints") if path.is_dir()]
    return [str(path) for path in found if not files.is_unfinished(path)]


def complete_settings_or_runs(verb: str, takes_run: bool, args: list[str], word: str) -> list[str]:
    flags, args = arguments.parse_flags("train", args)
    is_folder_eval = bool(arguments.pop_folder_flags(verb, flags)) or arguments.is_folder_eval(verb, args)
    run, overrides = arguments.split_run(args) if takes_run else (None, args)
    if takes_run and run is None and not is_folder_eval and "=" not in word:
        return ["last", *saved_runs()]
    return complete_settings(verb, flags, overrides, word)


def complete_settings(verb: str, flags: dict[str, str], overrides: list[str], word: str) -> list[str]:
    """Return groups, choices and keys from Hydra's completion, also after a comma. `hydra.` keys only if asked for."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.plugins.completion_plugin import DefaultCompletionPlugin

    folders = docs.conf_dirs(flags.get("--config-dir"))
    search_path = [f"hydra.searchpath=['file://{folder.resolve()}']" for folder in folders[1:]]
    multirun = ["-m"] if "--multirun" in flags else []
    before, comma, last = word.rpartition(",")
    query = f"{before.partition('=')[0]}={last}" if comma else word
    line = " ".join([*multirun, *overrides, *search_path, query])
    with initialize_config_dir(config_dir=str(folders[0]), version_base="1.3"):
        plugin = DefaultCompletionPlugin(GlobalHydra.instance().config_loader())
        names = plugin._query(config_name=verb, line=line or " ")
    if comma:
        return [f"{before},{name.partition('=')[2]}" for name in names]
    groups = docs.group_names(folders)
    names = [f"{name}=" if name in groups else name for name in names]  # Hydra omits "=" if a group has subfolders
    return [name for name in names if word.startswith("hydra") or not name.startswith(("hydra", "run="))]
