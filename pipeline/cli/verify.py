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
    """Make a pair of Ed25519 keys: keep the private one, put the public one where bundles are checked.

    Example: edgec keygen release.key
    """
    from pipeline.bundle.signing import make_keys

    public = make_keys(private)
    say(f"private  {private}   keep it secret; sign with `edgec sign`, or signing_key in the configuration")
    say(f"public   {public}   copy it to ~/.config/edgec/keys on devices, which then accept nothing else")


def sign(
    bundle: Bundle,
    key: Annotated[Path, typer.Option(help="The private key, as of `edgec keygen`.")],
    release: Annotated[
        int | None,
        typer.Option(min=0, help="A number that only rises: devices accept no lower one afterwards."),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="The last day (UTC) on which devices install it."),
    ] = None,
) -> None:
    """Sign a bundle; a signature it has is replaced.

    Example: edgec sign out/resnet20-fashion-host.edgec --key release.key --release 7
    """
    from pipeline.bundle.signing import public_half, sign_bundle

    sign_bundle(bundle, key, release, None if expires is None else _day(expires))
    say(f"{bundle}: signed with {public_half(key).name}")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--expires {text} is not a day. Expected: YYYY-MM-DD, such as 2027-06-30."
        ) from None


def keys_to_trust(paths: list[Path] | None) -> "list[PublicKey]":
    """Return the given keys, or all trusted ones. Raises UsageError for a file that is not a key."""
    from targets.runtime.bundle.signature import PublicKey, SignatureError, trusted_keys

    try:
        return [PublicKey.read(path) for path in paths] if paths else trusted_keys()
    except SignatureError as error:
        raise UsageError(f"{error}.") from error
