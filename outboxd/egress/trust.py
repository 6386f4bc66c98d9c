"""Whose certificates are believed."""

import ssl
from pathlib import Path

import certifi


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """The system's certificates, and those of `ca_file` besides."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not (paths.capath and any(Path(paths.capath).iterdir())):
        # A small image without the system's certificates: those of the client library.
        context.load_verify_locations(certifi.where())
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
