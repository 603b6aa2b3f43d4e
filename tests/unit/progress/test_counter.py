"""The counters behind every display."""

from __future__ import annotations

from unit.progress.story import Story

from pyflow.progress import Counter


def lines_of(counter):
    return {line.name: line for line in counter.lines}


def test_each_task_has_one_line(counted_run):
    """A mapped task is one line, and so is the exit handler; what pyflow adds has none."""
    counter, _ = counted_run
    assert [line.name for line in counter.lines] == ["load", "fit", "pick", "tell"]
    assert [line.total for line in counter.lines] == [1, None, 1, 1]


def test_a_map_counts_its_items(counted_run):
    """How many items there are shows when the map is expanded, how many are done as they end."""
    counter, story = counted_run
    story.begin()
    story.run("load")
    story.expand("fit", 3)
    story.start("fit", 0)
    story.start("fit", 1)
    story.end("fit", 0)
    fit = lines_of(counter)["fit"]
    assert (fit.total, fit.running, fit.ended, fit.status) == (3, 1, 1, "running")
    story.end("fit", 1)
    story.run("fit", 2)
    assert (fit.status, fit.is_over, fit.seconds(9999.0)) == ("succeeded", True, 5.0)


def test_a_failure_that_is_tried_again_does_not_count(counted_run):
    """An attempt that will be followed by another is shown as retrying, and is forgotten when that one works."""
    counter, story = counted_run
    story.begin()
    story.expand("fit", 1)
    story.run("fit", 0, status="failed")
    assert [failed.name for failed in counter.failures] == ["fit[0]"]
    story.pause("fit", 0)
    fit = lines_of(counter)["fit"]
    assert (fit.notes(), fit.status, counter.failures) == ("1 retrying", "running", [])
    story.start("fit", 0, attempt=2)
    story.end("fit", 0, attempt=2)
    assert (fit.notes(), fit.status, fit.reason) == ("", "succeeded", "")


def test_failures_keep_their_log_and_reason(counted_run):
    """Of a failure is known which item it was, what it raised and where its log is."""
    counter, story = counted_run
    story.begin()
    story.expand("fit", 3)
    story.run("fit", 2, status="failed", log=["w1", 5, 25])
    [failed] = counter.failures
    assert (failed.name, failed.reason, failed.log) == ("fit[2]", "ValueError: bad", ("w1", 5, 25))
    assert lines_of(counter)["fit"].notes() == "1 failed"


def test_what_has_not_ended_with_the_run_is_cancelled(counted_run):
    """At the end of a run that failed nothing is left open."""
    counter, story = counted_run
    story.begin()
    story.run("load", status="failed")
    story.finish("failed")
    assert {line.name: line.status for line in counter.lines} == {
        "load": "failed", "fit": "cancelled", "pick": "cancelled", "tell": "cancelled",
    }  # fmt: skip


def test_a_retry_that_never_came_is_a_failure(counted_run):
    """A task that waited for another attempt when the run ended has failed."""
    counter, story = counted_run
    story.begin()
    story.expand("fit", 1)
    story.run("fit", 0, status="failed")
    story.pause("fit", 0)
    story.finish("failed")
    assert lines_of(counter)["fit"].notes() == "1 failed"


def test_an_empty_map_succeeds(counted_run):
    """A map of no items is over as soon as that is known."""
    counter, story = counted_run
    story.begin()
    story.expand("fit", 0)
    fit = lines_of(counter)["fit"]
    assert (fit.is_over, fit.status) == (True, "succeeded")


def test_maps_inside_of_maps_add_up(nested_graph):
    """A task inside of two maps counts all items of the inner one, and its items are named by both indices."""
    counter = Counter(nested_graph, "run-1")
    story = Story(nested_graph, counter.add)
    story.begin()
    story.expand("scene", 2)
    story.expand("scene/fit", 3, 0)
    story.expand("scene/fit", 1, 1)
    lines = lines_of(counter)
    assert (lines["scene/load"].total, lines["scene/fit"].total) == (2, 4)
    story.run("scene/fit", 1, 0, status="lost")
    assert counter.failures[0].name == "scene[1]/fit[0]"


def test_a_skipped_map_is_skipped_with_all_that_is_in_it(nested_graph):
    """When the branch around a map is not taken, its tasks are skipped."""
    counter = Counter(nested_graph, "run-1")
    story = Story(nested_graph, counter.add)
    story.begin()
    story.say("skipped", slot=str(story.ids["scene"][0]))
    assert {line.status for line in counter.lines} == {"skipped"}


def test_a_map_that_cannot_be_is_news(counted_run):
    """The failure of a map itself, as by unequal lengths, has a line of its own."""
    counter, story = counted_run
    story.begin()
    story.say("failed", slot=str(story.ids["fit"][0]), error={"type": "pyflow.errors.DefinitionError", "message": "no"})
    assert counter.failures[0].reason == "DefinitionError: no"
    assert counter.lines[-1].status == "failed"
