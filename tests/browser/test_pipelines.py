"""Pipelines, models and maintenance jobs in the browser."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import ON_SQLITE, OpenPage, Server, take_screenshot

from saccade.core.roles import Role
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
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
def test_plan_and_run_a_pipeline(open_page: OpenPage, server: Server) -> None:
    page = open_page(Role.MANAGER, path="/pipelines")
    page.get_by_role("link", name="New pipeline").first.click()
    yaml = page.get_by_label("Pipeline (YAML)")
    summary = page.locator("[data-test=plan-summary]")
    yaml.fill("steps: {one: {use: steps.py:run}}")
    page.get_by_role("button", name="Show plan").click()
    expect(page.get_by_role("alert")).to_contain_text("not an operation of this server")
    yaml.fill(PIPELINE)
    page.get_by_role("button", name="Show plan").click()
    expect(summary).to_have_text("5 of 5 steps to run")
    expect(page.get_by_role("img", name="busy-harbours")).to_be_visible()
    expect(page.get_by_role("cell", name="it has not run yet").first).to_be_visible()
    take_screenshot(page, "pipeline-plan")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page).to_have_url(re.compile("/pipelines/[0-9a-z]{12}$"))
    expect(page.get_by_text("5 of 5 steps done")).to_be_visible()
    take_screenshot(page, "pipeline-run")
    with Workspace.open(server.workspace) as workspace:
        busy_keys = workspace.datasets.open("harbour").where("len(objects) >= 1")
        assert workspace.datasets.open("busy").keys() == busy_keys
    page.get_by_role("link", name="Edit and run again").click()
    expect(yaml).to_have_value(PIPELINE)
    page.get_by_label("Explain item").fill(busy_keys[0])
    page.get_by_role("button", name="Show plan").click()
    expect(summary).to_have_text("Nothing to run: all results are cached.")
    expect(page.get_by_role("heading", name="Why this item")).to_be_visible()
    yaml.fill(PIPELINE.replace("len(objects) < 1", "len(objects) < 2"))
    page.get_by_role("button", name="Show plan").click()
    expect(summary).to_have_text("1 of 5 steps to run")
    take_screenshot(page, "pipeline-plan-changed")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("5 of 5 steps done")).to_be_visible()
    expect(page.get_by_role("cell", name="Cached", exact=True)).to_have_count(4)
    take_screenshot(page, "pipeline-run-cached")
    page.get_by_role("link", name="Pipelines").first.click()
    expect(page.get_by_text("1 run · 4 cached")).to_be_visible()
    take_screenshot(page, "pipelines")


def test_pipeline_from_files_that_fails(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(Role.MANAGER, theme="dark", width=1024, path="/pipelines/new")
    (tmp_path / "main.yaml").write_text(
        "name: from-a-file\nsteps:\n  data: {use: dataset, with: {name: harbour}}\n"
        "  inner: {use: inner.yaml, from: data}\n"
    )
    (tmp_path / "inner.yaml").write_text(
        "inputs: [data]\nsteps:\n  some: {use: filter, from: data, with: {where: nonsense}}\n"
    )
    page.locator("[data-test=pipeline-files]").set_input_files([tmp_path / "main.yaml", tmp_path / "inner.yaml"])
    expect(page.get_by_label("Pipeline (YAML)")).to_have_value(re.compile("from-a-file"))
    expect(page.get_by_text("inner.yaml", exact=True)).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert").first).to_contain_text("nonsense")
    expect(page).to_have_url(re.compile("/pipelines/[0-9a-z]{12}$"))
    expect(page.get_by_role("cell", name="Failed")).to_be_visible()
    take_screenshot(page, "pipeline-failed-dark")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page).to_have_url(re.compile("/pipelines$"))
    expect(page.get_by_text("from-a-file")).to_have_count(0)
    viewer = open_page(Role.VIEWER, path="/pipelines")
    expect(viewer.get_by_role("link", name="New pipeline")).to_have_count(0)


def test_compare_export_and_delete_models(open_page: OpenPage, server: Server) -> None:
    with Workspace.open(server.workspace) as workspace:
        for number in (1, 2):
            manifest = {"recipe": {"train": {"epochs": 10 * number, "batch_size": 8}}, "model": {"encoder": "csp"}}
            metrics = {"ap50": 0.4 + 0.1 * number}
            model = workspace.models.add(
                "boats", files={"weights.safetensors": b"w"}, manifest=manifest, metrics=metrics
            )
            scores = {"ap": 0.3 + 0.05 * number, "ap50": 0.5 + 0.1 * number, "ap75": 0.3 - 0.02 * number}
            workspace.evaluations.add(model.ref, "harbour@1", "val", "boxes", scores, b"<p>report</p>")
    for theme, width in (("light", 1440), ("dark", 1024)):
        page = open_page(Role.MANAGER, theme=theme, width=width, path="/models/boats@2")
        page.get_by_label("Compare with").first.click(force=True)
        page.get_by_role("option", name=re.compile("boats@1")).click()
        expect(page.get_by_role("cell", name="+0.100")).to_be_visible()
        expect(page.get_by_role("cell", name="train.epochs")).to_be_visible()
        take_screenshot(page, f"model-compared-{theme}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert "boats-2/weights.safetensors" in archive.namelist()
    page.get_by_role("button", name="More actions").click()
    page.get_by_text("Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page).to_have_url(re.compile("/models$"))
    with Workspace.open(server.workspace) as workspace:
        assert [model.number for model in workspace.models.versions("boats")] == [1]
        workspace.models.remove("boats")  # other tests share the server


def test_only_owners_check_the_workspace(open_page: OpenPage) -> None:
    page = open_page(Role.OWNER, path="/jobs")
    page.get_by_role("button", name="Check workspace").click()
    no_issues = page.get_by_text("No issues found.")
    expect(no_issues.or_(page.get_by_role("heading", name="Issues")).first).to_be_visible()
    take_screenshot(page, "doctor")
    page.goto("/jobs")
    page.get_by_role("button", name="Clean up storage").click()
    expect(page.get_by_role("button", name="Delete unused files")).to_be_visible()
    take_screenshot(page, "clean-up")
    manager = open_page(Role.MANAGER, path="/jobs")
    expect(manager.get_by_role("heading", name="Jobs")).to_be_visible()
    expect(manager.get_by_role("button", name="Check workspace")).to_have_count(0)
