"""
TLS between simulated hosts: asyncio's own, with real certificates.
"""

import asyncio
import ssl

import pytest
import trustme

from assertlib.sim import Options, Tape, run_trial


@pytest.fixture(scope="module")
def contexts():
    """Contexts of a server called ``server``, and of a client that trusts it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("server").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


def played(client, server=None, seed=1, faults=()):
    """The outcome of a trial with *client* on one host, and a server on another."""
    seen = []

    async def serve(host):
        async with await asyncio.start_server(echo, port=7, **(server or {})) as listening:
            await listening.serve_forever()

    async def scenario(world):
        host, other = world.host("server", serve), world.host("client")
        host.boot()
        other.boot()
        await asyncio.sleep(0)
        if faults:
            world.inject_faults(other, faults)
        await other.run(client(seen))

    outcome = run_trial(
        scenario, Tape(seed), Options("random", tuple(faults)), name="tls", keep_log=True
    )
    return outcome, seen


def trips(context, number=3, **options):
    async def client(seen):
        reader, writer = await asyncio.open_connection("server", 7, ssl=context, **options)
        seen.append(writer.get_extra_info("ssl_object").version())
        for _ in range(number):
            writer.write(b"a secret\n")
            seen.append(await reader.readline())
        writer.close()
        await writer.wait_closed()

    return client


def test_lines_go_to_and_fro_encrypted(contexts):
    server, client = contexts
    outcome, seen = played(trips(client), {"ssl": server})
    assert not outcome.failures
    assert seen == ["TLSv1.3", *[b"a secret\n"] * 3]
    log = "".join(outcome.lines())
    assert "sends TLS records" in log
    assert "secret" not in log.replace('"a secret', "")


@pytest.mark.parametrize("faults", [(), ("narrow-network", "slow-network", "loss")])
def test_equal_tapes_make_equal_trials_although_the_bytes_differ(contexts, faults):
    server, client = contexts
    for seed in range(5):
        first, _ = played(trips(client), {"ssl": server}, seed, faults)
        again, _ = played(trips(client), {"ssl": server}, seed, faults)
        assert first.digest() == again.digest(), f"seed {seed}"
        assert not first.failures, f"seed {seed}"


def test_a_name_of_none_is_that_of_the_host_and_an_empty_one_is_not_verified(contexts):
    server, client = contexts
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    for context, name in ((client, None), (unverified, "")):
        outcome, seen = played(trips(context, server_hostname=name), {"ssl": server})
        assert not outcome.failures
        assert len(seen) == 4


@pytest.mark.parametrize("refused", ["another name", "an unknown authority"])
def test_a_certificate_that_does_not_vouch_for_the_server_is_refused(contexts, refused):
    server, trusting = contexts
    options = {
        "another name": {"ssl": trusting, "server_hostname": "other"},
        "an unknown authority": {"ssl": True},
    }[refused]

    async def client(seen):
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("server", 7, **options)
        seen.append("refused")

    outcome, seen = played(client, {"ssl": server})
    assert not outcome.failures
    assert seen == ["refused"]


def test_a_handshake_that_is_never_answered_times_out_in_virtual_time(contexts):
    _, client = contexts

    async def silent(seen):
        loop = asyncio.get_running_loop()
        # The server reads lines and waits for the end of the first one.
        with pytest.raises(ConnectionAbortedError, match=r"5\.0 seconds"):
            await asyncio.open_connection("server", 7, ssl=client, ssl_handshake_timeout=5.0)
        seen.append(loop.time() > 5.0)

    outcome, seen = played(silent)
    assert not outcome.failures
    assert seen == [True]


def test_a_plain_connection_is_encrypted_later(contexts):
    server, client = contexts
    seen = []

    async def upgrade(reader, writer):
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go ahead\n")
        await writer.start_tls(server)
        seen.append(await reader.readline())
        writer.write(b"received\n")
        await writer.drain()
        writer.close()

    async def ask():
        reader, writer = await asyncio.open_connection("server", 7)
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"go ahead\n"
        await writer.start_tls(client, server_hostname="server")
        writer.write(b"a secret\n")
        seen.append(await reader.readline())
        writer.close()

    async def serve(host):
        async with await asyncio.start_server(upgrade, port=7) as listening:
            await listening.serve_forever()

    async def scenario(world):
        host, other = world.host("server", serve), world.host("client")
        host.boot()
        other.boot()
        await asyncio.sleep(0)
        await other.run(ask())

    outcome = run_trial(scenario, Tape(1), Options("fifo"), name="tls", keep_log=True)
    assert not outcome.failures
    assert seen == [b"a secret\n", b"received\n"]
    log = "".join(outcome.lines())
    assert "sends 9 bytes 'STARTTLS\\n'" in log
    assert "bytes 'a secret" not in log


def test_tls_without_a_name_to_verify_is_an_error_as_in_asyncio(contexts):
    _, client = contexts

    async def nameless(seen):
        loop = asyncio.get_running_loop()
        with pytest.raises(ValueError, match="server_hostname"):
            await loop.create_connection(asyncio.Protocol, ssl=client)
        with pytest.raises(ValueError, match="server_hostname"):
            await loop.create_unix_connection(asyncio.Protocol, "/run/store", ssl=client)
        seen.append("refused")

    outcome, seen = played(nameless)
    assert not outcome.failures
    assert seen == ["refused"]
