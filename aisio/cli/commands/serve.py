"""`aisio serve`: a gateway over a local folder."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aisio.cli.standard_streams import require_stdout
from aisio.cli.types import ExistingPath
from aisio.errors import ConfigError


@click.command("serve", short_help="Serve a local folder as a cluster would.")
@click.argument("folder", metavar="DIR", type=ExistingPath(file_okay=False))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen at; 0 takes a free one.",
)
@click.option("--token", help="Bearer token to demand; others on this machine can see it in `ps`.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help='The file that holds it, as it is or as {"token": "..."}.',
)
@click.option(
    "--s3-access-key",
    help="Access key that requests below /s3 must be signed with; else AISIO_SERVE_S3_ACCESS_KEY.",
)
@click.option(
    "--s3-secret-key",
    help="Its secret key, which `ps` shows; else AISIO_SERVE_S3_SECRET_KEY.",
)
@click.option("--read-only", is_flag=True, help="Refuse changes, leave no trace in DIR.")
@click.option("--tls-cert", type=click.Path(), help="PEM file of the certificate, for https.")
@click.option("--tls-key", type=click.Path(), help="PEM file of its private key.")
@click.option(
    "--tls-client-ca",
    type=click.Path(),
    help="PEM file of authorities: demand a client certificate of one of them.",
)
@click.option(
    "--jwt-key-file",
    type=click.Path(path_type=Path),
    help="The file with the key that AuthN signs its tokens with: demand such a token.",
)
@click.option(
    "--signed-redirects",
    is_flag=True,
    help="Serve objects only to redirected requests, as a cluster does that signs them.",
)
@click.option("-v", "--verbose", is_flag=True, help="A line on stderr for each request.")
def command(
    folder: Path,
    host: str,
    port: int,
    token: str | None,
    token_file: Path | None,
    s3_access_key: str | None,
    s3_secret_key: str | None,
    read_only: bool,
    tls_cert: str | None,
    tls_key: str | None,
    tls_client_ca: str | None,
    jwt_key_file: Path | None,
    signed_redirects: bool,
    verbose: bool,
) -> None:
    """Serve DIR until Ctrl-C or SIGTERM: its folders are buckets, the files in these are objects.

    The endpoint is written to stdout as soon as connections are accepted. S3 clients append /s3 to
    it. The environment is not read, except for the S3 keys: a token for another cluster stays that
    cluster's, and so do AWS's keys.
    """
    from aisio.config import serve_s3_keys
    from aisio.gateway import ServerOptions, serve

    if token is not None and token_file is not None:
        raise click.UsageError("--token and --token-file cannot be combined")
    if tls_key and not tls_cert:
        raise click.UsageError("--tls-key needs --tls-cert")
    if tls_client_ca and not tls_cert:
        raise click.UsageError("--tls-client-ca needs --tls-cert")
    require_stdout()
    access_key, secret_key = serve_s3_keys(s3_access_key, s3_secret_key)
    serve(
        ServerOptions(
            str(folder),
            host=host,
            port=port,
            token=_read_token(token_file) if token_file else token,
            read_only=read_only,
            verbose=verbose,
            tls_cert=tls_cert,
            tls_key=tls_key,
            tls_client_ca=tls_client_ca,
            jwt_key=_read_key(jwt_key_file) if jwt_key_file else None,
            signed_redirects=signed_redirects,
            s3_access_key=access_key,
            s3_secret_key=secret_key,
        )
    )


def _read_key(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"--jwt-key-file {file} cannot be read: {error}") from error


def _read_token(file: Path) -> str:
    """Read a token from plain text, or from JSON as AIS_AUTHN_TOKEN_FILE has it."""
    try:
        text = file.read_text("utf-8").strip()
        token = json.loads(text)["token"] if text.startswith("{") else text
    except (ValueError, KeyError):
        token = ""
    if not token or not isinstance(token, str):
        raise ConfigError(f'--token-file {file} holds no token: expected it, or {{"token": "..."}}')
    return token
