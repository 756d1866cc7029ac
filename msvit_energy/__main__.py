"""`python -m msvit_energy`, and the console command: the command line."""


def main() -> None:
    """Run it; Ctrl-C ends it with exit code 130, while it is still being imported too."""
    try:
        from msvit_energy.commands import main as command_line

        command_line()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
