"""The page of a training while it trains, from the browser, the command line and a pipeline, and afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Page, expect
from tests.browser.conftest import (
    OpenPage,
    Server,
    add_users,
    assert_accessible,
    start_server,
    stop_server,
    take_screenshot,
)
from tests.support.tiny_workspace import RECIPE

from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.app.ml.train import train
from saccade.core.roles import Role
from saccade.store.workspace import Workspace
from saccade.training.recipe import parse_recipe

pytestmark = pytest.mark.slow
START_MS = 300_000
"""A training imports torch before its first step."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[Server]:
    """A server of its own: other tests expect a workspace without models."""
    folder = tmp_path_factory.mktemp("training")
    with Workspace.create(folder) as workspace:
        import_dataset(workspace, pictures, "harbour", split=SplitRequest({"train": 0.6, "val": 0.4}))
        add_users(workspace, *Role)
    process, address = start_server(folder)
    yield Server(address, folder, pictures)
    stop_server(process)


def status(page: Page) -> str:
    return page.locator("[data-test=training-status]").inner_text()


def step(page: Page) -> int:
    """Return the number of finished steps that the page shows; 0 before the first one."""
    shown = re.search(r"Step\s+([\d,]+) of", status(page))
    return 0 if shown is None else int(shown[1].replace(",", ""))


def expect_progress(page: Page, steps: int = 3) -> None:
    """Wait until the page shows that many steps more than now."""
    start = step(page)
    page.wait_for_function(
        "least => Number((document.querySelector('[data-test=training-status]').innerText"
        ".match(/Step\\s+([\\d,]+) of/) || ['', '0'])[1].replaceAll(',', '')) >= least",
        arg=start + steps,
        timeout=START_MS,
    )


def look(page: Page, name: str) -> None:
    """Take screenshots in three sizes and both themes, and check the accessibility."""
    for theme in ("light", "dark"):
        page.get_by_role("button", name="Switch between light and dark").first.focus()
        for width, height in ((1440, 900), (1024, 768), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(150)
            assert_accessible(page)
            page.screenshot(path=screenshot_path(f"{name}-{theme}-{width}"))
        page.set_viewport_size({"width": 1440, "height": 900})
        if theme == "light":
            page.get_by_role("button", name="Switch between light and dark").first.click()
    page.get_by_role("button", name="Switch between light and dark").first.click()


def screenshot_path(name: str) -> Path:
    from tests.browser.conftest import SCREENSHOTS

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return SCREENSHOTS / f"{name}.png"


def test_follow_stop_and_resume_a_training(open_page: OpenPage) -> None:
    page = open_page(Role.MANAGER, path="/train")
    expect(page.get_by_label("Recipe")).to_have_value(re.compile("harbour"))
    page.get_by_label("Recipe").fill(RECIPE.replace("epochs: 2", "epochs: 40"))
    page.get_by_role("button", name="Start training").click()
    expect(page).to_have_url(re.compile("/runs/"), timeout=START_MS)
    expect(page.get_by_role("status").first).to_have_text(re.compile("Starting|Training|Validating"))
    expect_progress(page)
    expect(page.locator("[data-test=loss-chart] svg").first).to_be_visible()
    expect(page.locator("[data-test=validation-chart] svg").first).to_be_visible()
    for name in ("Epoch", "Learning rate", "Images per second", "Time left"):
        assert name in status(page)
    expect(page.locator("[data-test=run-log]")).to_contain_text("Training ships on harbour@1")
    expect(page.locator("[data-test=run-log]")).to_contain_text("epoch 1/40")
    look(page, "training-running")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped", exact=True)).to_be_visible()
    stopped_at = step(page)
    assert 0 < stopped_at < 80
    expect(page.locator("[data-test=run-log]")).to_contain_text("Stopped after")
    page.get_by_role("button", name="Resume").click()
    expect(page).to_have_url(re.compile("/jobs/"))
    expect(page).to_have_url(re.compile("/runs/"), timeout=START_MS)
    expect(page.get_by_text("Finished", exact=True)).to_be_visible(timeout=START_MS)
    assert "80 of 80" in status(page)
    assert "Time left" not in status(page)
    expect(page.get_by_role("button", name="Resume")).to_have_count(0)
    expect(page.get_by_role("columnheader", name="Best")).to_be_visible()
    chart = page.locator("[data-test=loss-chart]")
    curve = chart.locator("path").count()
    page.get_by_label("Smooth").uncheck()
    page.get_by_label("Log scale").check()
    expect(chart.locator("path")).not_to_have_count(curve)
    chart.hover(position={"x": 300, "y": 140})
    expect(chart.get_by_text(re.compile("Step \\d"))).to_be_visible()
    expect(chart.get_by_text(re.compile("total \\d"))).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download log").click()
    log = Path(download.value.path()).read_text()
    assert log.count("Training ships on harbour@1") == 2
    look(page, "training-finished")
    page.get_by_role("link", name="Job", exact=True).click()
    page.locator("[data-test=runs]").get_by_role("link", name="ships").click()
    expect(page).to_have_url(re.compile("/runs/"), timeout=START_MS)
    viewer = open_page(Role.VIEWER, path=page.url)
    expect(viewer.locator("[data-test=loss-chart] svg").first).to_be_visible()
    expect(viewer.get_by_role("button", name="Stop")).to_have_count(0)


def test_follow_a_training_of_the_command_line(open_page: OpenPage, server: Server, tmp_path: Path) -> None:
    recipe = tmp_path / "boats.yaml"
    recipe.write_text(RECIPE.replace("name: ships", "name: boats").replace("epochs: 2", "epochs: 5000"))
    page = open_page(Role.MANAGER, path="/runs")
    process = subprocess.Popen(
        [sys.executable, "-m", "saccade", "train", str(recipe), "--workspace", str(server.workspace)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        link = page.get_by_role("link", name="boats")
        while not link.count():
            page.wait_for_timeout(500)
            page.reload()
            page.wait_for_load_state("networkidle")
        link.first.click()
        expect_progress(page)
        process.send_signal(signal.SIGKILL)
        process.wait()
        expect(page.get_by_text("Interrupted", exact=True)).to_be_visible()
        expect(page.locator("[data-test=loss-chart] svg").first).to_be_visible()
        expect(page.get_by_role("button", name="Resume")).to_be_visible()
        take_screenshot(page, "training-interrupted")
    finally:
        process.kill()


def test_a_training_before_its_first_step(open_page: OpenPage, server: Server) -> None:
    with Workspace.open(server.workspace) as workspace:
        run = workspace.runs.start("train", "waiting", {"name": "waiting"}, ["harbour@1"])
        page = open_page(Role.VIEWER, path=f"/runs/{run.id}")
        expect(page.get_by_role("status").first).to_have_text("Starting: loading data…")
        expect(page.get_by_text("The curve appears after the first step.")).to_be_visible()
        look(page, "training-starting")
        workspace.runs.finish(run.id, "failed", error="The disk is full.")
        expect(page.get_by_text("The disk is full.")).to_be_visible()
        expect(page.get_by_text("No steps were recorded.").first).to_be_visible()


def test_predictions_are_appended_and_replaced(open_page: OpenPage, server: Server, tmp_path: Path) -> None:
    with Workspace.open(server.workspace) as workspace:
        make_model(workspace, "rowers")
    page = open_page(Role.MANAGER, path="/predict?model=rowers@1")

    def predict(split: str) -> None:
        page.get_by_label("Only this split").fill(split)
        page.get_by_role("button", name="Predict", exact=True).click()

    def open_select(label: str) -> None:
        page.locator(".v-select").filter(has=page.get_by_role("combobox", name=label, exact=True)).last.click()

    def fill_name() -> None:
        field = page.get_by_label("Name of the new dataset")
        expect(field).to_have_value(re.compile("rowers"))  # the suggestion comes with the list of datasets
        field.fill("rowed")

    fill_name()
    predict("val")
    page.get_by_role("link", name="View dataset").click(timeout=START_MS)
    expect(page.locator("[data-test=total]")).to_have_text("4 items")
    page.goto("/predict?model=rowers@1")
    fill_name()
    predict("train")
    expect(page.locator(".v-alert")).to_contain_text("The dataset 'rowed' already exists")
    for mode, expected in (("append", "10 items"), ("merge", "10 items"), ("replace", "6 items")):
        page.goto("/predict?model=rowers@1")
        open_select("Save to")
        page.get_by_role("option", name=mode).click()
        expect(page.get_by_role("button", name="Predict", exact=True)).to_be_disabled()
        open_select("Dataset")
        page.get_by_role("option", name="rowed").click()
        if mode == "append":
            look(page, "predict")
        predict("train")
        page.get_by_role("link", name="View dataset").click(timeout=START_MS)
        expect(page.locator("[data-test=total]")).to_have_text(expected)


def make_model(workspace: Workspace, name: str) -> None:
    recipe = parse_recipe({**yaml.safe_load(RECIPE), "name": name}, ["train.epochs=1"])
    train(workspace, recipe, tensorboard=False)


def test_a_pipeline_run_links_to_its_training(open_page: OpenPage, server: Server, tmp_path: Path) -> None:
    (tmp_path / "ships.yaml").write_text(RECIPE.replace("name: ships", "name: dinghies"))
    steps = {
        "data": {"use": "dataset", "with": {"name": "harbour"}},
        "learn": {"use": "train", "from": "data", "with": {"recipe": "ships.yaml"}},
    }
    (tmp_path / "learn.yaml").write_text(json.dumps({"name": "learn", "steps": steps}))
    command = [sys.executable, "-m", "saccade", "run", str(tmp_path / "learn.yaml"), "--workspace"]
    subprocess.run([*command, str(server.workspace)], check=True, capture_output=True, cwd=tmp_path)
    page = open_page(Role.VIEWER, path="/runs")
    page.get_by_role("link", name="learn", exact=True).click()
    page.locator("[data-test=trainings]").get_by_role("link", name="dinghies").click()
    expect(page.locator("[data-test=loss-chart] svg").first).to_be_visible()
