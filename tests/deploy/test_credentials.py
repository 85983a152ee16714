"""What deploy/credentials.py makes: a password for each role in each store, and both sides know the same."""

from __future__ import annotations

import hashlib
import re
import ssl
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from deploy.credentials import ROLES, SERVERS, fill, write
from service.embedded import _find_binary


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    write(tmp_path / "secrets", tls=False, prefix="shop")
    return tmp_path / "secrets"


def test_each_role_has_a_url_whose_password_its_store_knows_by_its_digest(made: Path) -> None:
    passwords = set()
    for server in SERVERS:
        acl = (made / f"{server}.acl").read_text()
        for role in ROLES:
            url = urlsplit((made / f"{role}_{server}_url").read_text().strip())
            assert (url.scheme, url.hostname, url.username) == ("redis", server, role)
            assert url.password
            assert f"user {role} on #{hashlib.sha256(url.password.encode()).hexdigest()} " in acl
            assert url.password not in acl
            passwords.add(url.password)
    assert len(passwords) == len(SERVERS) * len(ROLES)


def test_an_acl_file_has_a_line_a_user_and_no_place_left_to_be_filled(made: Path) -> None:
    for server in SERVERS:
        lines = (made / f"{server}.acl").read_text().splitlines()
        assert sorted(line.split()[1] for line in lines) == sorted(("default", "probe", *ROLES))
        assert not [line for line in lines if re.search(r"[{}]", line)]
        assert "~shop:" in "".join(lines)


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_is_killed_loads_every_commit_again_though_nobody_may_be_its_default_user(
    made: Path, tmp_path: Path, server: str
) -> None:
    """Append-only files are loaded in the name of `default`: what it may not do inside of a MULTI would be left out."""
    socket = tmp_path / "socket"
    command = [_find_binary(), Path(f"deploy/valkey/{server}.conf").absolute(), "--port", "0", "--unixsocket", socket]
    command += ["--dir", tmp_path, "--aclfile", made / f"{server}.acl", "--appendfsync", "always"]
    password = urlsplit((made / f"admin_{server}_url").read_text().strip()).password
    for life in (1, 2, 3):
        with subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL) as running:
            retry = Retry(ConstantBackoff(0.05), 200)
            with redis.Redis(unix_socket_path=str(socket), username="admin", password=password, retry=retry) as client:
                assert int(client.get("shop:count") or 0) == life - 1
                client.pipeline(transaction=True).incr("shop:count").set("shop:other", life).execute()
            running.kill()


def test_what_is_there_stays_and_what_is_removed_is_made_anew(made: Path) -> None:
    before = contents(made)
    write(made, tls=False, prefix="shop")
    assert contents(made) == before
    (made / "log.acl").unlink()
    write(made, tls=False, prefix="shop")
    after = contents(made)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"log.acl", *(f"{role}_log_url" for role in ROLES)}


def test_the_folder_is_closed_and_its_files_can_be_read_inside_containers(made: Path) -> None:
    assert made.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in made.iterdir()} == {0o644}


def test_certificates_are_of_their_own_authority_and_name_both_servers(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    write(folder, tls=True)
    assert (folder / "api_log_url").read_text().startswith("rediss://api:")
    assert (folder / "ca.key").stat().st_mode & 0o777 == 0o600
    verify = ["openssl", "verify", "-CAfile", folder / "ca.crt", "-verify_hostname"]
    for name in SERVERS:
        subprocess.run([*verify, name, folder / "server.crt"], check=True, capture_output=True)
    assert (
        subprocess.run([*verify, "elsewhere", folder / "server.crt"], capture_output=True, check=False).returncode != 0
    )
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder / "server.crt", folder / "server.key")


def test_a_comment_and_a_line_that_goes_on_are_understood() -> None:
    assert fill("# a {role}\n\nuser a on #{a}\n  +get\n  +set\n", "p", {"a": "x"}) == (
        f"user a on #{hashlib.sha256(b'x').hexdigest()} +get +set\n"
    )
