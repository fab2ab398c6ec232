"""Every screen and dialog with assistive technology, in both themes, on phones, tablets and desktops."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.browser.conftest import (
    PASSWORD,
    SCREENSHOTS,
    TIMEOUT_MS,
    Server,
    add_users,
    start_server,
    stop_server,
    write_video,
)
from tests.support.plugin_package import write_package
from tests.support.tiny_workspace import write_pictures

from saccade.annotation.label_sets import LabelSets
from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.app.jobs.pipelines import build_graph
from saccade.app.pipelines.run import run_pipeline
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Schema
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
ROUTER = ROOT / "web" / "src" / "router.ts"
LAYOUT_AUDIT = (Path(__file__).parent / "layout_audit.js").read_text("utf-8")
SIZES = ((390, 844), (1024, 768), (1440, 900))
PIPELINE = """name: busy-harbours
steps:
  data: {use: dataset, with: {name: harbour}}
  busy: {use: filter, from: data, with: {where: "len(objects) >= 1"}}
  kept: {use: materialise, from: busy, with: {name: busy}}
"""
Action = Callable[[Page], None]


@dataclass(frozen=True)
class Screen:
    """A screen of the web app, in one of its states.

    Attributes:
        route: the name of its route.
        path: its path; names in braces are replaced by identifiers of the workspace.
        text: a text that is visible when it has loaded.
        state: what tells it from other states of the same route.
        open: what the user does to reach this state.
        root: the selector of what is examined.
    """

    route: str
    path: str
    text: str
    state: str = ""
    open: Action | None = None
    root: str = "body"

    @property
    def name(self) -> str:
        return f"{self.route}-{self.state}" if self.state else self.route


def click(role: str, name: str | re.Pattern[str], *more: str) -> Action:
    """Return an action that clicks an element, and then the menu items with the names in ``more``."""

    def action(page: Page) -> None:
        page.get_by_role(role, name=name).first.click()  # type: ignore[arg-type]  # one of Playwright's role names
        for item in more:
            page.get_by_text(item, exact=True).last.click()

    return action


def dialog(route: str, path: str, text: str, state: str, action: Action) -> Screen:
    return Screen(route, path, text, state, action, ".v-overlay--active .v-overlay__content")


def select_items(page: Page) -> None:
    for number in range(2):
        page.get_by_role("button", name=re.compile("^Select ")).nth(number).click()


def delete_items(page: Page) -> None:
    select_items(page)
    page.get_by_role("button", name="Delete").last.click()


def show_diff(page: Page) -> None:
    page.get_by_role("option", name=re.compile("^v2")).click()
    expect(page.get_by_text("Changed items").first).to_be_visible()


def upload_pictures(page: Page) -> None:
    page.locator("[data-test=folder]").set_input_files(page.evaluate("window.pictures"))
    expect(page.get_by_text("Detected format")).to_be_visible()


def import_pictures(page: Page) -> None:
    upload_pictures(page)
    page.get_by_label("Dataset name").fill(f"imported-{page.evaluate('Date.now()')}")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Imported:")).to_be_visible()


def choose_server_folder(page: Page) -> None:
    page.get_by_role("button", name="Server folder").click()
    page.get_by_text(page.evaluate("window.sharedFolder")).first.click()
    expect(page.get_by_role("button", name="Use this folder")).to_be_visible()


def show_plan(page: Page) -> None:
    page.get_by_label("Pipeline (YAML)").fill(PIPELINE)
    page.get_by_role("button", name="Show plan").click()
    expect(page.get_by_role("heading", name="Plan")).to_be_visible()


def compare_models(page: Page) -> None:
    page.get_by_label("Compare with").first.click(force=True)
    page.get_by_role("option", name=re.compile("boats@1")).click()
    expect(page.get_by_role("cell", name="train.epochs")).to_be_visible()


def open_filters(page: Page) -> None:
    if not page.locator(".filter-sidebar").is_visible():
        page.get_by_role("button", name="Filters").click()
    expect(page.get_by_role("heading", name="Objects per item")).to_be_visible()


def open_menu(page: Page) -> None:
    if (page.viewport_size or {"width": 0})["width"] < 960:
        page.get_by_role("button", name="Open menu").click()
    expect(page.get_by_role("link", name="Audit log")).to_be_in_viewport(ratio=1)


def open_new_project(page: Page) -> None:
    open_menu(page)
    click("button", re.compile("^Project:"), "New project")(page)


def invalid_sign_in(page: Page) -> None:
    page.get_by_label("E-mail").fill("unknown@example.org")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()


def select_object(page: Page) -> None:
    close_guide(page)
    page.locator("[data-object] .name").first.click()
    expect(page.get_by_text("Coordinates")).to_be_visible()


def close_guide(page: Page) -> None:
    if page.get_by_role("button", name="Got it").is_visible():
        page.get_by_role("button", name="Got it").click()
    expect(page.locator("[data-object]").first).to_be_visible()


def open_key_sheet(page: Page) -> None:
    close_guide(page)
    page.keyboard.press("F1")


def open_display_settings(page: Page) -> None:
    close_guide(page)
    page.get_by_role("button", name="Image settings").click()
    expect(page.get_by_label("Show labels")).to_be_visible()


SCREENS = (
    Screen("sign-in", "/sign-in", "Sign in"),
    Screen("sign-in", "/sign-in", "Sign in", "refused", invalid_sign_in),
    Screen("accept-invitation", "/join#{invitation}", "Create account"),
    Screen("dashboard", "/", "What would you like to do?"),
    Screen("dashboard", "/", "What would you like to do?", "menu", open_menu, ".v-navigation-drawer"),
    dialog(
        "dashboard",
        "/",
        "Hello",
        "new-project",
        open_new_project,
    ),
    Screen("datasets", "/datasets", "berths"),
    Screen("items", "/datasets/harbour", "10 items"),
    Screen("items", "/datasets/harbour", "10 items", "filters", open_filters),
    Screen("items", "/datasets/harbour", "10 items", "selected", select_items),
    Screen("items", "/datasets/harbour?query=len(objects)+>+10000", "No matching items", "empty"),
    Screen("items", "/datasets/harbour?query=len(objcts)+>+1", "objcts", "invalid-query"),
    dialog("items", "/datasets/harbour", "10 items", "delete", delete_items),
    Screen("item", "/datasets/harbour/item?key={key}&index=0", "Details"),
    Screen("item", "/datasets/film/item?key={film}&index=0", "Details", "video"),
    Screen("classes", "/datasets/harbour/classes", "sailboat"),
    dialog("classes", "/datasets/harbour/classes", "sailboat", "add", click("button", "Add class")),
    Screen("statistics", "/datasets/harbour/statistics", "Objects per class"),
    Screen("panels", "/datasets/harbour/panels?panel=everything", "two\nlines"),
    Screen("panels", "/datasets/harbour/panels?panel=class_balance", "Imbalance", "balance"),
    Screen("versions", "/datasets/berths/versions", "Called ferry"),
    Screen("versions", "/datasets/berths/versions", "Called ferry", "diff", show_diff),
    dialog("versions", "/datasets/berths/versions", "Called ferry", "tag", click("button", "Tag")),
    Screen("merge", "/datasets/berths/merge", "0 of 2 resolved"),
    Screen("export", "/datasets/harbour/export", "Supports"),
    Screen("label-sets", "/label-sets", "ships"),
    dialog("label-sets", "/label-sets?new=harbour", "ships", "new", lambda page: None),
    Screen("label-set", "/label-sets/ships", "0 of 10 done"),
    Screen("label-set", "/label-sets/ships?tab=classes", "sailboat", "classes"),
    dialog("label-set", "/label-sets/ships?tab=classes", "sailboat", "add-class", click("button", "Add class")),
    Screen("label", "/label-sets/ships/label?item={key}", "1 of 10"),
    Screen("label", "/label-sets/ships/label?item={key}", "1 of 10", "selected", select_object),
    dialog("label", "/label-sets/ships/label?item={key}", "1 of 10", "keys", open_key_sheet),
    dialog("label", "/label-sets/ships/label?item={key}", "1 of 10", "display", open_display_settings),
    Screen("import", "/import", "Drop files"),
    Screen("import", "/import", "Drop files", "server-folder", choose_server_folder),
    Screen("import", "/import", "Drop files", "review", upload_pictures),
    Screen("import", "/import", "Drop files", "done", import_pictures),
    Screen("jobs", "/jobs", "Export harbour"),
    Screen("job", "/jobs/{job}", "clas"),
    Screen("models", "/models", "boats@2"),
    Screen("model", "/models/boats@2", "Versions"),
    Screen("model", "/models/boats@2", "Versions", "comparison", compare_models),
    dialog("model", "/models/boats@2", "Versions", "delete", click("button", "More actions", "Delete")),
    dialog("model", "/models/boats@2", "Versions", "promote", click("button", "Promote")),
    Screen("train", "/train", "Recipe"),
    Screen("predict", "/predict", "Confidence threshold"),
    Screen("runs", "/runs", "ferries"),
    Screen("run", "/runs/{run}", "Validation"),
    dialog("run", "/runs/{run}", "Validation", "delete", click("button", "Delete")),
    Screen("pipelines", "/pipelines", "busy-harbours"),
    Screen("new-pipeline", "/pipelines/new", "Use an example"),
    Screen("new-pipeline", "/pipelines/new", "Use an example", "plan", show_plan),
    Screen("pipeline-run", "/pipelines/{pipeline}", "3 of 3 steps done"),
    Screen("members", "/members", "owner@example.org"),
    dialog("members", "/members", "owner@example.org", "remove", click("button", "Remove access")),
    Screen("audit-log", "/audit-log", "signed in"),
    Screen("webhooks", "/webhooks", "builds.example.org"),
    dialog("webhooks", "/webhooks", "builds.example.org", "add", click("button", "Add webhook")),
    Screen("webhook", "/webhooks/{webhook}", "Deliveries"),
    dialog("webhook", "/webhooks/{webhook}", "Deliveries", "rotate", click("button", "Rotate secret")),
    Screen("account", "/account", "API tokens"),
    Screen("no-project", "/no-project", "You are not a member of any project"),
    Screen("not-found", "/nowhere", "Page not found"),
    Screen("not-found", "/datasets/nowhere", "nowhere", "dataset"),
)


def create_workspace(folder: Path, pictures: Path) -> dict[str, str]:
    """Create a workspace in which every screen has content. Returns identifiers for the paths of the screens."""
    with Workspace.create(folder) as workspace:
        add_users(workspace, *Role)
        harbour = import_dataset(workspace, pictures, "harbour", split=SplitRequest({"train": 0.6, "val": 0.4})).version
        film = import_dataset(
            workspace, write_video(folder / "film"), "film", format="videos", options={"frames": "none"}
        )
        create_diverged_branches(workspace, pictures)
        LabelSets(workspace).create("ships", "harbour")
        for number in (1, 2):
            manifest = {
                "recipe": {"train": {"epochs": 10 * number}},
                "model": {"encoder": "csp", "widths": [8, 16, 24]},
            }
            model = workspace.models.add(
                "boats", files={"weights.safetensors": b"w"}, manifest=manifest, metrics={"ap50": 0.4 + 0.1 * number}
            )
            scores = {"ap": 0.3 + 0.05 * number, "ap50": 0.5 + 0.1 * number, "ap75": 0.3 - 0.02 * number}
            workspace.evaluations.add(model.ref, "harbour@1", "val", "boxes", scores, b"<p>report</p>")
        workspace.models.promote("boats@2", "production", author="Owner")
        run = workspace.runs.start("train", "ferries", {"epochs": 4, "optimizer": {"name": "adamw"}}, ["harbour@1"])
        epochs = [{"epoch": n, "train.loss": 2 / n, "validation": {"loss": 3 / n, "ap50": n / 9}} for n in range(1, 5)]
        (run.folder / "metrics.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs), "utf-8")
        workspace.runs.finish(run.id, "finished", metrics={"ap50": 0.44, "seconds": 12.5})
        graph = build_graph({"pipeline.yaml": PIPELINE}, {}, folder / "pipeline")
        pipeline = run_pipeline(workspace, graph, config={"pipeline": PIPELINE}).run
        export = {"dataset": "harbour", "format": "coco", "where": 'clas == "ship"'}
        job = workspace.jobs.add("export", "Export harbour as coco", export)
        webhook, _ = workspace.webhooks.add(
            "https://builds.example.org/hooks/0123456789abcdef?team=harbour", ["job.failed"]
        )
        _, owner = workspace.users.sign_in("owner@example.org", PASSWORD)
        _, invitation = workspace.users.invite("new@example.org", Role.ANNOTATOR, owner)
        return {
            "key": harbour.keys()[0],
            "film": film.version.keys()[0],
            "run": run.id,
            "pipeline": pipeline.id,
            "job": job.id,
            "webhook": webhook.id,
            "invitation": invitation,
        }


def create_diverged_branches(workspace: Workspace, pictures: Path) -> None:
    """Create a dataset with two branches that give the same objects different classes."""
    version = import_dataset(workspace, pictures, "berths").version
    items = [item for item in version.items(["objects"]) if item["objects"]][:2]
    workspace.datasets.branch("berths", "night-shift", "1")
    schema = Schema((version.schema["objects"],))
    for branch, class_name in (("main", "pilot boat"), ("night-shift", "ferry")):
        changed = [
            Item(item.key, {"objects": (replace(item["objects"][0], class_name=class_name), *item["objects"][1:])})
            for item in items
        ]
        workspace.datasets.write("berths", schema, changed, mode="merge", branch=branch, message=f"Called {class_name}")


@pytest.fixture(scope="module")
def identifiers() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pictures: Path, identifiers: dict[str, str]) -> Iterator[Server]:
    """A server on which every screen has content."""
    folder = tmp_path_factory.mktemp("accessibility")
    packages = write_package(folder / "packages", ("everything", "about", "overview"))
    identifiers.update(create_workspace(folder / "workspace", pictures))
    identifiers["pictures"] = str(write_pictures(folder / "upload", 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(packages))
        process, address = start_server(folder / "workspace", "--folder", str(pictures))
    yield Server(address, folder / "workspace", pictures)
    stop_server(process)


@pytest.fixture(scope="module")
def page(server: Server, browser: Browser, identifiers: dict[str, str]) -> Iterator[Page]:
    """A page of the owner, in which axe-core is loaded. A script error or a server error fails the module."""
    errors: list[str] = []
    context = browser.new_context(base_url=server.address, bypass_csp=True, reduced_motion="reduce")
    context.add_init_script(path=AXE)
    context.add_init_script(f"window.pictures = {json.dumps(identifiers['pictures'])}")
    context.add_init_script(f"window.sharedFolder = {json.dumps(str(server.shared_folder))}")
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("response", lambda response: errors.append(response.url) if response.status >= 500 else None)
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill("owner@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)
    yield page
    context.close()
    assert errors == []


def resize(page: Page, theme: str, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
    page.evaluate("new Promise(resolve => setTimeout(resolve, 100))")  # observers of sizes run with the next frames


def open_screen(page: Page, screen: Screen, identifiers: dict[str, str], theme: str, width: int, height: int) -> None:
    """Open a screen; if it is open already, and as it was when it opened, only its state."""
    path = screen.path.format(**identifiers)
    resize(page, theme, width, height)
    if page.evaluate("window.untouchedPath") != path:
        page.goto("about:blank")  # the next address may differ only in its fragment
        page.goto(path)
        page.evaluate("path => window.untouchedPath = path", path)
    expect(page.get_by_text(screen.text).filter(visible=True).first).to_be_visible()
    if screen.open is not None:
        page.evaluate("window.untouchedPath = null")
        screen.open(page)
        expect(page.locator(screen.root).last).to_be_visible()
    page.wait_for_load_state("networkidle")


def take_screenshot(page: Page, screen: Screen, theme: str, width: int) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"a11y-{screen.name}-{theme}-{width}.png")


def violations(page: Page, screen: Screen) -> list[str]:
    """Return the serious and critical violations of all rules of axe-core."""
    result = page.locator(screen.root).last.evaluate("root => axe.run(root, {resultTypes: ['violations']})")
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: {node['html'][:200]} {node['failureSummary']}"
        for rule in result["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def layout_problems(page: Page, screen: Screen) -> list[str]:
    """Return what is cut off, covered or makes the page scroll sideways."""
    problems: list[str] = page.locator(screen.root).last.evaluate(LAYOUT_AUDIT)
    return problems


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.name)
def test_screen(page: Page, identifiers: dict[str, str], screen: Screen) -> None:
    problems = []
    for number, (theme, (width, height)) in enumerate(zip(("dark", "light", "light"), SIZES, strict=True)):
        if number == 0:
            open_screen(page, screen, identifiers, theme, width, height)
        else:
            resize(page, theme, width, height)
        take_screenshot(page, screen, theme, width)
        problems += [f"{width} pixels: {problem}" for problem in layout_problems(page, screen)]
        if number != 1:
            problems += [f"{theme}: {violation}" for violation in violations(page, screen)]
    assert problems == []


def test_every_route_is_visited() -> None:
    names = re.findall(r"name: '([a-z-]+)', component:", ROUTER.read_text("utf-8"))
    assert {screen.route for screen in SCREENS} == set(names)


def focused(page: Page) -> Locator:
    return page.locator(":focus")


def go_to(page: Page, path: str, text: str) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(path)
    expect(page.get_by_text(text).filter(visible=True).first).to_be_visible()


def tab_stops(page: Page, selector: str) -> int:
    """Return how many elements within another one the Tab key reaches."""
    count: int = page.locator(selector).evaluate(
        "element => [...element.querySelectorAll('a[href], button, input, [tabindex]')]"
        ".filter(inner => inner.tabIndex >= 0 && inner.checkVisibility()).length"
    )
    return count


def test_the_first_tab_stop_skips_the_menu(page: Page) -> None:
    go_to(page, "/datasets", "berths")
    page.keyboard.press("Tab")
    expect(focused(page)).to_have_text("Skip to content")
    expect(focused(page)).to_be_in_viewport(ratio=1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(focused(page)).to_have_text("Import data")


def test_navigation_announces_the_page_and_focuses_its_heading(page: Page) -> None:
    go_to(page, "/datasets", "berths")
    expect(page).to_have_title("Datasets · Saccade")
    page.get_by_role("link", name="Webhooks").press("Enter")
    expect(page.get_by_role("heading", name="Webhooks", level=1)).to_be_focused()
    expect(page).to_have_title("Webhooks · Saccade")
    expect(page.locator("[role=status]", has_text="Webhooks · Saccade")).to_have_count(1)
    page.get_by_role("link", name=re.compile("builds.example.org")).press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    go_to(page, "/datasets/harbour/classes", "sailboat")
    page.get_by_role("tab", name="Statistics").press("Enter")
    expect(page).to_have_title("Statistics · harbour · Saccade")
    expect(page.get_by_role("tab", name="Statistics")).to_be_focused()  # the user may want to go on to the next tab


def test_every_screen_has_a_title_of_its_own(page: Page, identifiers: dict[str, str]) -> None:
    titles = {}
    for screen in SCREENS:
        if screen.state:
            continue
        page.goto("about:blank")
        page.goto(screen.path.format(**identifiers))
        page.wait_for_function("document.title !== 'Saccade'")
        titles[screen.route] = page.title()
    assert len(set(titles.values())) == len(titles), titles


def test_a_histogram_is_one_tab_stop(page: Page) -> None:
    go_to(page, "/datasets/harbour", "10 items")
    open_filters(page)
    group = page.get_by_role("group", name="Objects per item")
    bars = group.get_by_role("button")
    total = page.locator("[data-test=total]")
    assert tab_stops(page, "[role=group][aria-label='Objects per item']") == 1
    bars.first.focus()
    page.keyboard.press("ArrowRight")
    expect(bars.nth(1)).to_be_focused()
    assert re.fullmatch(r"[\d.,]+ – [\d.,]+: \d+", bars.nth(1).get_attribute("aria-label") or "")
    page.keyboard.press("End")
    expect(bars.last).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(total).to_contain_text("of 10")
    page.keyboard.press("Escape")
    expect(total).to_have_text("10 items")
    for _ in range(bars.count() - 1):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    expect(total).to_have_text(re.compile("^10 of 10"))


def test_the_grid_is_one_tab_stop_and_keeps_its_place(page: Page) -> None:
    go_to(page, "/datasets/harbour", "10 items")
    tiles = page.get_by_role("gridcell").get_by_role("button", name=re.compile("^Item "))
    expect(tiles).to_have_count(10)
    assert tab_stops(page, "[role=grid]") == 1
    tiles.first.focus()
    for key, index in (
        ("ArrowRight", 1),
        ("Home", 0),
        ("End", page.get_by_role("row").first.get_by_role("gridcell").count() - 1),
    ):
        page.keyboard.press(key)
        expect(tiles.nth(index)).to_be_focused()
    page.keyboard.press("Control+End")
    expect(tiles.last).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(tiles.nth(8)).to_be_focused()
    page.keyboard.press("x")
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.keyboard.press("x")
    name = tiles.nth(8).get_attribute("aria-label") or ""
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=name.removeprefix("Item "), level=1)).to_be_focused()
    page.keyboard.press("Escape")
    expect(tiles.nth(8)).to_be_focused()


@pytest.mark.parametrize(
    ("path", "text", "opener", "menu_item"),
    [
        ("/datasets/berths/versions", "Called ferry", "Tag", None),
        ("/members", "owner@example.org", "Remove access", None),
        ("/models/boats@2", "Versions", "More actions", "Delete"),
    ],
)
def test_a_dialog_returns_the_focus(page: Page, path: str, text: str, opener: str, menu_item: str | None) -> None:
    go_to(page, path, text)
    button = page.get_by_role("button", name=opener).first
    for close in ("Escape", "Cancel"):
        button.focus()
        page.keyboard.press("Enter")
        if menu_item is not None:
            page.get_by_role("menuitem", name=menu_item).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        expect(dialog.locator(":focus")).to_have_count(1)
        if close == "Escape":
            page.keyboard.press("Escape")
        else:
            dialog.get_by_role("button", name=close).click()
        expect(dialog).to_have_count(0)
        expect(button).to_be_focused()


def test_no_motion_if_the_user_prefers_none(page: Page) -> None:
    go_to(page, "/", "What would you like to do?")
    moving = page.evaluate(
        "[...document.querySelectorAll('*')].filter(element => ['', '::before', '::after'].some(part => {"
        " const style = getComputedStyle(element, part || null);"
        " const isTransition = style.transitionProperty !== 'none' && style.transitionDuration !== '0s';"
        " return style.animationName !== 'none' || isTransition }))"
        ".map(element => element.className)"
    )
    assert moving == []
