"""A small, honest stand-in for Argo's controller: it runs a manifest with a process for each pod.

It knows what the manifests of pyflow use and fails for anything else: DAGs with ``depends`` and ``when``, ``withSequence``,
retries by an expression, parameters, outputs with a default, an exit handler. The real controller is what the tests marked
``argo`` are for; this one holds the same manifests to the same laws in milliseconds.
"""

from __future__ import annotations

import base64
import json
import multiprocessing
import os
import re
import sys
import tempfile
import threading
import uuid
from collections.abc import Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pyflow.executors.argo.manifest import FAILURES
from pyflow.executors.argo.place import STUB_IN_IMAGE

Template = dict[str, Any]

_TAG = re.compile(r"\{\{([^{}]*)\}\}")
_GOOD = {"Succeeded", "Skipped"}


@dataclass
class Ended:
    """What came of one node."""

    phase: str
    outputs: dict[str, str] = field(default_factory=dict)


class SmallArgo:
    """Runs one workflow.

    Args:
        manifest: What ``to_workflow`` made.
        environment: Variables that pods get beside those of the manifest.
        passes_over: First arguments of pods that it takes for succeeded without starting them.
        loses: What it says of pods with these first arguments, which it takes for failed: those that it never starts,
            and those whose word it does not believe (with ``after`` in front).
    """

    def __init__(
        self,
        manifest: Template,
        environment: dict[str, str] | None = None,
        *,
        passes_over: Collection[str] = (),
        loses: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.uid = str(uuid.uuid4())
        self.pods: list[tuple[str, list[str], int]] = []
        """Template, arguments and exit code of each pod that ended."""
        self.printed: list[str] = []
        """Lines of the pods' own logs."""
        self._templates = {t["name"]: t for t in manifest["spec"]["templates"]}
        self._spec = manifest["spec"]
        self._environment = environment or {}
        self._passes_over = passes_over
        self._loses = loses
        self._failures: list[tuple[str, str]] = []
        self._globals = {"workflow.uid": self.uid, "workflow.name": "wf", "workflow.namespace": "ns"}
        self._room = threading.Semaphore(2)

    def run(self) -> str:
        """The phase of the workflow when its exit handler has ended."""
        ended = self._template(self._spec["entrypoint"], {})
        phase = "Succeeded" if ended.phase in _GOOD else "Failed"
        self._globals["workflow.status"] = phase
        self._globals[FAILURES.strip("{}")] = base64.b64encode(json.dumps(self._failures).encode()).decode()
        last = self._template(self._spec["onExit"], {})
        return phase if last.phase == "Succeeded" else "Failed"

    def _template(self, name: str, parameters: dict[str, str], step: str = "") -> Ended:
        template = self._templates[name]
        wanted = {p["name"]: p.get("value") for p in template.get("inputs", {}).get("parameters", [])}
        parameters = {**{k: v for k, v in wanted.items() if v is not None}, **parameters}
        assert set(wanted) == set(parameters), (name, wanted, parameters)
        values = {**self._globals, **{f"inputs.parameters.{k}": v for k, v in parameters.items()}}
        if "dag" in template:
            return self._dag(template, values)
        if "steps" in template:
            return self._steps(template, values)
        return self._leaf(template, values, step)

    def _steps(self, template: Template, values: dict[str, str]) -> Ended:
        """Groups one after the other; of a group all at once, here in their order."""
        for group in template["steps"]:
            if any(self._task(step, values).phase not in _GOOD for step in group):
                return Ended("Failed")
        return Ended("Succeeded")

    # DAGs

    def _dag(self, template: Template, values: dict[str, str]) -> Ended:
        tasks = {task["name"]: task for task in template["dag"]["tasks"]}
        assert 1 <= len(tasks) <= 200, len(tasks)
        ended: dict[str, Ended] = {}
        known = dict(values)
        with ThreadPoolExecutor(len(tasks)) as pool:
            running: dict[str, Future[Ended]] = {}
            while True:
                if template["dag"].get("failFast", True) is False or not _has_failed(ended):
                    self._start_ready(tasks, ended, running, known, pool)
                if not running:
                    break
                wait(running.values(), return_when=FIRST_COMPLETED)
                for name in [n for n, future in running.items() if future.done()]:
                    ended[name] = running.pop(name).result()
                    for out, text in ended[name].outputs.items():
                        known[f"tasks.{name}.outputs.parameters.{out}"] = text
        assert _has_failed(ended) or len(ended) == len(tasks), (set(tasks) - set(ended), "wait for each other")
        outputs = {}
        for out in template.get("outputs", {}).get("parameters", []):
            tag = _TAG.fullmatch(out["valueFrom"]["parameter"])
            assert tag is not None
            outputs[out["name"]] = known.get(tag[1], out["valueFrom"]["default"])
        return Ended("Failed" if _has_failed(ended) else "Succeeded", outputs)

    def _start_ready(
        self,
        tasks: dict[str, Template],
        ended: dict[str, Ended],
        running: dict[str, Future[Ended]],
        known: dict[str, str],
        pool: ThreadPoolExecutor,
    ) -> None:
        is_new = True
        while is_new:  # one that is omitted may be all that another waits for
            is_new = False
            for name, task in tasks.items():
                depends = task.get("depends", "")
                waits = set(re.findall(r"[\w-]+", re.sub(r"\.\w+", "", depends)))
                if name in ended or name in running or not waits <= set(ended):
                    continue
                if _holds(depends, ended):
                    running[name] = pool.submit(self._task, task, dict(known))
                else:
                    ended[name] = Ended("Omitted")
                    is_new = True

    def _task(self, task: Template, known: dict[str, str]) -> Ended:
        if "when" in task:
            left, relation, right = _filled(task["when"], known).split()
            if (left == right) != {"==": True, "!=": False}[relation]:
                return Ended("Skipped")
        if "withSequence" not in task:
            return self._one(task, known)
        count = int(_filled(task["withSequence"]["count"], known))
        if count == 0:
            return Ended("Skipped")
        with ThreadPoolExecutor(min(count, 8)) as pool:
            ended = list(pool.map(lambda i: self._one(task, {**known, "item": str(i)}), range(count)))
        return Ended("Failed" if any(e.phase == "Failed" for e in ended) else "Succeeded")

    def _one(self, task: Template, known: dict[str, str]) -> Ended:
        given = {p["name"]: _filled(p["value"], known) for p in task.get("arguments", {}).get("parameters", [])}
        item = f"({known['item']}:{known['item']})" if "withSequence" in task else ""
        return self._template(task["template"], given, task["name"] + item)

    # Pods

    def _leaf(self, template: Template, values: dict[str, str], step: str) -> Ended:
        retry = template.get("retryStrategy")
        for attempt in range(int(retry["limit"]) + 1 if retry else 1):
            known = {**values, "retries": str(attempt)} if retry else values
            with self._room, tempfile.TemporaryDirectory() as folder:
                code, message = self._pod(template, known, folder)
                outputs = {
                    p["name"]: _read(folder, p["valueFrom"]) for p in template.get("outputs", {}).get("parameters", [])
                }
            if not message:
                return Ended("Succeeded", outputs)
            self._failures.append((f"{step}({attempt})" if retry else step, message))
            if retry and not _may_retry(retry["expression"], code):
                break
        return Ended("Failed", outputs)

    def _pod(self, template: Template, known: dict[str, str], folder: str) -> tuple[int, str]:
        """Its exit code, and what Argo says of one that failed."""
        container = template["container"]
        assert container["command"] == ["python3", "-c", STUB_IN_IMAGE]
        arguments = [_filled(a, known) for a in container["args"][1:]]
        if arguments[0] in self._passes_over:
            return 0, ""
        lost = self._loses.get(arguments[0], "")
        if lost and not lost.startswith("after"):
            return 1, lost
        variables = {e["name"]: _filled(e["value"], known) for e in container["env"] if "value" in e}
        variables |= {"PYFLOW_POD_NAME": f"wf-{uuid.uuid4().hex[:8]}", "TMPDIR": folder}
        code = _exit_code_of(arguments, {**self._environment, **variables}, folder)
        assert code is not None, f"the pod for {arguments} does not end"
        self.pods.append((template["name"], arguments, code))
        printed = Path(folder, "output")
        self.printed += printed.read_text().splitlines() if printed.exists() else []
        return code, lost.removeprefix("after ") or (f"main: Error (exit code {code})" if code else "")


# Pods are forked from a process that has imported what they need: hundreds of them would take minutes to start.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["pyflow.runtime.pod", "pyflow.store.folder"])
# Both a start and a look at an exit code read the codes of all ended processes, and of two at once one is told 255.
_SERVER_LOCK = threading.Lock()


def _exit_code_of(arguments: list[str], variables: dict[str, str], folder: str) -> int | None:
    process = _SERVER.Process(target=_be_a_pod, args=(arguments, variables, folder))
    with _SERVER_LOCK:
        process.start()
    wait_for([process.sentinel], 120)
    with _SERVER_LOCK:
        return process.exitcode


def _be_a_pod(arguments: list[str], variables: dict[str, str], folder: str) -> None:
    os.environ.update(variables)
    os.chdir(folder)
    tempfile.tempdir = folder
    sys.argv[1:] = arguments
    if not os.environ.get("PYFLOW_TEST_SHOW_PODS"):
        output = os.open("output", os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
    os._exit(import_module("pyflow.runtime.pod").main())


def _has_failed(ended: dict[str, Ended]) -> bool:
    return any(e.phase == "Failed" for e in ended.values())


def _filled(text: str, known: dict[str, str]) -> str:
    return _TAG.sub(lambda tag: known[tag[1]], text)


def _holds(depends: str, ended: dict[str, Ended]) -> bool:
    def value(match: re.Match[str]) -> str:
        name, _, phase = match[0].partition(".")
        return str(ended[name].phase == phase if phase else ended[name].phase in _GOOD)

    text = re.sub(r"[\w-]+(\.\w+)?", value, depends).replace("&&", " and ").replace("||", " or ")
    return bool(eval(text)) if text else True


def _may_retry(expression: str, code: int) -> bool:
    text = expression.replace("lastRetry.exitCode", repr(str(code))).replace("!(", "not (").replace("true", "True")
    return bool(eval(text))


def _read(folder: str, source: Template) -> str:
    path = Path(folder, Path(source["path"]).name)
    return path.read_text() if path.exists() else str(source["default"])
