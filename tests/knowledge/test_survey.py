"""`assertlib knowledge` and `handover`: who still knows what, from histories with known answers."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from .project import LOG, Project

NOW = "2026-06-01"


class History(Project):
    """A project whose commits are made by named people at given days."""

    def commit(self, who, day, message="Change", **more):
        self.git("add", "-A")
        email = f"{who.split()[0].lower()}@example.org"
        date = f"{day}T12:00:00+0000"
        self.git(
            "commit", "-q", "--allow-empty", "-m", message,
            GIT_AUTHOR_NAME=who, GIT_AUTHOR_EMAIL=more.get("email", email),
            GIT_COMMITTER_NAME=who, GIT_COMMITTER_EMAIL=email,
            GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date,
        )  # fmt: skip

    def configure(self, line):
        before = (self.root / "pyproject.toml").read_text()
        self.write("pyproject.toml", f"[tool.assertlib.knowledge]\n{line}\n{before}")

    def keep_everybody_active(self):
        """For questions about the present: these histories lie in the past."""
        self.configure("active-days = 100_000")

    def ask(self, *arguments, as_of=NOW, code=0):
        when = ["--as-of", as_of] if as_of else []
        done = self.run("knowledge", *when, *arguments, "--format", "json", code=code)
        return json.loads(done.stdout) if code == 0 else done

    def status(self, *arguments, identifier="wal.synced-before-ack", **more):
        (row,) = [r for r in self.ask(*arguments, **more)["invariants"] if r["id"] == identifier]
        return row


@pytest.fixture(name="history")
def _history(tmp_path):
    history = History(tmp_path)
    history.git("init", "-q")
    return history


def test_one_active_person_is_a_risk_and_is_named(history):
    history.commit("Ann", "2026-05-01")
    row = history.status()
    assert row["status"] == "at risk"
    assert row["active"] == ["Ann"]
    assert row["reasons"][0].startswith("only Ann is still active: ")


def test_an_author_who_left_takes_the_knowledge_along(history):
    history.commit("Ann", "2024-01-01")
    history.write("README.md", "other work\n")
    history.commit("Bob", "2026-05-01")
    row = history.status()
    assert row["status"] == "lost"
    assert "Ann (" in row["reasons"][1]
    assert "was last active 2024-01-01" in row["reasons"][1]
    assert history.status(as_of="2024-02-01")["status"] == "at risk"


def test_co_authors_of_a_squash_merge_and_reviewers_know_it(history):
    history.commit("Ann", "2026-05-01", "Add (#1)\n\nCo-authored-by: Bob <bob@example.org>")
    assert history.status()["status"] == "alive"
    other = History(history.root / "other")
    other.git("init", "-q")
    other.commit("Ann", "2026-05-01", "Add\n\nReviewed-by: Bob <bob@example.org>")
    assert other.status()["status"] == "alive"


def test_bots_and_tools_know_nothing(history):
    message = "Add\n\nCo-authored-by: Claude <noreply@anthropic.com>"
    history.commit("Ann", "2026-05-01", message)
    history.write("README.md", "bumped\n")
    history.commit("dependabot[bot]", "2026-05-02")
    assert history.status()["status"] == "at risk"
    history.change("store/log.py", '"""The log of the store."""', '"""The log."""')
    history.commit(
        "renovate", "2026-05-03", email="29139614+renovate[bot]@users.noreply.github.com"
    )
    assert history.status()["active"] == ["Ann"]


def test_configured_bots_count_as_bots(history):
    history.configure("bots = ['^Robo']")
    history.commit("Robotnik", "2026-05-01")
    row = history.status()
    assert row["status"] == "lost"
    assert row["reasons"] == ["no person contributed to it"]


def test_a_file_that_was_renamed_and_reformatted_keeps_its_author(history):
    history.commit("Ann", "2026-01-01")
    (history.root / "store/log.py").rename(history.root / "store/journal.py")
    history.write(
        "store/journal.py",
        LOG.replace("        ", "            ").replace("\n    def", "\n     def"),
    )
    history.write("store/journal.py", LOG)
    history.commit("Bob", "2026-05-01", "Rename")
    row = history.status(as_of="2026-05-02")
    assert row["active"] == ["Ann"]


def test_one_person_with_two_names_is_one_with_a_mailmap(history):
    history.commit("Ann", "2026-05-01")
    history.change("store/log.py", "number < log.durable", "number <= log.durable - 1")
    history.commit("Ann Smith", "2026-05-02")
    assert history.status()["status"] == "alive"
    history.write(".mailmap", "Ann Smith <ann@example.org> Ann <ann@example.org>\n")
    history.commit("Ann Smith", "2026-05-03")
    row = history.status()
    assert (row["status"], row["active"]) == ("at risk", ["Ann Smith"])


def test_old_contributions_of_several_people_fade(history):
    history.configure("half-life-days = 100.0")
    history.commit("Ann", "2022-01-01", "Add\n\nCo-authored-by: Bob <bob@example.org>")
    history.write("README.md", "x\n")
    history.commit("Ann", "2026-05-01")
    history.write("README.md", "y\n")
    history.commit("Bob", "2026-05-01")
    assert history.status()["status"] == "fading"
    # Without the old contributions nothing is left.
    assert history.status("--since", "2023-01-01")["status"] == "lost"


def test_a_departure_shows_what_would_have_nobody(history):
    history.commit("Ann", "2026-05-01", "Add\n\nCo-authored-by: Bob <bob@example.org>")
    assert history.status("--departure", "bob")["status"] == "at risk"
    row = history.status("--departure", "Ann", "--departure", "Bob")
    assert row["status"] == "lost"
    assert row["reasons"][1].startswith("contributor lost: Ann (")
    problem = history.ask("--departure", "Eve", code=2)
    assert "'Eve' wrote no commit that counts" in problem.stderr


def test_the_most_urgent_promise_comes_first(history):
    history.commit("Ann", "2026-05-01")
    history.write("README.md", "x\n")
    history.change(
        "catalog/wal.toml", "No reply overtakes another.", "No reply overtakes any other."
    )
    history.change("store/server.py", "last < number", "number > last")
    history.commit("Bob", "2026-05-02")
    rows = history.ask()["invariants"]
    assert [row["status"] for row in rows] == ["at risk", "at risk", "alive"]
    assert rows[-1]["id"] == "wal.clients-see-order"


def test_uncommitted_lines_have_no_author_yet(history):
    history.commit("Ann", "2026-05-01")
    history.change("store/log.py", "number < log.durable", "number + 1 <= log.durable")
    row = history.status(as_of=None)
    assert any("not committed" in reason for reason in row["reasons"])


def test_a_shallow_clone_says_what_it_cannot_know(history, tmp_path):
    history.commit("Ann", "2026-05-01")
    history.write("README.md", "x\n")
    history.commit("Ann", "2026-05-02")
    clone = tmp_path / "clone"
    subprocess.run(
        ["git", "clone", "-q", "--depth", "1", f"file://{history.root}", str(clone)], check=True
    )
    done = Project.run(history, "knowledge", "--format", "json", cwd=clone)
    found = json.loads(done.stdout)
    assert "shallow clone" in found["notes"][0]
    assert {row["status"] for row in found["invariants"]} == {"unknown"}


def test_a_rewritten_history_is_noticed_and_read_again(history):
    history.keep_everybody_active()
    history.commit("Ann", "2026-05-01")
    assert history.status(as_of=None)["active"] == ["Ann"]
    date = "2026-05-01T12:00:00+0000"
    history.git("commit", "-q", "--amend", "--author", "Eve <eve@example.org>", "-m", "Again",
                GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)  # fmt: skip
    found = history.ask(as_of=None)
    assert {name for row in found["invariants"] for name in row["active"]} == {"Eve"}
    assert any("rewritten" in note for note in found["notes"])


def test_what_is_kept_gives_the_same_answer_as_what_is_read(history):
    history.keep_everybody_active()
    history.commit("Ann", "2026-05-01")
    first = history.ask(as_of=None)
    assert history.ask(as_of=None) == first
    history.change("store/server.py", "last < number", "number > last")
    history.commit("Bob", "2026-05-02")
    warm = history.ask(as_of=None)
    for path in (history.root / ".assertlib" / "cache").glob("*.json"):
        path.unlink()
    assert history.ask(as_of=None)["invariants"] == warm["invariants"]


def test_names_in_any_script_are_shown_and_controls_are_escaped(history):
    history.commit("Łukasz 山田", "2026-05-01", email="l@example.org")
    assert history.status()["active"] == ["Łukasz 山田"]
    assert "Łukasz 山田" in history.run("knowledge", "--as-of", NOW).stdout


def test_a_commit_with_a_malformed_author_is_read(history):
    history.git("add", "-A")
    tree = history.git("write-tree").strip()
    data = (
        f"tree {tree}\nauthor <> 1777636800 +0000\ncommitter A\tB <x> 1777636800 +0000\n\nOdd\x1b\n"
    )
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"],
        cwd=history.root, input=data.encode(), capture_output=True, check=True,
    )  # fmt: skip
    history.git("update-ref", "HEAD", made.stdout.decode().strip())
    assert history.status()["status"] in ("lost", "at risk")


def test_a_repository_without_commits_and_a_directory_without_one_are_answered(tmp_path):
    project = Project(tmp_path / "p")
    done = project.run("knowledge", code=2)
    assert "not in a git repository" in done.stderr
    project.git("init", "-q")
    assert "no commits yet" in project.run("knowledge", code=3).stderr


def test_a_worktree_and_a_subdirectory_have_the_history_of_their_repository(history, tmp_path):
    history.keep_everybody_active()
    history.commit("Ann", "2026-05-01")
    tree = tmp_path / "tree"
    history.git("worktree", "add", "-q", str(tree))
    found = json.loads(Project.run(history, "knowledge", "--format", "json", cwd=tree).stdout)
    assert found["invariants"][0]["active"] == ["Ann"]
    inner = History(tmp_path / "mono" / "package")
    (tmp_path / "mono").mkdir(exist_ok=True)
    subprocess.run(["git", "init", "-q", str(tmp_path / "mono")], check=True)
    inner.commit("Bob", "2026-05-01")
    assert inner.status()["active"] == ["Bob"]


def test_windows_line_ends_change_no_author(history):
    path = history.root / "store/log.py"
    path.write_bytes(LOG.replace("\n", "\r\n").encode())
    history.commit("Ann", "2026-05-01")
    assert history.status()["active"] == ["Ann"]


def test_a_date_before_the_project_is_answered(history):
    history.commit("Ann", "2026-05-01")
    assert "no commit that early" in history.ask(as_of="2020-01-01", code=3).stderr
    assert "not a date" in history.ask(as_of="soon", code=2).stderr


def test_a_trend_counts_each_status_over_time(history):
    history.commit("Ann", "2024-01-01")
    history.write("README.md", "x\n")
    history.commit("Bob", "2026-05-01")
    found = history.ask("--trend", "3")
    assert found["trend"][0]["counts"]["at risk"] == 0
    assert found["trend"][-1]["counts"]["lost"] == 3


def test_a_handover_names_promises_questions_incidents_and_a_partner(history):
    history.keep_everybody_active()
    history.commit("Ann", "2026-05-01")
    history.change("store/server.py", "last < number", "number > last")
    history.change(
        "catalog/wal.toml", "No reply overtakes another.", "No reply overtakes any other."
    )
    history.write(
        "store/extra.py",
        "from assertlib import always\n\n\ndef alone(x):\n    always(x > 0, 'x is positive')\n",
    )
    history.commit("Bob", "2026-05-02")
    text = history.run("handover", "Ann").stdout
    assert "- [ ] **wal.synced-before-ack**: A write is synced before its ack" in text
    assert "pair with: Bob" in text
    assert "open question: Does it hold with group commit?" in text
    assert "incident: etcd-io/etcd\\#14370" in text
    assert "wal.clients-see-order" in text
    assert "`alone`" in history.run("handover", "Bob").stdout


def test_a_list_of_all_is_complete_in_markdown(history):
    history.keep_everybody_active()
    history.commit("Ann", "2026-05-01")
    text = history.run("knowledge", "--format", "markdown").stdout
    for name in ("wal.synced-before-ack", "wal.index-contiguous", "wal.clients-see-order"):
        assert f"| {name} | at risk |" in text
    assert "What this cannot show" in text


def test_a_function_moved_to_another_file_keeps_its_author(history):
    history.commit("Ann", "2026-01-01")
    head, reply = LOG.split("\n\n\ndef reply")
    first = head.partition("\n\n\nclass")[0]
    history.write("store/log.py", head + "\n")
    history.write("store/reply.py", f"{first}\n\n\ndef reply{reply}")
    history.commit("Bob", "2026-05-01", "Move")
    row = history.status(as_of="2026-05-02")
    assert row["active"][0] == "Ann"
    assert "Ann" in row["reasons"][0]


def test_people_are_no_programs_because_of_their_names_or_employers(history):
    history.commit("Claude Dupont", "2026-05-01")
    assert history.status()["active"] == ["Claude Dupont"]
    history.change("store/log.py", "number < log.durable", "number <= log.durable - 1")
    history.commit("Abby Bot", "2026-05-02", email="abby@snyk.io")
    assert history.status()["status"] == "alive"


def test_an_earlier_day_has_all_files_of_its_commit(history):
    history.write(".gitattributes", "catalog export-ignore\nstore/log.py export-ignore\n")
    (history.root / "outside").symlink_to("/etc/passwd")
    history.commit("Ann", "2026-05-01")
    assert history.status()["status"] == "at risk"


def test_a_file_that_was_deleted_and_added_again_has_a_new_author(history):
    history.keep_everybody_active()
    history.commit("Ann", "2026-05-01")
    server = {"as_of": None, "identifier": "wal.clients-see-order"}
    assert history.status(**server)["active"] == ["Ann"]
    text = (history.root / "store/server.py").read_text()
    (history.root / "store/server.py").unlink()
    history.commit("Ann", "2026-05-02")
    history.write("store/server.py", text)
    history.commit("Bob", "2026-05-03")
    assert history.status(**server)["status"] == "alive"


def test_a_repository_with_the_other_hash_is_read(tmp_path):
    history = History(tmp_path)
    history.git("init", "-q", "--object-format=sha256")
    for number in range(20):
        history.write(f"store/more_{number}.py", (history.root / "store/server.py").read_text()
                      .replace("replies are in order", f"replies {number} are in order"))  # fmt: skip
    history.commit("Ann", "2026-05-01")
    assert {row["status"] for row in history.ask()["invariants"]} == {"at risk"}


def test_a_commit_from_the_year_34000_is_read(history):
    history.commit("Ann", "2026-05-01")
    text = history.git("cat-file", "commit", "HEAD")
    data = re.sub(r"> \d+ ", "> 1000000000000 ", text)
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"],
        cwd=history.root, input=data.encode(), capture_output=True, check=True,
    )  # fmt: skip
    history.git("update-ref", "HEAD", made.stdout.decode().strip())
    assert history.status("--trend", "2", as_of=None)["status"] == "at risk"


def test_damaged_results_are_computed_again(history):
    history.keep_everybody_active()
    history.commit("Ann", "2026-05-01")
    before = history.ask(as_of=None)
    for path in (history.root / ".assertlib/cache").glob("*.json"):
        data = json.loads(path.read_text())
        data["value"] = {"head": data["value"].get("head"), "files": {"store/log.py": 5}}
        path.write_text(json.dumps(data))
    assert history.ask(as_of=None) == before


def test_the_history_of_a_submodule_is_not_read_and_the_report_says_so(history, tmp_path):
    other = Project(tmp_path / "other")
    other.git("init", "-q")
    other.git("add", ".")
    other.git("commit", "-qm", "Begin")
    history.git(
        "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.root), "inner"
    )
    history.change("pyproject.toml", '["store"]', '["store", "inner/store/server.py"]')
    history.change("store/server.py", '"replies are in order"', '"all replies are in order"')
    history.commit("Ann", "2026-05-01")
    history.keep_everybody_active()
    row = history.status(as_of=None, identifier="wal.clients-see-order")
    assert "inner/store/server.py: in a submodule, whose history is not read" in row["reasons"]


def test_the_report_and_the_pages_show_who_knows(history):
    history.keep_everybody_active()
    history.commit("Ann", "2026-05-01")
    history.run("docs", "--live", "--output", "pages")
    text = (history.root / "pages/wal.synced-before-ack.md").read_text()
    assert "Status at risk: 1 active person knows it." in text
    assert "| active | at risk | 1 |" in (history.root / "pages/index.md").read_text()
    history.write(
        "ok.py",
        "from store.log import Log, reply\nlog = Log()\nlog.append(0)\nlog.sync()\nreply(log, 0)\n",
    )
    history.run("run", "--", sys.executable, "-c", "import sys; sys.path.insert(0, '.'); import ok")
    page = history.run("report", "--format", "html").stdout
    assert '"wal.synced-before-ack":"at risk"' in page


def test_an_earlier_day_is_that_of_the_branch_and_of_utc(history):
    history.commit("Ann", "2026-05-01")
    history.git("checkout", "-q", "-b", "side")
    history.change("catalog/wal.toml", 'status = "active"', 'status = "draft"')
    history.commit("Bob", "2026-05-03")
    history.git("checkout", "-q", "main")
    history.write("README.md", "x\n")
    history.commit("Ann", "2026-05-02")
    date = "2026-05-10T12:00:00+0000"
    history.git(
        "merge",
        "-q",
        "--no-ff",
        "-m",
        "Merge",
        "side",
        GIT_COMMITTER_DATE=date,
        GIT_AUTHOR_DATE=date,
    )
    assert len(history.ask(as_of="2026-05-04")["invariants"]) == 3


def test_two_people_whose_names_differ_in_case_are_two(history):
    history.commit("Ann", "2026-05-01")
    history.write("README.md", "x\n")
    history.commit("ann", "2026-05-02")
    assert history.status("--departure", "Ann")["status"] == "lost"


def test_a_catalog_entry_that_cannot_be_read_is_an_error_and_nobody_counts_as_knowing(history):
    history.change(
        "catalog/wal.toml", "[synced-before-ack]\n", "[synced-before-ack]\nunheard = 1\n"
    )
    history.commit("Ann", "2026-05-01")
    for arguments in (("knowledge",), ("handover", "Ann")):
        assert "AL105" in history.run(*arguments, code=2).stderr


def test_a_trend_in_a_format_that_cannot_show_it_is_refused(history):
    history.commit("Ann", "2026-05-01")
    for format in ("text", "markdown"):
        done = history.run("knowledge", "--trend", "3", "--format", format, code=2)
        assert "--format json or html" in done.stderr


def test_a_date_before_the_catalog_has_no_data(history):
    catalog = (history.root / "catalog/wal.toml").read_text()
    (history.root / "catalog/wal.toml").unlink()
    history.commit("Ann", "2026-01-01")
    history.write("catalog/wal.toml", catalog)
    history.commit("Ann", "2026-05-01")
    assert "did not exist yet" in history.ask(as_of="2026-02-01", code=3).stderr
    assert sum(history.ask("--trend", "2")["trend"][0]["counts"].values()) == 0


def test_a_trend_leaves_out_dates_at_which_the_catalog_could_not_be_read(history):
    history.commit("Ann", "2026-01-01")
    catalog = (history.root / "catalog/wal.toml").read_text()
    history.change(
        "catalog/wal.toml", "[synced-before-ack]\n", "[synced-before-ack]\nunheard = 1\n"
    )
    history.commit("Ann", "2026-03-01")
    history.write("catalog/wal.toml", catalog)
    history.commit("Ann", "2026-05-01")
    found = history.ask("--trend", "2")
    assert [each["date"] for each in found["trend"]] == ["2026-05-01"]
