"""Turns messages of ssh into errors that say what to do."""

from collections.abc import Callable

from targets.errors import (
    AuthenticationFailed,
    ConnectionCut,
    DeviceError,
    DeviceUnreachable,
    HostKeyChanged,
    HostKeyUnknown,
)

_MEANINGS: tuple[tuple[tuple[str, ...], Callable[[str], DeviceError], str], ...] = (
    (
        ("REMOTE HOST IDENTIFICATION HAS CHANGED",),
        HostKeyChanged,
        "its host key is not the one in known_hosts. If it was set up again, remove the old key with"
        " `ssh-keygen -R` and connect once with ssh; if not, this is another machine.",
    ),
    (
        ("Host key verification failed", "host key is known"),
        HostKeyUnknown,
        "its host key is not in known_hosts. Connect once with `ssh {destination}`, compare the fingerprint,"
        " and say yes.",
    ),
    (
        ("Permission denied (", "Too many authentication failures", "no mutual signature"),
        AuthenticationFailed,
        "it accepts none of your keys: {message}. Set one up with `ssh-copy-id {destination}`, and load it"
        " into an agent if it has a passphrase.",
    ),
    (
        (
            "Could not resolve",
            "Connection refused",
            "during banner exchange",
            "No route to host",
            "Network is unreachable",
            "connect to host",
            "kex_exchange_identification",
        ),
        DeviceUnreachable,
        "it cannot be reached: {message}. Is it on, in this network, and does it run an SSH server?",
    ),
    (
        (
            "closed by remote host",
            "Connection reset",
            "Connection closed",
            "Broken pipe",
            "not responding",
        ),
        ConnectionCut,
        "the connection was cut: {message}. Try again; files continue where they stopped.",
    ),
)
"""Parts of ssh's message, of which the first match decides; the error; its text."""


def diagnose(stderr: str, destination: str, address: str) -> DeviceError | None:
    """Return the error for ssh's last output; None if it is not known."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for words, error, text in _MEANINGS:
        message = next((line for line in lines if any(word in line for word in words)), None)
        if message is not None:
            return error(f"{address}: " + text.format(message=message.rstrip("."), destination=destination))
    return None
