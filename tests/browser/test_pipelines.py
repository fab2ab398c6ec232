"""Pipelines, models and the upkeep of the workspace in the browser."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import ON_SQLITE, Served, keep

from saccade.core.roles import Role
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
Open = Callable[..., Page]
PIPELINE = """name: busy-harbours
steps:
  data:
    use: dataset
    with: {name: harbour}
  busy:
    use: filter
    from: data
    with: {where: "len(objects) >= 1"}
  quiet:
    use: filter
    from: data
    with: {where: "len(objects) < 1"}
  shares:
    use: split
    from: busy
    with: {shares: {train: 0.5, val: 0.5}}
  kept:
    use: materialise
    from: shares
    with: {name: busy}
"""


@ON_SQLITE
def test_a_pipeline_is_planned_run_and_looked_into(opened: Open, served: Served) -> None:
    page = opened(Role.MANAGER, path="/pipelines")
    expect(page.get_by_text("No pipelines yet")).to_be_visible()
    keep(page, "pipelines-none")
    page.get_by_role("link", name="New pipeline").first.click()
    text = page.get_by_label("Pipeline as YAML")
    text.fill("steps: {one: {use: steps.py:run}}")
    page.get_by_role("button", name="Show the plan").click()
    expect(page.get_by_role("alert")).to_contain_text("no operation of this server")
    text.fill(PIPELINE)
    page.get_by_role("button", name="Show the plan").click()
    expect(page.locator("[data-test=todo]")).to_have_text("5 of 5 steps are to be worked on")
    expect(page.get_by_role("img", name="busy-harbours")).to_be_visible()
    expect(page.get_by_role("cell", name="it has not run yet").first).to_be_visible()
    keep(page, "pipeline-plan")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page).to_have_url(re.compile("/pipelines/[0-9a-z]{12}$"))
    expect(page.get_by_text("5 of 5 steps done")).to_be_visible()
    keep(page, "pipeline-run")
    with Workspace.open(served.folder) as workspace:
        expected = workspace.datasets.open("harbour").where("len(objects) >= 1")
        assert workspace.datasets.open("busy").keys() == expected
    page.get_by_role("link", name="Change and run again").click()
    expect(text).to_have_value(PIPELINE)
    page.get_by_label("Why this item (key)").fill(expected[0])
    page.get_by_role("button", name="Show the plan").click()
    expect(page.locator("[data-test=todo]")).to_have_text("Nothing is to be done: every result is there.")
    expect(page.get_by_role("heading", name="Why this item")).to_be_visible()
    text.fill(PIPELINE.replace("len(objects) < 1", "len(objects) < 2"))
    page.get_by_role("button", name="Show the plan").click()
    expect(page.locator("[data-test=todo]")).to_have_text("1 of 5 steps are to be worked on")
    keep(page, "pipeline-plan-changed")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("5 of 5 steps done")).to_be_visible()
    expect(page.get_by_role("cell", name="from cache")).to_have_count(4)
    keep(page, "pipeline-run-cached")
    page.get_by_role("link", name="Pipelines").first.click()
    expect(page.get_by_text("1 run · 4 from cache")).to_be_visible()
    keep(page, "pipelines")


def test_pipelines_in_the_dark_with_files_and_failures(opened: Open, tmp_path: Path) -> None:
    page = opened(Role.MANAGER, theme="dark", width=1024, path="/pipelines/new")
    (tmp_path / "main.yaml").write_text("name: from-a-file\nsteps:\n  data: {use: dataset, with: {name: harbour}}\n"
                                        "  inner: {use: inner.yaml, from: data}\n")  # fmt: skip
    (tmp_path / "inner.yaml").write_text(
        "inputs: [data]\nsteps:\n  some: {use: filter, from: data, with: {where: nonsense}}\n"
    )
    page.locator("[data-test=yaml]").set_input_files([tmp_path / "main.yaml", tmp_path / "inner.yaml"])
    expect(page.get_by_label("Pipeline as YAML")).to_have_value(re.compile("from-a-file"))
    expect(page.get_by_text("inner.yaml", exact=True)).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert").first).to_contain_text("nonsense")
    expect(page).to_have_url(re.compile("/pipelines/[0-9a-z]{12}$"))
    expect(page.get_by_role("cell", name="failed")).to_be_visible()
    keep(page, "pipeline-failed-dark")
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page).to_have_url(re.compile("/pipelines$"))
    expect(page.get_by_text("from-a-file")).to_have_count(0)
    viewer = opened(Role.VIEWER, path="/pipelines")
    expect(viewer.get_by_role("link", name="New pipeline")).to_have_count(0)


def test_models_are_compared_exported_and_removed(opened: Open, served: Served, tmp_path: Path) -> None:
    with Workspace.open(served.folder) as workspace:
        for number in (1, 2):
            manifest = {"recipe": {"train": {"epochs": 10 * number, "batch_size": 8}}, "model": {"encoder": "csp"}}
            metrics = {"ap50": 0.4 + 0.1 * number}
            made = workspace.models.add(
                "boats", files={"weights.safetensors": b"w"}, manifest=manifest, metrics=metrics
            )
            scores = {"ap": 0.3 + 0.05 * number, "ap50": 0.5 + 0.1 * number, "ap75": 0.3 - 0.02 * number}
            workspace.evaluations.add(made.ref, "harbour@1", "val", "boxes", scores, b"<p>report</p>")
    for theme, width in (("light", 1440), ("dark", 1024)):
        page = opened(Role.MANAGER, theme=theme, width=width, path="/models/boats@2")
        page.get_by_label("Compared with").first.click(force=True)
        page.get_by_role("option", name=re.compile("boats@1")).click()
        expect(page.get_by_role("cell", name="+0.100")).to_be_visible()
        expect(page.get_by_role("cell", name="train.epochs")).to_be_visible()
        keep(page, f"model-compared-{theme}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    with zipfile.ZipFile(download.value.path()) as packed:
        assert "boats-2/weights.safetensors" in packed.namelist()
    page.get_by_role("button", name="Show more").click()
    page.get_by_text("Remove", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page).to_have_url(re.compile("/models$"))
    with Workspace.open(served.folder) as workspace:
        assert [one.number for one in workspace.models.versions("boats")] == [1]
        workspace.models.remove("boats")  # the server is that of other tests too


def test_owners_look_after_the_workspace(opened: Open) -> None:
    page = opened(Role.OWNER, path="/jobs")
    page.get_by_role("button", name="Check the workspace").click()
    expect(
        page.get_by_text("Nothing is wrong.").or_(page.get_by_role("heading", name="Problems")).first
    ).to_be_visible()
    keep(page, "doctor")
    manager = opened(Role.MANAGER, path="/jobs")
    expect(manager.get_by_role("button", name="Check the workspace")).to_have_count(0)
