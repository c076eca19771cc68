"""A pushed pipeline of several files, run by the runner: what it includes, extends, splits and tries again."""

import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from quarterdeck.core.pipeline import PIPELINE_ENDED
from tests.instance import Instance

ROOT = """
include:
  - local: ci/base.yml
  - local: ci/*.yml
stages: [test, gather]
workflow:
  rules:
    - if: $CI_COMMIT_BRANCH == "several-files"
split:
  extends: .python
  parallel: 2
  script:
    - !reference [.greeting, script]
    - python3 -m unittest -v tests.test_books
    - echo "$CI_NODE_INDEX of $CI_NODE_TOTAL" > "part-$CI_NODE_INDEX"
  artifacts: {paths: ["part-*"]}
gather:
  stage: gather
  needs: [split, flaky, {job: shelf, artifacts: false}]
  script:
    - cat part-1 part-2
"""
BASE = """
.greeting:
  script: [echo "from another file"]
.python:
  variables: {PYTHONDONTWRITEBYTECODE: "1"}
  before_script: [python3 --version]
"""
MORE = """
flaky:
  script: [echo once more, exit 7]
  retry: {max: 1, exit_codes: 7}
  allow_failure: true
shelf:
  parallel:
    matrix:
      - {WORD: [sea, time]}
  script: [echo "looks for $WORD", python3 -m shelf --search "$WORD"]
"""


def test_a_pushed_pipeline_of_several_files(instance: Instance, tmp_path: Path) -> None:
    at = urlsplit(instance.url)
    place = f"{at.scheme}://x:{instance.token}@{at.netloc}/git/sample.git"
    work = tmp_path / "work"

    def git(*arguments: str, folder: Path = work) -> None:
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)

    git("clone", "-q", place, str(work), folder=tmp_path)
    git("switch", "-q", "-c", "several-files")
    (work / "ci").mkdir()
    for path, text in {".gitlab-ci.yml": ROOT, "ci/base.yml": BASE, "ci/more.yml": MORE}.items():
        (work / path).write_text(text, encoding="utf-8")
    git("add", "-A")
    git("commit", "-q", "-m", "A pipeline of several files")
    git("push", "-q", "origin", "several-files")
    (made,) = instance.get("/projects/sample/pipelines", ref="several-files")
    path = f"/pipelines/{made['id']}"
    instance.wait(lambda: instance.get(path)["status"] in PIPELINE_ENDED, 240, "the pipeline has ended")
    ended = instance.get(path)
    jobs: dict[str, Any] = {job["name"]: job for job in ended["jobs"]}
    logs = {name: instance.raw(f"/jobs/{job['id']}/log").decode() for name, job in jobs.items()}
    assert ended["status"] == "success", logs
    assert list(jobs) == ["flaky", "shelf: [sea]", "shelf: [time]", "split 1/2", "split 2/2", "gather"]
    for number in (1, 2):
        for words in ("Python 3", "from another file", "test_upper_and_lower_case_are_the_same", "succeeded"):
            assert words in logs[f"split {number}/2"]
    assert "1 of 2\n2 of 2\n" in logs["gather"]
    assert "looks for time" in logs["shelf: [time]"]
    assert (jobs["flaky"]["status"], jobs["flaky"]["attempt"], jobs["flaky"]["exit_code"]) == ("failed", 2, 7)
    (first,) = ended["earlier"]
    assert (first["name"], first["attempt"], first["exit_code"]) == ("flaky", 1, 7)
    assert "once more" in instance.raw(f"/jobs/{first['id']}/log").decode()
    told = instance.qd("pipeline", "show", str(made["id"])).stdout
    assert "attempt 2 exit code 7 (allowed to fail)" in " ".join(told.split())

    seen = instance.qd("pipeline", "lint", str(work / ".gitlab-ci.yml"), "--project", "sample", code=1)
    assert "no such file at this commit" in seen.stdout, "the default branch has none of the other files"
    seen = instance.qd(
        "pipeline", "lint", str(work / ".gitlab-ci.yml"), "--project", "sample", "--ref", "several-files"
    )
    assert "shelf: [time]" in seen.stdout
    kept_out = tmp_path / "kept-out.yml"
    kept_out.write_text(ROOT.replace("include:", ".hidden:"), encoding="utf-8")
    told = instance.qd("pipeline", "lint", str(kept_out), "--project", "sample", code=1).stdout
    assert "job split: `extends: .python`: there is no such job" in told
    kept_out.write_text("workflow: {rules: [{if: $NEVER}]}\na: {script: x}\n", encoding="utf-8")
    told = instance.qd("pipeline", "lint", str(kept_out), "--project", "sample").stdout
    assert "a push of it would run nothing: `workflow: rules` (line 1) let no pipeline start" in " ".join(told.split())
