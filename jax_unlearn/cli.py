"""The command `jax-unlearn`: lists the commands, and runs one as `python -m` would.

An installed package holds the commands as `jax_unlearn.commands`; in a clone, and where a clone is
installed editably, the same code is the folder `experiments` beside the package.
"""

import ast
import importlib.util
import pathlib
import runpy
import subprocess
import sys

from jax_unlearn.core import InputError, check_choice

INSTALLED = "jax_unlearn.commands"
IN_CLONE = "experiments"

DISPATCH = """\
_jax_unlearn() {
  if [ "$COMP_CWORD" -le 1 ]; then
    COMPREPLY=($(compgen -W "COMMANDS" -- "${COMP_WORDS[COMP_CWORD]}"))
    return
  fi
  local name="${COMP_WORDS[1]}"
  COMP_WORDS=("jax-unlearn-$name" "${COMP_WORDS[@]:2}")
  COMP_CWORD=$((COMP_CWORD - 1))
  local flags="_tyro_jax_unlearn_$name"
  if declare -F "$flags" > /dev/null; then "$flags"; fi
}
complete -F _jax_unlearn jax-unlearn"""


def main() -> None:
    """Run the command that the first argument names; without one, list the commands."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    try:
        package, folder = _find_commands()
        commands = list_commands(folder)
        if name in ("-h", "--help"):
            print(_overview(commands, _caller()))
            return
        if name == "--completion":
            _check_extras(name)
            print(completion(package, list(commands)))
            return
        check_choice("command", name, commands)
        _check_extras(name)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    # The command takes what follows its name.
    sys.argv = sys.argv[1:]
    runpy.run_module(f"{package}.{name}", run_name="__main__", alter_sys=True)


def list_commands(folder: pathlib.Path) -> dict[str, str]:
    """Commands in a package's folder: their names, and the first line of what they say they do.

    A command is a module that does something when it is run, or a package with a `__main__`. The
    files are read, not imported: an import takes seconds.
    """
    scripts = {path.stem: path for path in folder.glob("*.py") if not path.stem.startswith("_")}
    trees = {name: ast.parse(path.read_text("utf-8")) for name, path in scripts.items()}
    commands = {name: _summary(tree) for name, tree in trees.items() if _is_script(tree)}
    for path in folder.glob("*/__main__.py"):
        about = path.with_name("__init__.py")
        commands[path.parent.name] = _summary(ast.parse(about.read_text("utf-8")))
    return dict(sorted(commands.items()))


def _find_commands() -> tuple[str, pathlib.Path]:
    """Name and folder of the package that holds the commands."""
    here = pathlib.Path(__file__).resolve().parent
    if (here / "commands" / "__init__.py").is_file():
        return INSTALLED, here / "commands"
    clone = here.parent / IN_CLONE
    spec = importlib.util.find_spec(IN_CLONE)
    # Another package of that name may come first on the path.
    if spec and spec.origin and pathlib.Path(spec.origin).resolve().parent == clone:
        return IN_CLONE, clone
    raise InputError(f"commands: expected in {clone}; reinstall with pip install jax_unlearn")


def _is_script(tree: ast.Module) -> bool:
    tests = [ast.unparse(node.test) for node in tree.body if isinstance(node, ast.If)]
    return "__name__ == '__main__'" in tests


def _summary(tree: ast.Module) -> str:
    """The first line of a docstring, up to where it shows how the command is called."""
    line = (ast.get_docstring(tree) or "").partition("\n")[0]
    return line.partition(": `")[0].rstrip(".")


def _caller() -> str:
    """How a command is called here, up to its name."""
    module = (sys.modules["__main__"].__spec__ or None) and sys.modules["__main__"].__spec__.name
    return "python -m experiments." if module == f"{IN_CLONE}.__main__" else "jax-unlearn "


def _overview(commands: dict[str, str], caller: str) -> str:
    width = max(map(len, commands))
    lines = "\n".join(f"  {name:{width}}  {summary}" for name, summary in commands.items())
    return (
        f"usage: {caller}COMMAND [FLAGS]\n\n"
        f"commands:\n{lines}\n\n"
        f"{caller}COMMAND --help lists the command's flags.\n"
        "jax-unlearn --completion prints what bash completes commands and flags by."
    )


def completion(package: str, commands: list[str]) -> str:
    """Write a script by which bash completes commands and their flags; tyro knows the flags."""
    scripts = [_flags_script(package, name) for name in commands]
    return "\n".join([*scripts, DISPATCH.replace("COMMANDS", " ".join(commands))])


def _flags_script(package: str, name: str) -> str:
    run = [sys.executable, "-m", f"{package}.{name}", "--tyro-print-completion", "bash"]
    return subprocess.run(run, check=True, capture_output=True, text=True).stdout


def _check_extras(name: str) -> None:
    missing = [extra for extra in ("tyro", "rich") if importlib.util.find_spec(extra) is None]
    if missing:
        raise InputError(
            f"command={name!r}: expected the package {' and '.join(missing)}; "
            "pip install 'jax_unlearn[experiments]'"
        )


if __name__ == "__main__":
    main()
