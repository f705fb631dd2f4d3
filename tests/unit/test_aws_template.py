"""The AWS template: clean by AWS' own checkers, and what it must never be, said here once more."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import decode
from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform

from flashguard.api.pages.export import policy
from flashguard.aws.emf import NAMESPACE, UNITS
from flashguard.doctor.permissions import needed

TEMPLATE = Path(__file__).parents[2] / "deploy" / "aws" / "template.yaml"
MANAGED = {"AWSLambdaVPCAccessExecutionRole", "AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess"}
"""Policies of AWS' own, that SAM gives a function in a network and with traces: none is wider than that."""
VPC_ACCESS = "arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
STARS = {("RecorderStartRole", "ecr:GetAuthorizationToken")}
"""What may be done to `*`, for it takes no other."""


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    decoded, problems = decode(str(TEMPLATE))
    assert not problems
    return json.loads(json.dumps(decoded))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def deployed(template: dict[str, Any]) -> dict[str, Any]:
    """What SAM makes of it; it asks AWS nothing, but wants to know where it would be."""

    class Policies(ManagedPolicyLoader):
        def __init__(self) -> None:
            pass

        def load(self) -> dict[str, str]:
            return {"AWSLambdaBasicExecutionRole": VPC_ACCESS, "AWSLambdaVPCAccessExecutionRole": VPC_ACCESS}

    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")  # it asks AWS nothing, but wants to know
    packaged = json.loads(json.dumps(template))
    packaged["Globals"]["Function"]["CodeUri"] = "s3://bucket/function.zip"  # as `sam package` puts it
    values = {name: str(one.get("Default", "x")) for name, one in template["Parameters"].items()}
    return transform(packaged, values, Policies())["Resources"]  # type: ignore[no-any-return]


def of_type(resources: dict[str, Any], type_: str) -> dict[str, dict[str, Any]]:
    return {name: one["Properties"] for name, one in resources.items() if one["Type"] == type_}


def statements(resources: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement that lets a role do something."""
    for name, role in of_type(resources, "AWS::IAM::Role").items():
        for one in role.get("Policies", []):
            for statement in one["PolicyDocument"]["Statement"]:
                yield name, statement


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_cloudformations_linter_has_nothing_to_say():
    found = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), TEMPLATE], capture_output=True, text=True
    )
    assert found.stdout + found.stderr == ""
    assert found.returncode == 0


def test_sam_makes_functions_an_api_and_roles_of_it(deployed):
    types = {one["Type"] for one in deployed.values()}
    assert {"AWS::Lambda::Function", "AWS::ApiGatewayV2::Api", "AWS::IAM::Role", "AWS::ECS::Service"} <= types
    for function in of_type(deployed, "AWS::Lambda::Function").values():
        assert function["Architectures"] == ["arm64"]
        assert function["VpcConfig"]["SubnetIds"]


def test_no_role_may_do_everything_or_do_it_to_everything(deployed):
    seen = 0
    for role, statement in statements(deployed):
        for action in listed(statement["Action"]):
            seen += 1
            assert "*" not in action, (role, action)
            if "*" in [resource for resource in listed(statement["Resource"]) if isinstance(resource, str)]:
                assert (role, action) in STARS
    assert seen >= 6
    for role in of_type(deployed, "AWS::IAM::Role").values():
        managed = {str(one).rsplit("/", 1)[-1] for one in role.get("ManagedPolicyArns", [])}
        assert managed <= MANAGED


def test_the_buckets_door_is_shut_to_all_but_the_distribution(deployed):
    for bucket in of_type(deployed, "AWS::S3::Bucket").values():
        assert all(bucket["PublicAccessBlockConfiguration"].values())
        assert bucket["BucketEncryption"]
    for bucket in of_type(deployed, "AWS::S3::BucketPolicy").values():
        for statement in bucket["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Allow":
                assert statement["Principal"] == {"Service": "cloudfront.amazonaws.com"}
                assert "aws:SourceArn" in statement["Condition"]["StringEquals"]


def test_memory_is_encrypted_on_its_way_and_at_rest_and_has_one_user_for_our_keys_alone(template):
    (cache,) = of_type(template["Resources"], "AWS::ElastiCache::ReplicationGroup").values()
    assert cache["TransitEncryptionEnabled"] is True
    assert cache["TransitEncryptionMode"] == "required"
    assert cache["AtRestEncryptionEnabled"] is True
    assert cache["MultiAZEnabled"] is True
    assert cache["AutomaticFailoverEnabled"] is True
    (cluster,) = of_type(template["Resources"], "AWS::MemoryDB::Cluster").values()
    assert cluster["TLSEnabled"] is True
    users = of_type(template["Resources"], "AWS::ElastiCache::User") | of_type(
        template["Resources"], "AWS::MemoryDB::User"
    )
    for user in users.values():
        assert "-@all" in user["AccessString"].split()
        assert "~fg:*" in user["AccessString"].split()
        assert user["AuthenticationMode"]["Type"] == "password"


def test_the_user_of_memory_may_do_what_is_needed_and_no_more(template):
    (user,) = of_type(template["Resources"], "AWS::ElastiCache::User").values()
    may = {word[1:] for word in user["AccessString"].split() if word.startswith("+")}
    # CONFIG is not to be had on ElastiCache; leaving a channel needs no right elsewhere
    must = {name.lower().replace(" ", "|") for name in needed(cluster=True)} - {"config|get"}
    assert may == must | {"unsubscribe", "sunsubscribe"}


def test_a_full_memory_refuses_and_forgets_nothing(template):
    (parameters,) = of_type(template["Resources"], "AWS::ElastiCache::ParameterGroup").values()
    assert parameters["Properties"]["maxmemory-policy"] == "noeviction"


def test_every_metric_that_matters_has_its_alarm_and_every_alarm_its_metric(template):
    alarms = of_type(template["Resources"], "AWS::CloudWatch::Alarm").values()
    ours = {alarm["MetricName"] for alarm in alarms if alarm["Namespace"] == NAMESPACE}
    assert ours == set(UNITS) - {"LagEntries"}
    assert {"Errors", "Throttles"} <= {alarm["MetricName"] for alarm in alarms}
    assert all(alarm["AlarmActions"] and alarm["AlarmDescription"] for alarm in alarms)


def test_no_secret_stands_in_a_variable(template):
    for function in (template["Globals"]["Function"],):
        shown = json.dumps(function["Environment"])
        assert "resolve:" not in shown
        assert "PASSWORD" not in shown
    (task,) = of_type(template["Resources"], "AWS::ECS::TaskDefinition").values()
    (container,) = task["ContainerDefinitions"]
    names = {one["Name"] for one in container["Environment"]}
    assert not {"FLASHGUARD_DATABASE_URL", "FLASHGUARD_AWS_MEMORY_PASSWORD"} & names
    assert container["ReadonlyRootFilesystem"] is True


def test_no_security_group_lets_anybody_in(template):
    for group in of_type(template["Resources"], "AWS::EC2::SecurityGroup").values():
        for rule in group.get("SecurityGroupIngress", []):
            assert "CidrIp" not in rule


def test_the_pages_have_the_policy_that_the_api_gives_them(template):
    (headers,) = of_type(template["Resources"], "AWS::CloudFront::ResponseHeadersPolicy").values()
    security = headers["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]["ContentSecurityPolicy"]
    text = security["ContentSecurityPolicy"]["Fn::Sub"].replace("${ScriptHashes}", "'sha256-x'")
    assert " ".join(text.split()) == policy(["sha256-x"])


def test_snap_start_is_a_parameter_and_the_api_calls_the_version_that_has_the_snapshot(template, deployed):
    (function,) = [
        one
        for one in of_type(deployed, "AWS::Lambda::Function").values()
        if one["Handler"] == "flashguard.aws.handler.handler"
    ]
    assert template["Parameters"]["SnapStart"]["Default"] == "off"
    assert template["Conditions"]["UsesSnapStart"] == {"Fn::Equals": [{"Ref": "SnapStart"}, "on"]}
    assert function["SnapStart"] == {"ApplyOn": {"Fn::If": ["UsesSnapStart", "PublishedVersions", "None"]}}
    runtime = tuple(int(part) for part in function["Runtime"].removeprefix("python").split("."))
    assert runtime >= (3, 12), "older ones have neither snapshots nor hooks"
    (alias,) = of_type(deployed, "AWS::Lambda::Alias")
    (api,) = of_type(deployed, "AWS::ApiGatewayV2::Api").values()
    calls = json.dumps(api["Body"]["paths"])
    assert f"${{{alias}}}" in calls
    assert "${Function.Arn}" not in calls
    for permission in of_type(deployed, "AWS::Lambda::Permission").values():
        assert permission["FunctionName"] in ({"Ref": alias}, {"Ref": "ScheduledRecorder"})


def test_the_recorder_is_replaced_only_by_one_that_runs(template):
    (service,) = of_type(template["Resources"], "AWS::ECS::Service").values()
    assert service["DeploymentConfiguration"]["DeploymentCircuitBreaker"] == {
        "Enable": True,
        "Rollback": True,
    }
    assert service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED"
    (task,) = of_type(template["Resources"], "AWS::ECS::TaskDefinition").values()
    assert task["ContainerDefinitions"][0]["HealthCheck"]


def test_every_parameter_says_what_it_is_for(template):
    assert all(len(one["Description"]) > 10 for one in template["Parameters"].values())
