"""The same by hand with Hera: the list is a parameter, values travel as standard output, and nothing comes back."""

import json

from hera.shared import global_config
from hera.workflows import DAG, Parameter, Script, Task, Workflow
from hera.workflows import models as m

global_config.host = "https://argo.example.org"
global_config.token = "..."  # noqa: S105

SCENES = ["S2A-31UFU", "S2B-32TQM", "S2A-33UUP"]

with Workflow(
    generate_name="clearest-scene-",
    namespace="team",
    entrypoint="main",
    parallelism=2,
    service_account_name="workflow",
    arguments=[Parameter(name="scenes", value=json.dumps(SCENES))],
) as w:
    cloud_cover = Script(
        name="cloud-cover",
        image="python:3.11-slim",
        command=["python"],
        inputs=[Parameter(name="scene")],
        source="""
import json
scene = "{{inputs.parameters.scene}}"
print(json.dumps(sum(map(ord, scene)) % 100 / 100))
""",
    )
    clearest = Script(
        name="clearest",
        image="python:3.11-slim",
        command=["python"],
        inputs=[Parameter(name="scenes"), Parameter(name="covers")],
        source="""
import json
scenes = json.loads('''{{inputs.parameters.scenes}}''')
covers = [float(c) for c in json.loads('''{{inputs.parameters.covers}}''')]
cover, scene = min(zip(covers, scenes))
print(f"{scene}, {cover:.0%} cloudy")
""",
    )
    with DAG(name="main"):
        each = Task(
            name="cover",
            template=cloud_cover,
            with_param="{{workflow.parameters.scenes}}",
            arguments=[Parameter(name="scene", value="{{item}}")],
        )
        pick = Task(
            name="pick",
            template=clearest,
            arguments=[
                Parameter(name="scenes", value="{{workflow.parameters.scenes}}"),
                Parameter(name="covers", value="{{tasks.cover.outputs.result}}"),
            ],
        )
        each >> pick

MANIFEST = w.to_dict()
assert isinstance(w.build(), m.Workflow)

if __name__ == "__main__":
    w.create()
