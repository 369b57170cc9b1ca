"""edgec verify, keygen and sign: checks a bundle's files and signature, and signs bundles."""

import json
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.console import make_progress, say, say_json
from pipeline.errors import UsageError, listed

if TYPE_CHECKING:
    from pipeline.build.rebuild import Rebuilt
    from targets.runtime.bundle.signature import PublicKey

Bundle = Annotated[Path, typer.Argument(help="The .edgec file.")]
Keys = Annotated[
    list[Path] | None,
    typer.Option("--key", help="Public key that must have signed it. Default: ~/.config/edgec/keys/*.pub."),
]


def verify(
    bundle: Bundle,
    key: Keys = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Also build it again from scratch, and compare the bytes.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="The .onnx file, if the model is one.")] = None,
    data: options.Data = None,
    checkpoint: options.Checkpoint = None,
    quantized: options.Quantized = None,
    as_json: options.Json = False,
) -> None:
    """Check every file of a bundle against its manifest, and the manifest's signature. Nothing is run.

    With --rebuild, the same inputs, tools and machine must give the same bytes again. The settings are in the
    bundle; the options give the paths of its inputs. Exit code 1 if anything differs.

    Example: edgec verify out/resnet20-fashion-host.edgec --key release.pub
    """
    from pipeline.bundle import contents

    found = contents.verify(bundle, keys_to_trust(key))
    manifest = found.manifest
    inputs = {"model": model, "data": data, "checkpoint": checkpoint, "calibration.quantized": quantized}
    again = None
    if rebuild:
        from pipeline.build.rebuild import rebuild as rebuild_bundle

        again = rebuild_bundle(bundle, inputs, make_progress(as_json))
    if as_json:
        what = {"model": manifest.model, "target": manifest.target, "files": manifest.files}
        checked = {"signed": found.signed, "signer": found.signer, "rebuilt": again and asdict(again)}
        say_json(json.dumps({**what, **checked}))
    else:
        signed = (
            "its signature is valid, but no key is trusted on this machine" if found.signed else "not signed"
        )
        say(
            f"{bundle}: {manifest.model} for {manifest.target}, {len(manifest.files)} files as in the "
            "manifest; " + (f"signed with {found.signer}" if found.signer else signed)
        )
        if again:
            say(f"{bundle}: {_outcome(again)}")
    if again and again.different:
        raise typer.Exit(1)


def _outcome(again: "Rebuilt") -> str:
    if again.same_bytes:
        return "built again from scratch: the same bytes"
    if not again.different:
        return "built again from scratch: the same bytes in every file, without the signature"
    reasons = "; ".join(again.reasons) or "inputs, tools and machine are those of the first build"
    return f"built again from scratch: different bytes in {listed(again.different)} ({reasons})"


def keygen(
    private: Annotated[Path, typer.Argument(help="The private key to write; the public one gets .pub.")],
) -> None:
    """Make a pair of Ed25519 keys: keep the private key secret, and copy the public key to the devices.

    Example: edgec keygen release.key
    """
    from pipeline.bundle.signing import make_keys

    public = make_keys(private)
    say(f"private  {private}   keep it secret; sign with `edgec sign`, or signing_key in the configuration")
    say(f"public   {public}   copy it to ~/.config/edgec/keys on devices, which then accept nothing else")


def sign(
    bundle: Bundle,
    key: Annotated[Path, typer.Option(help="The private key from `edgec keygen`.")],
    release: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Devices that had this release refuse lower numbers. Default: the time of signing (UTC).",
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="The last day (UTC) on which devices install it."),
    ] = None,
    confirm: Annotated[
        str | None,
        typer.Option(
            metavar="N:MS",
            help="Devices switch back unless 99 % of N inferences take at most MS milliseconds.",
        ),
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="Keep the signatures of other keys.")] = False,
) -> None:
    """Sign a bundle. Its old signature is replaced, unless --add is given.

    Example: edgec sign out/resnet20-fashion-host.edgec --key release.key --release 7
    """
    from pipeline.bundle.signing import public_half, sign_bundle

    day = None if expires is None else _day(expires)
    sign_bundle(bundle, key, release, day, None if confirm is None else _confirmation(confirm), add=add)
    say(f"{bundle}: signed with {public_half(key).name}")


def rekey(
    statement: Annotated[Path, typer.Argument(help="The file to write.")],
    key: Annotated[
        list[Path], typer.Option(help="A private key that is trusted now; repeat if several have to sign.")
    ],
    number: Annotated[
        int, typer.Option(min=1, help="Has to be higher than that of every earlier statement.")
    ],
    trust: Annotated[list[Path] | None, typer.Option(help="A public key to trust from now on.")] = None,
    revoke: Annotated[list[Path] | None, typer.Option(help="A public key to revoke.")] = None,
    needed: Annotated[int, typer.Option(min=1, help="How many trusted keys have to sign from now on.")] = 1,
) -> None:
    """Write a statement that adds or revokes trusted keys, signed with keys that are trusted now.

    A machine applies it with: python3 edgec-install.pyz --keys STATEMENT

    Example: edgec rekey next.json --key release.key --trust new.pub --revoke release.pub --number 1
    """
    from pipeline.bundle.signing import make_statement
    from pipeline.cli.console import write_text
    from targets.runtime.bundle.keyring import Keyring

    trusted, revoked = (tuple(one.key for one in _public(paths)) for paths in (trust, revoke))
    ring = Keyring(number, trusted, revoked, needed, str(statement))
    write_text(statement, make_statement(ring, key).to_json(), "the statement's name")
    say(f"{statement}   on each machine: python3 edgec-install.pyz --keys {statement.name}")


def _confirmation(text: str) -> tuple[int, float]:
    number, _, most = text.partition(":")
    try:
        found = int(number), float(most)
    except ValueError:
        found = 0, 0.0
    if not 1 <= found[0] <= 1_000_000 or not 0 < found[1] < 1e9:
        raise UsageError(
            f"--confirm {text} is not N:MS. Expected: inferences and milliseconds, such as 100:12.5."
        )
    return found


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--expires {text} is not a day. Expected: YYYY-MM-DD, such as 2027-06-30."
        ) from None


def keys_to_trust(paths: list[Path] | None) -> "list[PublicKey]":
    """Return the given keys, or all trusted ones. Raises UsageError for a file that is not a key."""
    from targets.runtime.bundle.keyring import KeyringError
    from targets.runtime.bundle.signature import SignatureError, trusted_keys

    try:
        return _public(paths) if paths else trusted_keys()
    except (SignatureError, KeyringError) as error:
        raise UsageError(f"{error}.") from error


def _public(paths: list[Path] | None) -> "list[PublicKey]":
    from targets.runtime.bundle.signature import PublicKey, SignatureError

    try:
        return [PublicKey.read(path) for path in paths or ()]
    except SignatureError as error:
        raise UsageError(f"{error}.") from error
