# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, made with the openssl command: an authority, and identities of any time."""

import subprocess
from pathlib import Path

CONF = """
[ca]
default_ca = it
[it]
dir = {home}
database = {home}/index.txt
new_certs_dir = {home}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
"""


def openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, timeout=60,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {words[0]}: {done.stderr}")


def new_key(path):
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", path)


class Authority:
    def __init__(self, home, name="authority"):
        self.home = Path(home) / name
        self.home.mkdir()
        self.certificate, self.key = self.home / "ca.pem", self.home / "ca.key"
        self.conf = self.home / "ca.cnf"
        self.conf.write_text(CONF.format(home=self.home), encoding="utf-8")
        (self.home / "index.txt").touch()
        new_key(self.key)
        openssl("req", "-x509", "-new", "-key", self.key, "-days", "3650", "-subj", f"/CN={name}",
                "-addext", "basicConstraints=critical,CA:true", "-config", self.conf,
                "-out", self.certificate)

    def identity(self, name, begins="20200101000000Z", ends="20991231235959Z"):
        """Certificate and key for 127.0.0.1, valid between two times."""
        certificate, key = self.home / f"{name}.pem", self.home / f"{name}.key"
        request = self.home / f"{name}.csr"
        new_key(key)
        openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-addext",
                "subjectAltName=IP:127.0.0.1", "-config", self.conf, "-out", request)
        openssl("ca", "-batch", "-notext", "-config", self.conf, "-cert", self.certificate,
                "-keyfile", self.key, "-startdate", begins, "-enddate", ends, "-in", request,
                "-out", certificate)
        return certificate, key
