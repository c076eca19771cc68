"""The local forge in a browser: an issue, a pipeline as it runs, and its repair by one button."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import shoot
from tests.instance import Instance


def test_an_issue_a_pipeline_and_its_repair(page: Page, instance: Instance) -> None:
    """Written, talked about and closed; run again and watched to its end without loading; repaired by a session."""
    page.goto("/projects/1")
    project = page.get_by_role("navigation", name="Project")
    project.get_by_role("link", name="Issues").click()
    page.get_by_role("link", name="New issue").click()
    page.get_by_role("textbox", name="Title").fill("The shelf is empty")
    page.get_by_role("textbox", name="Description").fill("It has **no** books.")
    page.get_by_role("button", name="Create issue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The shelf is empty #1")
    expect(page.get_by_role("link", name="Start a session about this")).to_be_visible()
    page.get_by_role("textbox", name="Your comment").fill("Then *fill* it.")
    shoot(page, "issue")
    page.get_by_role("button", name="Comment and close").click()
    expect(page.get_by_role("main")).to_contain_text("Then fill it.")
    expect(page.get_by_role("button", name="Open again")).to_be_visible()

    project.get_by_role("link", name="Files").click()
    page.get_by_role("link", name="README.md").click()
    page.locator("#L1 a").click()
    expect(page).to_have_url(f"{instance.url}/projects/1/file?ref=main&path=README.md#L1")
    shoot(page, "file")

    project.get_by_role("link", name="Pipelines").click()
    page.get_by_role("link", name="Run a pipeline").click()
    page.get_by_role("button", name="Run", exact=True).click()
    part = page.locator("#pipeline-part")
    page.get_by_role("link", name="unit").click()
    expect(page.locator("job-log")).to_contain_text("FAILED")  # it came by the stream, or was there
    expect(page.locator("#job-part")).to_contain_text("Failed")
    shoot(page, "job")
    page.get_by_role("main").get_by_role("link", name="Pipeline #").click()
    expect(part.get_by_role("button", name="Fix pipeline")).to_be_visible()
    shoot(page, "pipeline")
    part.get_by_text("Model", exact=True).click()
    part.get_by_label("Another than the usual one").fill("scripted")
    with page.expect_navigation(url="**/sessions/*"):
        part.get_by_role("button", name="Fix pipeline").click()
    expect(page.locator("#session-header")).to_contain_text("fix_pipeline")


def test_a_pipeline_file_is_checked_while_it_is_written(page: Page, instance: Instance) -> None:
    """What is wrong stands at its line without loading, and a click leads there."""
    page.goto("/projects/1/pipelines")
    page.get_by_role("link", name="Check a pipeline file").click()
    text = page.get_by_role("textbox", name=".gitlab-ci.yml")
    found = page.get_by_role("region", name="What is found in it")
    expect(found).to_contain_text("No faults: a push runs 3 jobs")
    text.fill("stages: [test]\nunit:\n  script: make test\n  paralel: 2\n")
    expect(found).to_contain_text("job unit: `paralel` is not supported")
    expect(page.locator(".gutter .fault")).to_have_text("4")
    shoot(page, "lint")
    found.get_by_role("link", name="Line 4").click()
    expect(text).to_be_focused()
    text.fill("stages: [test]\nunit:\n  script: make test\n  parallel: 2\n")
    expect(found).to_contain_text("unit 2/2")
    page.get_by_role("button", name="Check").click()
    expect(found).to_contain_text("No faults: a push runs 2 jobs")
    assert page.url == f"{instance.url}/projects/1/pipelines/check"
