"""IAM roles: one a function, with exactly its permissions; and the temporary credentials of these roles."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from emulator.provision.resources import Outcome, naming_errors, none_if, outcome
from emulator.tasks import together
from fleet.credentials import CredentialsError, RoleCredentials
from shoebox.aws.botocore_errors import aws_errors
from shoebox.aws.clients import Clients
from shoebox.aws.credentials import Credentials
from shoebox.aws.errors import AwsError
from shoebox.stack.deployment import ResolvedStack
from shoebox.stack.s3_queues import with_s3_queues

SESSION_SECONDS = 43_200  # the longest that IAM allows ("Roles: maximum session duration")
POLICY = "permissions"
_BATCHED = ("sns:Publish", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:SendMessage")


async def ensure_roles(resolved: ResolvedStack, iam: Any) -> list[Outcome]:
    """Create or update every function's role; policies that were added by others are removed."""
    return await together(*(_ensure(resolved, iam, function) for function in resolved.stack.functions))


async def _ensure(resolved: ResolvedStack, iam: Any, function: str) -> Outcome:
    name = resolved.name_of("function", function)
    with naming_errors("role", name):
        found = await none_if(iam.get_role(RoleName=name), "NoSuchEntity", "NoSuchEntityException")
        if found is None:
            await iam.create_role(
                RoleName=name,
                AssumeRolePolicyDocument=json.dumps(_trust(resolved)),
                MaxSessionDuration=SESSION_SECONDS,
                Description=f"What the function {name} may do",
            )
        else:
            changed = await _update_role(resolved, iam, found["Role"])
        policies = await _set_policies(iam, name, _policy(resolved, function))
        return outcome("role", name, created=found is None, changed=() if found is None else (*changed, *policies))


def _policy(resolved: ResolvedStack, function: str) -> dict[str, Any]:
    """Return the function's permissions; for an emulator also the batch forms of their actions."""
    policy = resolved.policy(function)
    if resolved.deployment.endpoint_url is None:
        return policy
    # AWS checks a batch as its single action ("Amazon SQS API permissions"), ministack as an action of its own.
    statements = []
    for statement in policy["Statement"]:
        actions = statement["Action"]
        batches = [f"{action}Batch" for action in actions if action in _BATCHED]
        statements.append(statement | {"Action": [*actions, *(each for each in batches if each not in actions)]})
    return policy | {"Statement": statements}


def _trust(resolved: ResolvedStack) -> dict[str, Any]:
    # Lambda assumes the role in AWS; on one machine the fleet does, as the account.
    principal = {"Service": "lambda.amazonaws.com", "AWS": f"arn:aws:iam::{resolved.deployment.account}:root"}
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}],
    }


async def _update_role(resolved: ResolvedStack, iam: Any, role: dict[str, Any]) -> tuple[str, ...]:
    changed = []
    if _document(role["AssumeRolePolicyDocument"]) != _trust(resolved):
        await iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=json.dumps(_trust(resolved)))
        changed.append("trust")
    if role.get("MaxSessionDuration") != SESSION_SECONDS:
        await iam.update_role(RoleName=role["RoleName"], MaxSessionDuration=SESSION_SECONDS)
        changed.append("session duration")
    return tuple(changed)


async def _set_policies(iam: Any, role: str, wanted: dict[str, Any]) -> tuple[str, ...]:
    changed = await _remove_others(iam, role, keep=POLICY if wanted["Statement"] else None)
    if not wanted["Statement"]:  # IAM refuses an empty policy
        return changed
    present = await none_if(
        iam.get_role_policy(RoleName=role, PolicyName=POLICY), "NoSuchEntity", "NoSuchEntityException"
    )
    if present is not None and _document(present["PolicyDocument"]) == wanted:
        return changed
    await iam.put_role_policy(RoleName=role, PolicyName=POLICY, PolicyDocument=json.dumps(wanted))
    return (*changed, "permissions")


async def _remove_others(iam: Any, role: str, *, keep: str | None) -> tuple[str, ...]:
    inline = (await iam.list_role_policies(RoleName=role))["PolicyNames"]
    attached = (await iam.list_attached_role_policies(RoleName=role))["AttachedPolicies"]
    surplus = [name for name in inline if name != keep]
    for name in surplus:
        await iam.delete_role_policy(RoleName=role, PolicyName=name)
    for policy in attached:
        await iam.detach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])
    return tuple(f"removed {name}" for name in [*surplus, *(policy["PolicyName"] for policy in attached)])


def _document(policy: dict[str, Any] | str) -> Any:
    """Parse a policy as IAM gives it back: botocore decodes it, some emulators send it URL-encoded."""
    return json.loads(unquote(policy)) if isinstance(policy, str) else policy


class RoleSource:
    """A `fleet.credentials.CredentialsSource` that assumes the functions' roles for twelve hours.

    Also the roles of S3's part in an emulator, by the names of their queues (shoebox.stack.s3_queues).
    """

    def __init__(self, resolved: ResolvedStack, clients: Clients) -> None:
        self._resolved = with_s3_queues(resolved)
        self._clients = clients
        self._sts: Any = None

    async def __call__(self, function: str) -> RoleCredentials:
        """Assume the role of a function of stack.yaml.

        Raises:
            CredentialsError: the role does not exist, or may not be assumed.
            StackError: the stack has no such function.
        """
        role = self._resolved.role_arn_of(function)
        try:
            self._sts = self._sts or await self._clients.open("sts")
            with aws_errors():
                response = await self._sts.assume_role(
                    RoleArn=role,
                    RoleSessionName=self._resolved.name_of("function", function),
                    DurationSeconds=SESSION_SECONDS,
                )
        except AwsError as error:
            raise CredentialsError(f"The role {role} could not be assumed: {error}") from error
        keys = response["Credentials"]
        credentials = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
        return RoleCredentials(credentials, keys["Expiration"].timestamp())
