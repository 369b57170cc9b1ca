"""`python -m pipeline` is the program `edgec`."""

import signal


def main() -> None:
    """Run the program. Ctrl-C while modules load, or when all is done, ends it without a word."""
    interruptible = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN  # as after `nohup ... &`
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pipeline.cli.app import main as run

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run()
    except KeyboardInterrupt:  # before or after the command itself, which ends by saying "Aborted."
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        if interruptible:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
