"""The whole stack of one machine: start, stop, restart, and what goes wrong."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp
import psutil
import pytest

from emulator.data_folder import MARKER, FolderInUse, ForeignFolder
from emulator.embedded import EmulatorDied
from emulator.provision import Change
from fleet.http.ports import PortTaken, listen
from shoebox.stack.model import StackError
from standalone.stack import StandaloneSettings, StandaloneStack

ROOT_FOLDER = Path(__file__).parents[2]
STACK = """
name: tiny
queues: {jobs: {}}
buckets: {personal: {cors: {origins: ["${place.gateway_url}"], methods: [PUT]}}}
functions:
  hello: {handler: hello.handler, memory: 128, timeout: 5}
gateway:
  authorizer: {function: hello, identity: Authorization}
  routes: [{path: "/{proxy+}", function: hello, authorize: false}]
  responses: {}
"""
HANDLER = """
async def handler(event, context):
    return {"statusCode": 200, "headers": {}, "body": "hello " + event["path"]}
"""


@pytest.fixture
def settings(tmp_path: Path) -> StandaloneSettings:
    """Provide a stack with one function that answers the gateway."""
    (tmp_path / "stack.yaml").write_text(STACK)
    (tmp_path / "hello.py").write_text(HANDLER)
    return StandaloneSettings(
        stack_file=tmp_path / "stack.yaml",
        task_root=tmp_path,
        data_dir=tmp_path / "data",
        emulator_port=0,
        gateway_port=0,
        control_port=0,
        environment={"PYTHONPATH": str(ROOT_FOLDER)},
    )


def replaced(settings: StandaloneSettings, **parts: object) -> StandaloneSettings:
    """Return the settings with other values."""
    values = {name: getattr(settings, name) for name in StandaloneSettings.__slots__}
    return StandaloneSettings(**{**values, **parts})


async def test_one_start_and_the_gateway_answers(settings: StandaloneSettings, http: aiohttp.ClientSession):
    """Emulator, provisioning, fleet and a function's environment, and afterwards no process is left."""
    others = psutil.Process().children(recursive=True)
    async with StandaloneStack.start(settings) as local:
        answer = await http.get(f"{local.fleet.gateway_url}/world")
        assert (answer.status, await answer.text()) == (200, "hello /world")
        assert local.seconds.keys() == {"emulator", "provision", "fleet"}
        children = [child for child in psutil.Process().children(recursive=True) if child not in others]
        assert local.emulator.pid in [child.pid for child in children]
    gone, alive = psutil.wait_procs(children, timeout=30)
    assert (bool(gone), alive) == (True, [])


async def test_pages_may_upload_from_the_gateways_true_address(settings: StandaloneSettings):
    """With any free port, too, the bucket's CORS rule names the address that the gateway got."""
    async with StandaloneStack.start(settings) as local:
        s3 = await local.clients.open("s3")
        rules = (await s3.get_bucket_cors(Bucket="shoebox-personal"))["CORSRules"]
        assert rules[0]["AllowedOrigins"] == [local.fleet.gateway_url]
        assert local.resolved.deployment.gateway_url == local.fleet.gateway_url


async def test_data_outlives_a_restart_until_a_fresh_start(settings: StandaloneSettings):
    """The second start finds everything, and `fresh` finds nothing."""
    async with StandaloneStack.start(settings) as local:
        sqs = await local.clients.open("sqs")
        await sqs.send_message(QueueUrl=local.resolved.queue_url("jobs"), MessageBody="kept")
    async with StandaloneStack.start(replaced(settings, gateway_port=0)) as local:
        unchanged = {outcome.kind for outcome in local.report.having(Change.UNCHANGED)}
        sqs = await local.clients.open("sqs")
        (message,) = (await sqs.receive_message(QueueUrl=local.resolved.queue_url("jobs")))["Messages"]
        assert (unchanged >= {"queue", "role"}, message["Body"]) == (True, "kept")
    async with StandaloneStack.start(replaced(settings, fresh=True)) as local:
        assert local.report.outcomes == local.report.having(Change.CREATED)


async def test_without_a_folder_nothing_is_kept(settings: StandaloneSettings):
    """A stack for a test or a demo lives in memory, and its temporary folder goes."""
    async with StandaloneStack.start(replaced(settings, data_dir=None)) as local:
        folder = local.folder
        assert folder.is_dir()
    assert not folder.exists()
    assert settings.data_dir is not None
    assert not settings.data_dir.exists()


async def test_the_emulators_death_stops_the_stack(settings: StandaloneSettings):
    """Whoever runs in the stack is cancelled, and learns one reason: the emulator."""

    async def run() -> None:
        async with StandaloneStack.start(settings) as local:
            assert local.emulator.pid is not None
            os.kill(local.emulator.pid, signal.SIGKILL)
            await asyncio.Event().wait()

    async with asyncio.timeout(60):
        with pytest.raises(EmulatorDied, match="status -9"):
            await run()


async def test_two_stacks_cannot_share_a_folder(settings: StandaloneSettings):
    """The second one is told who runs there, and disturbs nothing."""
    async with StandaloneStack.start(settings) as local:
        with pytest.raises(FolderInUse, match=rf"pid {os.getpid()}\) runs on .*data"):
            async with StandaloneStack.start(replaced(settings, fresh=True)):
                pass
        assert local.emulator.pid is not None
        assert (local.folder / "aws" / "emulator.log").exists()


# Has the lock of a data folder, which names a stack that has ended, until its input does.
SAVING = """
import fcntl, pathlib, sys
lock = pathlib.Path(sys.argv[1]).open("a+")
fcntl.flock(lock, fcntl.LOCK_EX)
lock.truncate(0)
print(2**22 + 1, file=lock, end="", flush=True)
print("locked", flush=True)
sys.stdin.read()
"""


async def test_the_emulator_of_a_killed_stack_is_waited_for(settings: StandaloneSettings):
    """Started at once after a kill -9, a stack waits until the old state is saved, and says so."""
    assert settings.data_dir is not None
    settings.data_dir.mkdir()
    (settings.data_dir / MARKER).touch()
    saving = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SAVING, str(settings.data_dir / "lock")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert saving.stdin is not None
    assert saving.stdout is not None
    await saving.stdout.readline()
    waited: list[bool] = []

    def note_wait() -> None:
        waited.append(saving.returncode is None)
        saving.stdin.close()

    async with StandaloneStack.start(settings, on_wait=note_wait) as local:
        assert local.folder == settings.data_dir
    assert waited[0]
    assert await saving.wait() == 0


@pytest.mark.parametrize("fresh", [False, True])
async def test_a_foreign_folder_is_left_alone(settings: StandaloneSettings, fresh: bool):
    """Nobody's pictures are deleted because of a mistyped path."""
    assert settings.data_dir is not None
    settings.data_dir.mkdir()
    treasure = settings.data_dir / "wedding.jpg"
    treasure.write_bytes(b"photo")
    with pytest.raises(ForeignFolder, match="is not empty and not a Shoebox data folder"):
        async with StandaloneStack.start(replaced(settings, fresh=fresh)):
            pass
    assert [path.name for path in settings.data_dir.iterdir()] == ["wedding.jpg"]


async def test_a_fresh_start_does_not_follow_links(settings: StandaloneSettings, tmp_path: Path):
    """A link in the data folder is removed, what it points to is not."""
    assert settings.data_dir is not None
    treasure = tmp_path / "album"
    treasure.mkdir()
    (treasure / "wedding.jpg").write_bytes(b"photo")
    settings.data_dir.mkdir()
    (settings.data_dir / MARKER).touch()
    (settings.data_dir / "link").symlink_to(treasure)
    async with StandaloneStack.start(replaced(settings, fresh=True)):
        assert not (settings.data_dir / "link").exists()
    assert (treasure / "wedding.jpg").exists()


@pytest.mark.parametrize("which", ["gateway_port", "control_port", "emulator_port"])
async def test_a_taken_port_is_said_before_anything_starts(settings: StandaloneSettings, which: str):
    """One message, and no process behind it."""
    with listen(0, "this test") as held:
        before = psutil.Process().children(recursive=True)
        with pytest.raises(PortTaken, match=str(held.getsockname()[1])):
            async with StandaloneStack.start(replaced(settings, **{which: held.getsockname()[1]})):
                pass
        assert [child for child in psutil.Process().children(recursive=True) if child not in before] == []


async def test_a_wrong_stack_is_said_before_anything_starts(settings: StandaloneSettings):
    """Not even the data folder is made."""
    settings.stack_file.write_text("name: xy\nfunctions: {hello: {handler: a.b, timeout: 3}}")
    with pytest.raises(StackError, match=r"functions\.hello\.memory: Field required"):
        async with StandaloneStack.start(settings):
            pass
    assert settings.data_dir is not None
    assert not settings.data_dir.exists()


async def test_data_can_be_put_in_before_the_first_function_runs(settings: StandaloneSettings):
    """The hook has the provisioned stack, and no fleet yet."""
    seen: list[bool] = []

    async def put(local: StandaloneStack) -> None:
        s3 = await local.clients.open("s3")
        await s3.put_object(Bucket=local.resolved.name_of("bucket", "personal"), Key="x", Body=b"x")
        seen.append(hasattr(local, "fleet"))

    async with StandaloneStack.start(settings, put):
        assert seen == [False]


async def test_a_failing_hook_stops_everything(settings: StandaloneSettings):
    """Its own error comes through, not a group of them, and no emulator stays behind."""

    async def fail(local: StandaloneStack) -> None:
        raise LookupError(str(local.emulator.pid))

    with pytest.raises(LookupError) as caught:
        async with StandaloneStack.start(settings, fail):
            pass
    assert not psutil.pid_exists(int(str(caught.value)))


async def test_a_cancelled_stack_stops_in_order(settings: StandaloneSettings):
    """Ctrl-C is a cancellation: the data is saved and no process is left."""
    started: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def run() -> None:
        async with StandaloneStack.start(settings) as local:
            started.set_result(local.emulator.pid)
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    pid = await started
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert settings.data_dir is not None
    assert (settings.data_dir / "aws" / "state" / "state.db").exists()
