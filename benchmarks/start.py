"""How long it takes until seewhy is there: `import seewhy` and `seewhy --help`, each in a fresh process.

    python benchmarks/start.py [--rounds 15] [--quick]

Stops where either of them loads a deep-learning framework.
"""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

from _timing import Contender, Wish, difference, interleave, machine, publish, run, spread, table, wishes_table

FRAMEWORKS = ("torch", "tensorflow", "jax", "keras")
NOTHING, IMPORT, HELP = "python -c pass", 'python -c "import seewhy"', "seewhy --help"

WHAT_CAME_ALONG = """\
import atexit, sys
atexit.register(lambda: print("loaded:", *set(%r).intersection(sys.modules)))
"""


def commands() -> dict[str, list[str]]:
    """What is timed; the console script of this very environment where it is installed, as a user starts it."""
    script = Path(sys.executable).with_name("seewhy")
    start = [str(script)] if script.exists() else [sys.executable, "-c", "from seewhy.cli import main; main()"]
    return {
        NOTHING: [sys.executable, "-c", "pass"],
        IMPORT: [sys.executable, "-c", "import seewhy"],
        HELP: [*start, "--help"],
    }


def assert_no_framework() -> None:
    """Stop where a framework came along."""
    helping = "sys.argv = ['seewhy', '--help']; from seewhy.cli import main; main()"
    for statement in ("import seewhy", helping):
        said = run([sys.executable, "-c", WHAT_CAME_ALONG % (FRAMEWORKS,) + statement]).stdout.splitlines()[-1]
        if said.strip() != "loaded:":
            raise SystemExit(f"{statement!r} must load no framework, {said}")


def measure(rounds: int) -> dict[str, list[float]]:
    def contender(name: str, command: list[str]) -> Contender:
        return Contender(name, lambda: nullcontext(lambda: run(command)))

    # the warm-ups bring the files into memory and write the byte code
    return interleave([contender(*item) for item in commands().items()], rounds, warm_ups=2)


def report(seconds: dict[str, list[float]], rounds: int, where: str) -> str:
    alone = difference(seconds, IMPORT, NOTHING)
    shown = spread(seconds[HELP])
    wishes = [
        Wish("`import seewhy`, less an empty Python: s", "≤ 0.2", alone.text(3), alone.median <= 0.2),
        Wish("`seewhy --help`, from start to end: s", "< 0.5", shown.text(3), shown.median < 0.5),
    ]
    body = [(f"`{name}`", spread(taken).text(3)) for name, taken in seconds.items()]
    return "\n\n".join(
        [
            "## Start",
            f"{where} {rounds} rounds of fresh processes after 2 warm-ups. Neither loads {', '.join(FRAMEWORKS)}: "
            "asserted before the clock.",
            wishes_table(wishes),
            table(("", "seconds"), body),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="2 rounds, to stdout only")
    given = parser.parse_args()
    rounds = 2 if given.quick else given.rounds
    where = machine("numpy", "scipy", "matplotlib", "pillow", "typer")
    assert_no_framework()
    publish("start", report(measure(rounds), rounds, where), quick=given.quick)


if __name__ == "__main__":
    main()
