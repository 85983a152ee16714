"""Makes what deploy/compose.yaml reads from deploy/secrets/: the API key, and a password for each role in each store.

    python3 deploy/credentials.py            # stores in the clear, on a network of their own
    python3 deploy/credentials.py --tls      # stores by TLS, with an authority of their own (needs the command openssl)

What is there stays. To change to TLS, or all passwords, remove everything but `api_key`, run it again, and start the
containers anew. The folder keeps others out; the files themselves are readable, for containers run as other users.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROLES = ("admin", "api", "worker", "keeper", "profiler")
SERVERS = ("log", "state")
_HERE = Path(__file__).parent
_DAYS = "3650"


def fill(template: str, prefix: str, passwords: Mapping[str, str]) -> str:
    """The ACL file from its template (valkey/*.acl): without comments, one line a user."""
    text = re.sub(r"^(#.*)?\n", "", template, flags=re.MULTILINE)
    text = re.sub(r"\n +", " ", text).replace("{prefix}", prefix)
    for role, password in passwords.items():
        text = text.replace(f"{{{role}}}", hashlib.sha256(password.encode()).hexdigest())
    return text


def write(folder: Path, tls: bool, prefix: str = "peregrine") -> None:
    """Everything that is missing. Passwords of the stores are made together, for both sides must know the same."""
    folder.mkdir(mode=0o700, exist_ok=True)
    _put(folder / "api_key", secrets.token_urlsafe(32))
    scheme = "rediss" if tls else "redis"
    for server in SERVERS:
        passwords = {role: secrets.token_urlsafe(32) for role in ROLES}
        acl = fill((_HERE / "valkey" / f"{server}.acl").read_text(encoding="utf-8"), prefix, passwords)
        if _put(folder / f"{server}.acl", acl):
            for role in ROLES:
                url = f"{scheme}://{role}:{passwords[role]}@{server}:6379/0"
                _put(folder / f"{role}_{server}_url", url, anew=True)
    if tls and not (folder / "ca.crt").exists():
        _certificates(folder)


def _put(path: Path, text: str, anew: bool = False) -> bool:
    """Whether the file was written: one that is there stays, unless it must be made anew."""
    if path.exists() and not anew:
        return False
    path.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")
    path.chmod(0o644)
    return True


def _certificates(folder: Path) -> None:
    """An authority, and one certificate for both servers."""
    names = ",".join(f"DNS:{name}" for name in (*SERVERS, "localhost"))
    (folder / "names").write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n", encoding="ascii")
    key = ("-newkey", "rsa:3072", "-nodes", "-sha256")
    _openssl(folder, "req", "-x509", *key, "-days", _DAYS, "-subj", "/CN=Peregrine stores", "-keyout", "ca.key",
             "-out", "ca.crt")  # fmt: skip
    _openssl(folder, "req", *key, "-subj", "/CN=peregrine-store", "-keyout", "server.key", "-out", "server.csr")
    _openssl(folder, "x509", "-req", "-sha256", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days",
             _DAYS, "-set_serial", str(secrets.randbits(127)), "-extfile", "names", "-out", "server.crt")  # fmt: skip
    for name in ("ca.crt", "server.crt", "server.key"):
        (folder / name).chmod(0o644)
    (folder / "ca.key").chmod(0o600)
    for name in ("names", "server.csr"):
        (folder / name).unlink()


def _openssl(folder: Path, *arguments: str) -> None:
    command = ["openssl", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603 - fixed words


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=_HERE / "secrets")
    parser.add_argument("--tls", action="store_true", help="rediss:// and certificates for both servers")
    parser.add_argument("--prefix", default="peregrine", help="what all keys begin with (PEREGRINE_PREFIX)")
    given = parser.parse_args()
    write(given.folder, given.tls, given.prefix)
