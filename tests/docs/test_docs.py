"""Tests of the documentation: code samples run, links resolve, and the reference is complete and up to date."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml

import saccade
from saccade.app.panels import PANELS
from saccade.app.pipelines.templates import write_template
from saccade.cli.main import app
from saccade.core.errors import SaccadeError
from saccade.demo.synthetic import write_dataset
from saccade.formats.base import FORMATS
from saccade.models.factory import build_model
from saccade.operations.base import OPERATIONS
from saccade.pipeline.definition.yaml_loader import load_graph
from saccade.training.augment import build_augmentations
from saccade.training.recipe import Recipe, load_recipe, parse_recipe

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def samples(page: Path, language: str) -> list[str]:
    """Return the fenced code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def console_lines() -> Iterator[tuple[str, str]]:
    for page, name in zip(PAGES, NAMES, strict=True):
        for block in samples(page, "console"):
            for line in block.splitlines():
                if line.startswith("$ "):
                    yield name, line[2:].split("  #")[0].strip()


COMMANDS = sorted(set(console_lines()))


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[line for _, line in COMMANDS])
def test_documented_commands_exist(page: str, line: str) -> None:
    """Parse each command with its options and arguments, without running it."""
    words = shlex.split(line)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return
    if words[0] in ("git", "pip", "source"):
        return
    assert words[0].endswith("saccade"), f"{page}: {line}"
    command: Any = typer.main.get_command(app)
    arguments = words[1:]
    while hasattr(command, "commands"):
        if arguments[0] in ("--help", "--version"):
            return
        if arguments[0] == "--project":
            arguments = arguments[2:]
        command = command.commands[arguments[0]]
        arguments = arguments[1:]
    command.make_context(command.name, arguments)


def slug(heading: str) -> str:
    """Return the anchor that GitHub generates for a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if target.startswith(("http:", "https:")):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text("utf-8"), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, f"{page.name}: {target}"


@pytest.mark.slow
@pytest.mark.usefixtures("notebook_libraries")
@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.ipynb")), ids=lambda path: path.name)
def test_example_notebooks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the code cells in order in one namespace, and display the value of each as a notebook does."""
    for library in ("pandas", "supervision", "torch"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    displayed = []
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert not cell["outputs"], "notebooks are stored without outputs"
        tree = ast.parse("".join(cell["source"]))
        value = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, path.name, "exec"), namespace)
        if isinstance(value, ast.Expr):
            result = eval(compile(ast.Expression(value.value), path.name, "eval"), namespace)
            displayed += [] if result is None else [result._repr_html_()]
    assert sum("data:image/jpeg;base64," in html for html in displayed) == 3
    assert all("<" in html for html in displayed)


PAGES_WITH_PYTHON = [
    name for page, name in zip(PAGES, NAMES, strict=True) if samples(page, "python") and "reference" not in name
]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES_WITH_PYTHON)
def test_python_samples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all samples of a page in order and in one namespace, in a folder with a small synthetic dataset."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "harbours", 10, 1, size_wh=(320, 320))
    if "demo-workspace" in "".join(samples(ROOT / name, "python")):
        from tests.support.tiny_workspace import make_workspace

        make_workspace(tmp_path / "demo-workspace", tmp_path / "harbours")
        with saccade.Workspace.open(tmp_path / "demo-workspace") as workspace:
            workspace.models.promote("ships", "production")
    namespace: dict[str, Any] = {}
    for sample in samples(ROOT / name, "python"):
        exec(compile(ast.parse(sample), name, "exec"), namespace)


@pytest.mark.slow
def test_example_package_adds_its_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the files of the guide to a folder, as pip would install them, and render the panel."""
    from tests.support.tiny_workspace import make_workspace

    from saccade.app.panels import Figures, Images
    from saccade.app.panels.host import PanelHost
    from saccade.core.roles import Role

    guide = ROOT / "docs" / "guide" / "panels.md"
    project = tomllib.loads(samples(guide, "toml")[0])["project"]
    packages = tmp_path / "packages"
    dist_info = packages / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    dist_info.mkdir(parents=True)
    (packages / "odd_boxes.py").write_text(samples(guide, "python")[0], "utf-8")
    (dist_info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [f"{name} = {target}" for name, target in project["entry-points"]["saccade.panels"].items()]
    (dist_info / "entry_points.txt").write_text("\n".join(["[saccade.panels]", *lines]))
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.setenv("PYTHONPATH", str(packages))
    write_dataset(tmp_path / "harbours", 10, 1, size_wh=(320, 320))
    make_workspace(tmp_path / "home", tmp_path / "harbours")
    with saccade.Workspace.open(tmp_path / "home") as workspace:
        host = PanelHost(workspace)
        assert [panel.package for panel in host.list(Role.VIEWER) if panel.name == "odd_boxes"] == ["odd-boxes"]
        version = workspace.datasets.open("harbour")
        blocks = host.render("odd_boxes", "default", Role.VIEWER, dataset=version.ref, parameters={"side": 12})
        host.close()
    expected = version.where("any(objects, width < 12 or height < 12)")
    assert [block.keys for block in blocks if isinstance(block, Images)] == [expected]
    assert [block.figures[0].value for block in blocks if isinstance(block, Figures)] == [len(expected)]


def recipes() -> Iterator[Any]:
    for page, name in zip(PAGES, NAMES, strict=True):
        for number, sample in enumerate(samples(page, "yaml")):
            if "steps" in yaml.safe_load(sample):
                continue
            yield pytest.param(parse_recipe(yaml.safe_load(sample)), id=f"{name}#{number}")
    for path in sorted((ROOT / "src" / "saccade" / "training" / "examples").glob("*.yaml")):
        yield pytest.param(load_recipe(path), id=path.name)


@pytest.mark.parametrize("recipe", list(recipes()))
def test_documented_recipes_build_a_model(recipe: Recipe) -> None:
    build_augmentations(recipe.augment)
    assert build_model(recipe.model, dict.fromkeys(recipe.model.heads, 3)).heads


def pipelines() -> Iterator[Any]:
    for page, name in zip(PAGES, NAMES, strict=True):
        for number, sample in enumerate(samples(page, "yaml")):
            if "steps" in yaml.safe_load(sample):
                yield pytest.param(sample, {}, id=f"{name}#{number}")
    for path in sorted((ROOT / "examples" / "pipelines").rglob("*.yaml")):
        yield pytest.param(path.read_text("utf-8"), {"source": "BCCD"}, id=path.name)


@pytest.mark.parametrize(("text", "variables"), list(pipelines()))
def test_documented_pipelines_load(text: str, variables: dict[str, str], tmp_path: Path) -> None:
    write_template(tmp_path / "steps.py", "item")
    (tmp_path / "pipeline.yaml").write_text(text, "utf-8")
    assert load_graph(tmp_path / "pipeline.yaml", variables).steps


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """Import ``tools/reference.py``, which generates the reference."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_is_up_to_date(reference: ModuleType) -> None:
    assert reference.out_of_date() == [], "run `make docs`"


@pytest.mark.slow
def test_outdated_reference_is_detected(reference: ModuleType, tmp_path: Path) -> None:
    for name in reference.PAGES:
        (tmp_path / name).write_text((reference.FOLDER / name).read_text("utf-8"), "utf-8")
    assert reference.out_of_date(tmp_path) == []
    (tmp_path / "cli.md").write_text("something else")
    assert reference.out_of_date(tmp_path) == ["cli.md"]


def test_every_name_is_documented(reference: ModuleType) -> None:
    formats = (ROOT / "docs" / "formats.md").read_text("utf-8")
    assert all(f"`{format.name}`" in formats for format in FORMATS)
    troubleshooting = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    codes = {SaccadeError.code, *(error.code for error in SaccadeError.__subclasses__())}
    assert all(f"`{code}`" in troubleshooting for code in codes)
    operations = (ROOT / "docs" / "reference" / "operations.md").read_text("utf-8")
    assert all(f"\n## {name}\n" in operations for name in OPERATIONS.names())
    assert all(operation.help and operation.parameters.model_fields is not None for operation in OPERATIONS)
    panels = (ROOT / "docs" / "reference" / "panels.md").read_text("utf-8")
    assert all(f"\n### {panel.name}\n" in panels and panel.help for panel in PANELS)
    names = (ROOT / "docs" / "reference" / "python.md").read_text("utf-8")
    assert all(f"\n## {name}\n" in names for name in saccade.__all__ if name != "__version__")


def test_every_setting_has_a_description(reference: ModuleType) -> None:
    for name in ("recipe.md", "components.md", "operations.md"):
        for line in (reference.FOLDER / name).read_text("utf-8").splitlines():
            if line.startswith("| `"):
                assert line.strip("| ").split(" | ")[-1].strip(), f"{name}: {line}"


def test_importing_the_package_is_light() -> None:
    program = "import sys, saccade; print(','.join(sys.modules))"
    process = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert {"torch", "pyarrow", "lance", "sqlalchemy", "numpy"}.isdisjoint(process.stdout.strip().split(","))


def test_public_names_can_be_imported() -> None:
    for name in saccade.__all__:
        assert getattr(saccade, name) is not None
    assert set(saccade.__all__) <= set(dir(saccade))
    with pytest.raises(AttributeError):
        saccade.no_such_name  # noqa: B018  # the attribute access is under test


def test_readme_begins_with_summary_picture_and_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert text.index("Saccade is") < text.index("![") < text.index("$ make demo") < text.index("$ make test")
    makefile = (ROOT / "Makefile").read_text()
    for target in ("setup", "demo", "test", "test-fast", "check", "bench", "docs"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("name", ["requirements.lock", "tools/setup.lock", "web/package-lock.json"])
def test_lock_files_contain_no_host(name: str) -> None:
    """Lock files contain versions and hashes only; each machine configures its own package index."""
    assert "://" not in (ROOT / name).read_text("utf-8")
