"""The systems that bench/compare measures: where they come from, how each is started.

Every server has one process for one processor, listens on 127.0.0.1 only, and has the settings that
its manual gives for production. What comes from a registry is pinned in package-lock.json and
requirements.txt, and goes into a folder of its own.
"""

import contextlib
import filecmp
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
START_PATIENCE = 20.0
STOP_PATIENCE = 10.0


class Missing(Exception):
    """Something is not there; says how to get it."""


def run(*command, cwd=None):
    """Runs a step of an installation, whose output is shown when it fails."""
    done = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode != 0:
        said = done.stdout.decode(errors="replace")[-2000:]
        raise Missing(f"{' '.join(map(str, command))} failed:\n{said}")


def required(tool):
    """Finds a program as the tests of the project do."""
    found = subprocess.run(
        [ROOT / "scripts/require.sh", "--path", tool], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    if found.returncode != 0:
        raise Missing(f"{tool} is missing")
    return found.stdout.decode().strip()


def is_installed(folder, name):
    """Whether the folder was made from this list of versions."""
    stamp = folder / f"{name}.installed"
    return stamp.exists() and filecmp.cmp(HERE / name, stamp, shallow=False)


def install_node(folder):
    required("node")
    for name in ("package.json", "package-lock.json", "ws.js", "socketio.js", "bun.js"):
        shutil.copy(HERE / name, folder)
    if not is_installed(folder, "package-lock.json"):
        print("installing the peers for Node", flush=True)
        run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=folder)
        shutil.copy(HERE / "package-lock.json", folder / "package-lock.json.installed")


def install_python(folder):
    shutil.copy(HERE / "app.py", folder)
    if not is_installed(folder, "requirements.txt"):
        print("installing the peers for Python", flush=True)
        run("python3", "-m", "venv", "--clear", folder / "python")
        run(
            folder / "python/bin/python3",
            *("-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("-r", HERE / "requirements.txt"),
        )
        shutil.copy(HERE / "requirements.txt", folder / "requirements.txt.installed")


def node(script):
    def command(place):
        return [required("node"), place.peers / script], {"NODE_ENV": "production"}

    return command


def bun(place):
    return [place.peers / "node_modules/.bin/bun", place.peers / "bun.js"], {"NODE_ENV": "production"}


def fastapi(place):
    command = [place.peers / "python/bin/python3", "-m", "uvicorn", "app:app"]
    command += ["--app-dir", place.peers, "--host", "127.0.0.1", "--port", place.port]
    command += ["--loop", "uvloop", "--http", "httptools", "--ws", "websockets-sansio"]
    command += ["--ws-per-message-deflate", "false", "--backlog", 4096]
    command += ["--log-level", "warning", "--no-access-log"]
    return command, {}


def nats(place):
    settings = place.scratch / "nats.conf"
    settings.write_text(
        'listen: "127.0.0.1:-1"\n'
        f'websocket {{ listen: "127.0.0.1:{place.port}", no_tls: true, compression: false }}\n'
        "max_connections: 65536\n"
    )
    return [required("nats-server"), "-c", settings], {"GOMAXPROCS": "1"}


def mosquitto(place):
    settings = place.scratch / "mosquitto.conf"
    settings.write_text(
        f"listener {place.port} 127.0.0.1\n"
        "allow_anonymous true\nset_tcp_nodelay true\npersistence false\nlog_type error\n"
    )
    return [required("mosquitto"), "-c", settings], {}


def epoll(place):
    return [place.floor, "epoll", "--port", place.port], {}


class Server:
    """How one system is started and spoken to."""

    def __init__(self, about, command, scheme="ws", install=None):
        self.about = about
        self.command = command
        self.scheme = scheme
        self.install = install


SERVERS = {
    "epoll": Server("a bare epoll loop, the least that can fan out (bench/floor)", epoll),
    "bun": Server("Bun, whose WebSockets are uWebSockets", bun, install=install_node),
    "ws": Server("Node with ws", node("ws.js"), install=install_node),
    "socket.io": Server("Node with socket.io over ws", node("socketio.js"), install=install_node),
    "fastapi": Server("FastAPI on uvicorn, uvloop and httptools", fastapi, install=install_python),
    "nats": Server("nats-server's WebSocket gateway", nats),
    "mosquitto": Server("mosquitto, MQTT 3.1.1 at QoS 0", mosquitto, scheme="mqtt"),
}


class Place:
    """Where a server finds what it needs."""

    def __init__(self, peers, floor, scratch, port):
        self.peers = peers
        self.floor = floor
        self.scratch = scratch
        self.port = port


@contextlib.contextmanager
def on_processor(processor):
    """What is started within runs on this processor."""
    if processor is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def start(command, processor, env=None, **how):
    """Starts a program as the leader of a group, so that it can be ended with all it starts."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PARLOR_")
    }
    environment.update(env or {})
    with on_processor(processor):
        return subprocess.Popen(
            [str(word) for word in command],
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **how,
        )


def stop(process):
    """Ends a program that start() began, and what it started."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_PATIENCE)
            break
    # Its children may outlive it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listeners(port):
    """Addresses on which somebody listens on this port, as Linux tells them."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(table) as lines:
            for line in list(lines)[1:]:
                local, state = line.split()[1], line.split()[3]
                if state == "0A" and int(local.rsplit(":", 1)[1], 16) == port:
                    found.append(local.rsplit(":", 1)[0])
    return found


def wait_until_it_listens(process, port, log):
    end = time.monotonic() + START_PATIENCE
    while True:
        if process.poll() is not None or time.monotonic() > end:
            raise Missing(f"the server did not start:\n{log.read_text(errors='replace')[-2000:]}")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        time.sleep(0.05)
    elsewhere = [address for address in listeners(port) if address != "0100007F"]
    if elsewhere:
        raise Missing(f"the server listens on more than 127.0.0.1: {elsewhere}")


@contextlib.contextmanager
def serving(name, peers, floor, scratch, processor):
    """Runs a server of this name; yields its process and address."""
    server = SERVERS[name]
    port = free_port()
    command, env = server.command(Place(peers, floor, scratch, port))
    log = scratch / "server.log"
    with log.open("w") as out:
        process = start(
            command, processor, {**env, "PORT": str(port)}, stdout=out, stderr=out, cwd=scratch
        )
    try:
        wait_until_it_listens(process, port, log)
        yield process, f"{server.scheme}://127.0.0.1:{port}/"
        if process.poll() is not None:
            said = log.read_text(errors="replace")[-2000:]
            raise Missing(f"the server ended before the measurement did:\n{said}")
    finally:
        stop(process)
