"""Temporary credentials of the functions' roles, as Lambda gives them to an execution environment."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from emulator.provision.roles import SESSION_SECONDS
from fleet.credentials import CredentialsError, RoleCredentials
from shoebox.aws.clients import Clients
from shoebox.aws.credentials import Credentials
from shoebox.stack.deployment import ResolvedStack
from shoebox.stack.s3_queues import with_s3_queues


class RoleSource:
    """A `fleet.credentials.CredentialsSource` that takes the functions' roles for twelve hours.

    Also the roles of S3's part in an emulator, by the names of their queues (shoebox.stack.s3_queues).
    """

    def __init__(self, resolved: ResolvedStack, clients: Clients) -> None:
        self._resolved = with_s3_queues(resolved)
        self._clients = clients
        self._sts: Any = None

    async def __call__(self, function: str) -> RoleCredentials:
        """Take the role of a function of stack.yaml.

        Raises:
            CredentialsError: the role does not exist, or may not be taken.
            StackError: the stack has no such function.
        """
        role = self._resolved.role_arn_of(function)
        try:
            self._sts = self._sts or await self._clients.open("sts")
            answer = await self._sts.assume_role(
                RoleArn=role,
                RoleSessionName=self._resolved.name_of("function", function),
                DurationSeconds=SESSION_SECONDS,
            )
        except (BotoCoreError, ClientError) as error:
            raise CredentialsError(f"The role {role} could not be taken: {error}") from error
        keys = answer["Credentials"]
        credentials = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
        return RoleCredentials(credentials, keys["Expiration"].timestamp())
