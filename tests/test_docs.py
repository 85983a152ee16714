"""What the documents name exists: commands, options, settings, files and routes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from service.cli import app as service_app
from service.settings import PREFIX, SECRETS, Settings

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    p for p in (ROOT / "README.md", ROOT / "deploy" / "README.md", *(ROOT / "docs").rglob("*.md")) if p.is_file()
]
TEXT = {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8") for p in DOCUMENTS}


def shell_blocks(text: str) -> list[str]:
    """Command lines of fenced `sh` blocks, continuations joined, comments cut."""
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip()]


def options_of(group: typer.Typer) -> dict[str, set[str]]:
    """Option names by command; those of a sub-group under `group command`."""
    command = typer.main.get_command(group)
    found: dict[str, set[str]] = {}
    for name, sub in command.commands.items():  # type: ignore[attr-defined]
        parts = {f"{name} {n}": s for n, s in sub.commands.items()} if hasattr(sub, "commands") else {name: sub}
        for full, each in parts.items():
            found[full] = {option for p in each.params for option in (*p.opts, *p.secondary_opts)}
    return found


def all_options() -> dict[str, set[str]]:
    from model.cli import app as model_app

    return options_of(service_app) | options_of(model_app)


@pytest.mark.parametrize("document", sorted(TEXT))
def test_every_peregrine_command_and_option_exists(document: str) -> None:
    known = all_options()
    for line in shell_blocks(TEXT[document]):
        match = re.search(r"(?:^|[\s/])peregrine ((?:bench |archive |inspect |keys |profile )?[a-z]+)(.*)", line)
        if not match:
            continue
        command, rest = match.group(1).strip(), match.group(2)
        assert command in known, line
        assert not set(re.findall(r"(?<=\s)--[a-z-]+", rest)) - known[command], line


@pytest.mark.parametrize("document", sorted(TEXT))
def test_every_setting_exists(document: str) -> None:
    fields = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    fields |= {f"{PREFIX}{name.upper()}_FILE" for name in SECRETS} | {f"{PREFIX}URL", f"{PREFIX}TEST_DATA"}
    assert not set(re.findall(rf"\b{PREFIX}[A-Z_]+[A-Z]\b", TEXT[document])) - fields


@pytest.mark.parametrize("document", sorted(TEXT))
def test_every_link_and_make_target_exists(document: str) -> None:
    folder = (ROOT / document).parent
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", TEXT[document]):
        assert (folder / target).exists(), target
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    used = {m for line in shell_blocks(TEXT[document]) for m in re.findall(r"^make ([a-z-]+)", line)}
    assert not used - targets


def test_every_test_that_the_readme_names_exists() -> None:
    sources = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", TEXT["README.md"]))
    assert named
    assert not {name for name in named if f"def {name}(" not in sources}
