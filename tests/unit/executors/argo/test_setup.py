"""What an administrator applies gives pods the least that works, and nothing else."""

from __future__ import annotations

import yaml

from pyflow.executors.argo import Credentials, argo_settings, setup_objects


def objects(table=None, **more):
    return setup_objects(argo_settings({"namespace": "team", **(table or {})}, {}), ["ab" * 32], **more)


def test_pods_get_one_right():
    """To create and patch what Argo's own container reports, in one namespace."""
    found = objects()
    (role,) = [one for one in found if one["kind"] == "Role"]
    assert role["rules"] == [
        {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
    ]
    (binding,) = [one for one in found if one["kind"] == "RoleBinding"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "pyflow", "namespace": "team"}]
    assert {one["metadata"]["namespace"] for one in found} == {"team"}


def test_the_names_are_those_of_the_settings():
    """And the token lies where Argo looks for it."""
    found = objects({"service_account": "runner", "key_secret": "signing"})
    names = {(one["kind"], one["metadata"]["name"]) for one in found}
    assert {("Secret", "runner.service-account-token"), ("Secret", "signing"), ("ServiceAccount", "runner")} <= names


def test_the_buckets_credentials_are_printed_when_asked():
    """Under the keys that pods look them up by; they are in no repr."""
    credentials = Credentials("AK", "s3cret")
    (secret,) = [one for one in objects(credentials=credentials) if one["metadata"]["name"] == "pyflow-s3"]
    assert secret["stringData"] == {"accesskey": "AK", "secretkey": "s3cret"}
    assert "s3cret" not in repr(credentials)
    assert not [one for one in objects() if one["metadata"]["name"] == "pyflow-s3"]


def test_the_certificates_of_the_stores_authority_are_printed_when_asked():
    """Under the key that pods look them up by."""
    found = objects({"s3_ca_secret": "ours", "s3_ca_key": "root.pem"}, certificates="-----BEGIN")
    (secret,) = [one for one in found if one["metadata"]["name"] == "ours"]
    assert secret["stringData"] == {"root.pem": "-----BEGIN"}


def test_who_submits_may_not_do_more():
    """Workflows and their templates, pods and logs to look at; no Secrets."""
    roles = [
        one for one in objects(submitter="people") if one["kind"] == "Role" and one["metadata"]["name"] == "people"
    ]
    resources = {resource for role in roles for rule in role["rules"] for resource in rule["resources"]}
    assert resources == {"workflows", "workflowtemplates", "cronworkflows", "pods", "pods/log", "events"}


def test_all_of_it_is_yaml():
    """As kubectl reads it."""
    text = yaml.safe_dump_all(objects(submitter="people"), sort_keys=False)
    assert list(yaml.safe_load_all(text)) == objects(submitter="people")
