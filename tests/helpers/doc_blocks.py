"""Reads the fenced code blocks of Markdown pages, and the comments before them that tell the tests what to do.

A comment stands directly before a block, or, with `page`, anywhere on the page for all of its blocks:

    <!-- test: slow -->                          run by scripts/test --slow only
    <!-- test: skip, needs CelebA -->            never run, for this reason
    <!-- test: exits 2 -->                       the last command exits with this code
    <!-- test: append train kimg=0.064 -->       add overrides to each `ganrun train` of the block
    <!-- test page: append train kimg=0.064 -->  add them to each `ganrun train`

A block with a title, ```python title="mygan.py", is written to that file. Other bash and python blocks run in order.
"""

import re
import shlex
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
FENCE = re.compile(r' *```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?')
COMMENT = re.compile(r" *<!-- test(?P<page> page)?: (?P<directive>.+) -->")


@dataclass
class Block:
    """One fenced block. line: of its first line of code."""

    page: Path
    line: int
    language: str
    title: str | None
    text: str
    directives: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"

    @property
    def is_slow(self) -> bool:
        return "slow" in self.directives

    @property
    def skip_reason(self) -> str | None:
        reasons = [text.removeprefix("skip, ") for text in self.directives if text.startswith("skip")]
        return reasons[0] if reasons else None

    @property
    def exit_code(self) -> int:
        codes = [int(text.removeprefix("exits ")) for text in self.directives if text.startswith("exits ")]
        return codes[0] if codes else 0

    def appended(self, verb: str) -> list[str]:
        """Return the overrides that the comments add to commands of this verb."""
        prefix = f"append {verb} "
        return [arg for text in self.directives if text.startswith(prefix) for arg in shlex.split(text[len(prefix) :])]

    def commands(self) -> list[str]:
        """Return the commands of a bash block: continued lines joined, comments and empty lines left out."""
        lines = [line.partition("  #")[0].strip() for line in self.text.replace("\\\n", " ").splitlines()]
        return [line for line in lines if line and not line.startswith("#")]


def pages() -> list[Path]:
    return [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def read_blocks(page: Path) -> list[Block]:
    """Return the blocks of a page in order, each with its own directives and those of the page."""
    lines = page.read_text().splitlines()
    blocks, of_page, pending, number = [], [], [], 0
    while number < len(lines):
        comment, fence = COMMENT.fullmatch(lines[number]), FENCE.match(lines[number])
        if comment:
            (of_page if comment["page"] else pending).append(comment["directive"])
        elif fence:
            end = next(i for i in range(number + 1, len(lines)) if lines[i].strip() == "```")
            text = textwrap.dedent("\n".join(lines[number + 1 : end])) + "\n"
            blocks.append(Block(page, number + 2, fence["language"], fence["title"], text, pending))
            pending, number = [], end
        elif lines[number].strip():
            assert not pending, f"{page}:{number + 1}: a test comment stands before something that is not a code block"
        number += 1
    for block in blocks:
        block.directives = [*of_page, *block.directives]
    return blocks
